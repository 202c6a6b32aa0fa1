"""Flow -> relative disparity and what of it two views confirm."""

from __future__ import annotations

import cv2
import numpy as np

from redweb_builder.types import BoolMap, FloatMap, Flow, Picture


def disparity_of(flow: Flow) -> FloatMap:
    """HxW float32 px in the left frame, larger = nearer: the negated horizontal forward flow."""
    return np.ascontiguousarray(-flow.forward[..., 0])


def reversed_flow(flow: Flow) -> Flow:
    """The same flow seen from the right view."""
    return Flow(flow.backward, flow.forward)


def round_trip_error(flow: Flow) -> FloatMap:
    """Forward-backward error |F(p) + B(p + F(p))|, HxW float32 px; infinite where p + F(p) leaves the right view.

    Leaving the view counts as unknown: replicating the border there, as published code does, confirms by luck.
    """
    back = sample(flow.backward, flow.forward)
    error = np.hypot(*np.moveaxis(flow.forward + back, -1, 0))
    error[~lands_inside(flow.forward)] = np.inf
    return np.asarray(error, np.float32)


def lands_on(flow: Flow, seen: BoolMap) -> BoolMap:
    """HxW bool: the match lies on a part of the right view that exists; `seen` is that part, in the right frame."""
    landed: BoolMap = sample(seen.astype(np.float32), flow.forward) > 0.99
    return landed


def lands_inside(forward: FloatMap) -> BoolMap:
    """HxW bool: the pixel's match lies inside the other picture."""
    x, y = _targets(forward)
    height, width = forward.shape[:2]
    inside: BoolMap = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return inside


def sample(field: FloatMap | Picture, flow: FloatMap) -> FloatMap:
    """`field` of the other view seen from this one: bilinear at p + flow(p), its border replicated."""
    x, y = _targets(flow)
    warped: FloatMap = cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return warped


def _targets(flow: FloatMap) -> tuple[FloatMap, FloatMap]:
    height, width = flow.shape[:2]
    x = np.arange(width, dtype=np.float32)[None] + flow[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
    return x, y
