"""Flow -> relative disparity, and the forward-backward (left-right) consistency of both views."""

from __future__ import annotations

import cv2
import numpy as np

from redweb_builder.types import BoolMap, FloatMap, Flow, Picture

# Limits of the forward-backward error, px. A match up to the limit counts as consistent.
MATCHED_PX = 0.7  # for the planes of superpixels, which need subpixel matches
PREVIEW_PX = 1.0  # for eye order, alignment and global shift, px of the reduced views
TOLERANCE_PX = 2.0  # for measurements and filters of a pair, as MiDaS 3D Movies has it

WHOLLY_VALID = 0.99  # value of an interpolated mask above which a pixel has no share of what is masked out


def disparity_of(flow: Flow) -> FloatMap:
    """Disparity, HxW float32 px in the left frame, larger = nearer: the negated horizontal forward flow."""
    return np.ascontiguousarray(-flow.forward[..., 0])


def reversed_flow(flow: Flow) -> Flow:
    """The flow of the same pair with its views exchanged: the right view is then the left one."""
    return Flow(flow.backward, flow.forward)


def forward_backward_error(flow: Flow) -> FloatMap:
    """Forward-backward error |F(p) + B(p + F(p))|, HxW float32 px; infinite where p + F(p) leaves the right view.

    flow: F = forward, B = backward. The error lies in the left frame. For that of the right frame hand in
    reversed_flow(flow). Sundaram, Brox & Keutzer, ECCV 2010. A match outside the view counts as unknown.
    Published code replicates the border there, which makes such matches consistent by chance.
    """
    targets = _targets(flow.forward)
    difference = flow.forward + _sampled(flow.backward, targets)
    error: FloatMap = cv2.magnitude(*cv2.split(difference))
    error[~_in_view(targets)] = np.inf
    return error


def visible_error(error: FloatMap, flow: Flow, right_valid: BoolMap) -> FloatMap:
    """The forward-backward error, HxW float32 px, infinite too where target_visible is False.

    error: forward_backward_error of the flow. flow, right_valid: of target_visible.
    """
    return np.where(target_visible(flow, right_valid), error, np.float32(np.inf))


def target_visible(flow: Flow, right_valid: BoolMap) -> BoolMap:
    """HxW bool in the left frame: the pixel's match lies on a valid part of the right view.

    flow: its forward part is used. right_valid: HxW bool in the right frame. A match beyond the border counts as one at
    the border.
    """
    if right_valid.all():  # a view that was not warped
        return np.ones(right_valid.shape, bool)
    visible: BoolMap = warp(right_valid.astype(np.float32), flow.forward) > WHOLLY_VALID
    return visible


def target_in_view(forward: FloatMap) -> BoolMap:
    """HxW bool in the left frame: the pixel's match lies inside the right view. forward: HxWx2 float32 px."""
    return _in_view(_targets(forward))


def warp(field: FloatMap | Picture, flow: FloatMap) -> FloatMap:
    """`field` of the other view warped into this view: bilinear at p + flow(p), the border replicated.

    field: HxW or HxWxC, float32 or uint8, in the other frame. flow: HxWx2 float32 px, from this view to the other. The
    result lies in this frame and has the type of the field.
    """
    return _sampled(field, _targets(flow))


def _sampled(field: FloatMap | Picture, targets: tuple[FloatMap, FloatMap]) -> FloatMap:
    sampled: FloatMap = cv2.remap(field, *targets, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return sampled


def _in_view(targets: tuple[FloatMap, FloatMap]) -> BoolMap:
    x, y = targets
    height, width = x.shape
    inside: BoolMap = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return inside


def _targets(flow: FloatMap) -> tuple[FloatMap, FloatMap]:
    """Where the match of each pixel lies in the other view: x and y, HxW float32 px each."""
    height, width = flow.shape[:2]
    x = np.arange(width, dtype=np.float32)[None] + flow[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
    return x, y
