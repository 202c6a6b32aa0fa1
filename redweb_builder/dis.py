"""DIS flow (Kroeger et al. 2016) as OpenCV has it, without a network: also for what must start at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2

from redweb_builder.types import FloatMap, Picture


def dis_flow(first: Picture, second: Picture, patch_stride: int = 2, iterations: int = 50) -> FloatMap:
    """DIS flow from one HxW uint8 picture to another: HxWx2 float32 px."""
    flow: FloatMap = dis_estimator(patch_stride, iterations).calc(first, second, None)
    return flow


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Pairs run side by side; OpenCV's own threads would also make DIS depend on how many cores a machine has."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def dis_estimator(patch_stride: int, iterations: int) -> cv2.DISOpticalFlow:
    """OpenCV's estimator at full resolution."""
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    dis.setFinestScale(0)
    dis.setPatchStride(patch_stride)
    dis.setGradientDescentIterations(iterations)
    return dis
