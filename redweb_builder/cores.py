"""How many cores this process may use."""

from __future__ import annotations

import math
import os
from contextlib import suppress
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
