"""The whole process: its cores, OpenCV's threads, its garbage, and what becomes of freed memory."""

from __future__ import annotations

import ctypes
import gc
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")  # "quota period" in microseconds, or "max period"
CGROUP_V1 = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")


def available_cores() -> int:
    """Cores that this process may use: of its affinity (taskset, Slurm) and of its cgroup's quota (containers)."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(allowed, _cgroup_cores())))


def _cgroup_cores() -> float:
    """The quota of the process's cgroup in cores; infinity without one."""
    with suppress(OSError, ValueError, ZeroDivisionError):
        if CGROUP_V2.is_file():
            quota, period = CGROUP_V2.read_text().split()
            return int(quota) / int(period)  # "max" is no number
        quota, period = (file.read_text() for file in CGROUP_V1)
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    return math.inf


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Keep OpenCV at one thread inside the context.

    Pairs run side by side already. OpenCV's own threads would make DIS depend on the number of cores.
    """
    import cv2  # here: `--help` needs the rest of this file

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


@contextmanager
def uncollected_imports() -> Iterator[None]:
    """Import the networks' libraries inside: their objects are not searched for garbage, neither now nor later.

    They stay for the life of the process anyway. The search takes an eighth of the processor time of these imports, and
    some 50 ms whenever it comes again. Nothing happens where PyTorch is loaded already.
    """
    if "torch" in sys.modules:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def keep_freed_memory() -> None:
    """Ask glibc to keep large freed blocks for the next pair or training step, for the life of this process.

    By default every large array goes back to the system and is handed out again page by page, zeroed: a sixth of a
    build's time on CPU. Elsewhere than on glibc nothing happens.
    """
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD, M_MMAP_MAX of malloc.h
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)
