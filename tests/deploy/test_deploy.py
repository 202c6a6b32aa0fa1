"""The files of deploy/: they parse, say what the program understands, and submit what they should."""

from __future__ import annotations

import os
import re
import shlex
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
    assert pod["restartPolicy"] == "Never"  # backoffLimitPerIndex and podFailurePolicy need it
    preempted = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
    assert job["spec"]["podFailurePolicy"]["rules"] == [preempted]
    (container,) = pod["containers"]
    (command,) = container["args"]
    assert f"+ 1))/{job['spec']['completions']}" in command
    assert options_in(command) <= KNOWN
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_the_job_on_kuberay(project: Path) -> None:
    job = yaml.safe_load((project / "deploy" / "kuberay.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert options_in(job["spec"]["entrypoint"]) <= KNOWN
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    pods = [group["template"]["spec"] for group in groups]
    assert len({pod["containers"][0]["image"] for pod in pods}) == 1  # the same Ray and the same program everywhere
    for pod in pods:
        (container,) = pod["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    for group in cluster["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    assert all(isinstance(value, str) for group in groups for value in group["rayStartParams"].values())


def run_on_slurm(script: Path, folder: Path, task: dict[str, str]) -> list[str]:
    """What a script and then its job call, with stand-ins for Slurm and redweb. task: what Slurm tells a job."""
    for name in ("sbatch", "redweb", "srun"):
        (folder / name).write_text(f'#!/bin/bash\necho "{name} $*" >> "$TRACE"\necho "7;cluster"\n')
    (folder / "scontrol").write_text("#!/bin/bash\nprintf 'node%s\\n' 1 2\n")
    for name in ("sbatch", "redweb", "srun", "scontrol"):
        (folder / name).chmod(0o755)
    settings = {"PHOTOS": "/a b/photos", "OUT": "/a b/it's", "PARTS": "4", "NODES": "2", "GPUS": "1"}
    environment = {**os.environ, **settings, "TRACE": str(folder / "trace"), "PATH": f"{folder}:{os.environ['PATH']}"}
    for variables in (environment, environment | task):
        subprocess.run(["bash", script, "--flow", "dis"], env=variables, check=True, capture_output=True)
    return (folder / "trace").read_text().splitlines()


def test_the_slurm_script(project: Path, tmp_path: Path) -> None:
    """It submits an array and a merge; a task builds its part."""
    task = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_CPUS_PER_TASK": "8"}
    array, merge, build = run_on_slurm(project / "deploy" / "slurm.sh", tmp_path, task)
    assert "--array=1-4" in array
    assert "--ntasks=1" in array  # without it Slurm refuses --gpus-per-task
    assert "--gpus-per-task=1" in array
    assert array.endswith("--flow dis")
    assert "--dependency=afterok:7 " in merge
    assert shlex.split(merge.partition("--wrap=")[2]) == ["redweb", "merge", "/a b/it's"]
    assert build == "redweb build-redweb /a b/photos --out /a b/it's --part 3/4 --jobs 8 --quiet --flow dis"
    assert options_in(build) <= KNOWN


def test_the_slurm_script_that_starts_ray(project: Path, tmp_path: Path) -> None:
    """It submits one job of several nodes; the job starts Ray on all of them and the build on the first."""
    task = {"SLURM_JOB_ID": "123456", "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_CPUS_PER_TASK": "8"}
    submitted, started = run_on_slurm(project / "deploy" / "slurm-ray.sh", tmp_path, task)
    assert "--nodes=2 --ntasks-per-node=1" in submitted
    assert submitted.endswith("--flow dis")
    ray, build = started.split(" -- ")
    assert "--cpus-per-task=8 ray symmetric-run" in ray
    assert "ray symmetric-run --address node1:23456 --min-nodes 2 --num-cpus=8 --num-gpus=1" in ray
    expected = "redweb build-redweb /a b/photos --out /a b/it's --engine ray --address node1:23456 --quiet --flow dis"
    assert build == expected
    assert options_in(build) <= KNOWN
