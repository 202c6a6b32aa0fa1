"""The files of deploy/: they parse, say what the program understands, and submit what they should."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import yaml

from redweb_builder.commands.build import build_redweb


def options_in(text: str) -> set[str]:
    """The options of build-redweb in a command line."""
    return set(re.findall(r"--[a-z-]+", text.split("build-redweb", 1)[1]))


KNOWN = {name for parameter in build_redweb.params for name in parameter.opts}


def test_the_kubernetes_job(project: Path) -> None:
    job = yaml.safe_load((project / "deploy" / "kubernetes.yaml").read_text())
    assert (job["apiVersion"], job["kind"], job["spec"]["completionMode"]) == ("batch/v1", "Job", "Indexed")
    pod = job["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # backoffLimitPerIndex needs it
    (container,) = pod["containers"]
    (command,) = container["args"]
    assert f"+ 1))/{job['spec']['completions']}" in command
    assert options_in(command) <= KNOWN
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_the_slurm_script(project: Path, tmp_path: Path) -> None:
    """With stand-ins for sbatch and redweb: it submits an array and a merge; a task builds its part."""
    script = project / "deploy" / "slurm.sh"
    for name in ("sbatch", "redweb"):
        (tmp_path / name).write_text(f'#!/bin/bash\necho "{name} $*" >> "$TRACE"\necho 7\n')
        (tmp_path / name).chmod(0o755)
    settings = {"PHOTOS": "/a b/photos", "OUT": "/a b/set", "PARTS": "4", "TRACE": str(tmp_path / "trace")}
    environment = {**os.environ, **settings, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["bash", script, "--flow", "dis"], env=environment, check=True, capture_output=True)
    task = {**environment, "SLURM_ARRAY_TASK_ID": "3", "SLURM_CPUS_PER_TASK": "8"}
    subprocess.run(["bash", script, "--flow", "dis"], env=task, check=True, capture_output=True)
    array, merge, build = (tmp_path / "trace").read_text().splitlines()
    assert "--array=1-4" in array
    assert array.endswith("--flow dis")
    assert "--dependency=afterok:7" in merge
    assert merge.endswith("redweb merge '/a b/set'")
    assert build == "redweb build-redweb /a b/photos --out /a b/set --part 3/4 --jobs 8 --quiet --flow dis"
    assert options_in(build) <= KNOWN
