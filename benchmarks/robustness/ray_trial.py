"""Builds on Ray that are disturbed until they are done, and what an undisturbed local build leaves (for ray_kills)."""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.robustness.forked_python import Forked, Forks
from benchmarks.robustness.write_faults import Tree, different_files, shows_bug, sorted_lines, tree_of
from samples.scenes import render

STAYING = ("driver", "actor", "node")
VICTIMS = (*STAYING, "raylet", "gcs_server", "disk")
PHASES = ("starting", "working", "finishing")
HANG_S = 600.0
HELD_S = 20.0  # for which a disk is full
STORE, FOLDER = "270m", "512m"  # sizes of the small disks: of the object store and of Ray's folder
NEW_MOUNTS = 0x00020000  # CLONE_NEWNS: mounts that only this process and its children see
GIVEN_UP = 5  # workers in one command: so many deaths may make a pair fail, and the next command records it last
LOCAL = 0.2  # of the commands that are given again are for the local engine
WIDTH, HEIGHT = 160, 120


def render_pairs(folder: Path, count: int) -> None:
    """Make a folder of tiny pairs. count: how many."""
    folder.mkdir()
    for seed in range(count):
        scene = render(seed, WIDTH, HEIGHT, max_disparity=12.0)
        Image.fromarray(scene.left).save(folder / f"{seed:04}_L.png")
        Image.fromarray(scene.right).save(folder / f"{seed:04}_R.png")


def command(photos: Path, out: Path, *engine: str) -> list[str]:
    """The build, as arguments of Python. engine: options."""
    return ["-m", "redweb_builder", *build_of(str(photos), out), *engine]


def build_of(photos: str, out: Path) -> list[str]:
    """The build as the program's arguments. photos: a folder or an address."""
    options = ["--flow", "dis", "--segmenter", "builtin", "--max-side", "160", "--jobs", "1", "--quiet"]
    return ["build-redweb", photos, "--out", str(out), *options]


def descendants(parent: int) -> dict[int, str]:
    """The processes below one, by number, with what they call themselves."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    names = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError, ValueError, IndexError):
                stat = (folder / "stat").read_text().rpartition(")")[2].split()
                children[int(stat[1])].append(int(folder.name))
                words = (folder / "cmdline").read_text().split("\0")
                names[int(folder.name)] = words[0].rpartition("/")[2]
    found, todo = {}, [parent]
    while todo:
        for child in children[todo.pop()]:
            found[child] = names.get(child, "")
            todo.append(child)
    return found


class StayingCluster:
    """A head that works on nothing, and a machine of one core. address: of the head."""

    def __init__(self) -> None:
        """Start both."""
        from ray.cluster_utils import Cluster  # after the fork of Forks

        # Loopback, but 127.0.0.1: a driver would look for that at the machine's address in its network.
        quick = {"health_check_period_ms": 500, "health_check_failure_threshold": 3, "health_check_initial_delay_ms": 0}
        head = {"num_cpus": 0, "node_ip_address": "127.0.0.3", "include_dashboard": False, "_system_config": quick}
        self._cluster: Any = Cluster(initialize_head=True, head_node_args=head)
        self._node = self._add()
        self.address: str = self._cluster.address

    def kill_node(self) -> None:
        """Kill the machine's raylet; another machine joins."""
        os.kill(self._node.all_processes["raylet"][0].process.pid, signal.SIGKILL)
        self._cluster.remove_node(self._node, allow_graceful=False)
        self._node = self._add()

    def close(self) -> None:
        """Stop both."""
        self._cluster.shutdown()

    def _add(self) -> Any:
        return self._cluster.add_node(wait=False, num_cpus=1, node_ip_address="127.0.0.2")


@dataclass
class Tried:
    """A build that was disturbed until it was done. kills: in each phase. again: how often the command was given.

    wrong: what did not hold; else empty.
    """

    victim: str
    seed: int
    kills: dict[str, int] = field(default_factory=dict)
    again: int = 0
    wrong: str = ""


class Trial:
    """The photographs, and what an undisturbed local build leaves of them."""

    def __init__(self, folder: Path, pairs: int, forks: Forks, cluster: StayingCluster | None) -> None:
        """Render and build. folder: to work in. pairs: how many. cluster: for the victims that have none of theirs."""
        self._photos, self._out, self._log = folder / "photos", folder / "set", folder / "log.txt"
        self._forks, self._cluster, self._pairs = forks, cluster, pairs
        render_pairs(self._photos, pairs)
        self._undisturbed("--engine", "local")
        self._expected = self._tree()
        shutil.copytree(self._out, folder / "expected")
        self._seconds = {own: self._undisturbed(*self._ray(own)) for own in (True, False) if own or cluster}
        if different := self._different():
            raise RuntimeError(f"undisturbed, Ray has not built what the local engine has: {', '.join(different)}")

    def disturbed(self, victim: str, seed: int) -> Tried:
        """A build, disturbed until it is done. victim: what is killed. seed: of the moments."""
        drawn, tried = random.Random(f"{victim} {seed}"), Tried(victim, seed)
        shutil.rmtree(self._out, ignore_errors=True)
        most_losses = 0
        while not tried.wrong:
            before = sum(tried.kills.values())
            is_local = tried.again > 0 and drawn.random() < LOCAL
            process = self._start(*(("--engine", "local") if is_local else self._ray(victim not in STAYING)))
            status = process.wait(HANG_S) if is_local else self._disturb(process, victim, drawn, tried)
            most_losses = max(most_losses, sum(tried.kills.values()) - before)
            if status is None:
                process.kill()
                tried.wrong = "hangs"
            elif shows_bug(status, text := self._log.read_text(errors="replace")):
                tried.wrong = f"a bug is shown: {text[-400:]}"
            elif status == 0:
                break
            tried.again += 1
        if different := self._different(in_order=most_losses < GIVEN_UP):
            tried.wrong = tried.wrong or f"differs: {', '.join(different[:3])}"
        return tried

    def _disturb(self, process: Forked, victim: str, drawn: random.Random, tried: Tried) -> int | None:
        """Kill and kill again until a command has ended; its status, or None where it does not end."""
        before, started, status, losses = self._written(), time.monotonic(), None, 0
        while status is None and time.monotonic() < started + HANG_S:
            most = self._seconds[victim not in STAYING] * (1 + losses)  # ever rarer, or a slow machine gets nowhere
            status = process.wait(drawn.uniform(0.0, most))
            phase = self._phase(before)
            if status is None and self._kill(process, victim, drawn):
                losses += 1
                tried.kills[phase] = tried.kills.get(phase, 0) + 1
        if not tried.kills:  # it was faster than the one before: the machine does other things, too
            self._seconds[victim not in STAYING] = time.monotonic() - started
        return status

    def _kill(self, process: Forked, victim: str, drawn: random.Random) -> bool:
        """Kill a process of the build; False where there is none of its kind."""
        if victim == "node":
            assert self._cluster
            self._cluster.kill_node()
            return True
        if victim == "disk":
            self._fill_disks(process)
            return True
        parent, name = (self._forks.pid, "ray::RayWorker") if victim == "actor" else (process.pid, victim)
        there = sorted(pid for pid, called in descendants(parent).items() if called.startswith(name))
        pid = process.pid if victim == "driver" else drawn.choice(there) if there else 0
        with suppress(ProcessLookupError):
            if pid:
                os.kill(pid, signal.SIGKILL)
                return True
        return False

    def _fill_disks(self, process: Forked) -> None:
        """Leave no byte on the small disks for HELD_S, or until the command ends."""
        fillers = [disk / "filler" for disk in small_disks()]
        for filler in fillers:
            with suppress(OSError), filler.open("wb") as file:
                while True:
                    file.write(bytes(1 << 20))
        process.wait(HELD_S)
        for filler in fillers:
            filler.unlink()

    def _phase(self, before: int) -> str:
        """Where a build is. before: how many pairs were written when it began."""
        journal = self._out / "journal.jsonl"
        if journal.is_file() and journal.read_bytes().count(b"\n") >= self._pairs:
            return "finishing"
        return "working" if self._written() > before else "starting"

    def _written(self) -> int:
        return len(list(self._out.glob("previews/*.jpg")))

    def _ray(self, own: bool) -> tuple[str, ...]:
        return (
            ("--engine", "ray") if own or not self._cluster else ("--engine", "ray", "--address", self._cluster.address)
        )

    def _start(self, *engine: str) -> Forked:
        return self._forks.start(command(self._photos, self._out, *engine), self._log)

    def _undisturbed(self, *engine: str) -> float:
        """Build; return how long it took."""
        shutil.rmtree(self._out, ignore_errors=True)
        started = time.monotonic()
        if self._start(*engine).wait(HANG_S) != 0:
            raise RuntimeError(f"it fails undisturbed: {self._log.read_text()}")
        return time.monotonic() - started

    def _different(self, in_order: bool = True) -> list[str]:
        """What differs from the undisturbed build. in_order: the lines of the journal must be in its order, too."""
        there, expected = self._tree(), dict(self._expected)
        if not in_order and "journal.jsonl" in there:
            for tree in (there, expected):
                tree["journal.jsonl"] = sorted_lines(tree["journal.jsonl"])
        return different_files(there, expected)

    def _tree(self) -> Tree:
        return tree_of(self._out) if self._out.is_dir() else {}


def small_disks() -> dict[Path, str]:
    """The places of Ray's object store and of its folder, and the sizes of the disks that are mounted there."""
    return {Path("/dev/shm"): STORE, Path(os.environ["RAY_TMPDIR"], "ray"): FOLDER}


@contextmanager
def mounted_small_disks() -> Iterator[None]:
    """Mount the small disks, for this process and its children only. Raises OSError, CalledProcessError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "no mounts of its own: the victim disk needs root")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    for disk, size in small_disks().items():
        disk.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=1777", "none", str(disk)], check=True)
    try:
        yield
    finally:
        for disk in small_disks():
            subprocess.run(["umount", "--lazy", str(disk)], check=True)
