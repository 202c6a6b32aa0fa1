"""Settings of the whole process: OpenCV's threads, and what becomes of freed memory."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import cv2


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Keep OpenCV at one thread inside the context.

    Pairs run side by side already. OpenCV's own threads would make DIS depend on the number of cores.
    """
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


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
