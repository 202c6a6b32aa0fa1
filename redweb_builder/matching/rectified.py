"""A matcher of rectified stereo as a flow in both directions: disparities made positive, the right view mirrored."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from redweb_builder.matching.consistency import PREVIEW_PX, disparity_of, forward_backward_error, reversed_flow
from redweb_builder.matching.quick_flow import Preview, preview_flow
from redweb_builder.matching.semi_global import RANGE_PX, RANGE_SHARE
from redweb_builder.types import FloatMap, Flow, Picture, StereoPair

Matcher = Callable[[Picture, Picture], FloatMap]  # left, right HxWx3 -> HxW px, the disparity of the left view


def rectified_flow(pair: StereoPair, matcher: Matcher) -> Flow:
    """The flow of an aligned pair by a matcher that knows positive disparities only.

    pair: aligned. matcher: called for the left view, and for the right one with both views mirrored. The views are
    padded so that the smallest disparity of the preview becomes a few px; nothing is cut off. Such a matcher sees no
    vertical motion: where the preview is consistent, its vertical flow stands in, so that `vertical` is still judged.
    """
    preview = preview_flow(pair.left, pair.right)
    shift = positive_shift(preview)
    left = _shifted(pair.left, pair.right, shift, matcher)
    mirrored = _shifted(cv2.flip(pair.right, 1), cv2.flip(pair.left, 1), shift, matcher)
    shape = pair.left.shape
    return Flow(
        np.stack([-left, _vertical(preview.flow, preview.scale, shape)], -1),
        np.stack([cv2.flip(mirrored, 1), _vertical(reversed_flow(preview.flow), preview.scale, shape)], -1),
    )


def positive_shift(preview: Preview) -> int:
    """What is to be added to every disparity, whole px of the full views, so that all are positive.

    preview: of the pair. 0 where nothing of it is consistent. Negative for pairs whose least disparity is large.
    """
    consistent = disparity_of(preview.flow)[preview.error < PREVIEW_PX] / preview.scale
    if not consistent.size:
        return 0
    low, high = np.percentile(consistent, (0.5, 99.5))
    return int(np.ceil(RANGE_SHARE * (high - low) + RANGE_PX - low))


def _shifted(left: Picture, right: Picture, shift: int, matcher: Matcher) -> FloatMap:
    """The disparity of the left view, from views padded to be `shift` px apart: HxW float32 px."""
    before = max(shift, 0), max(-shift, 0)
    views = [
        cv2.copyMakeBorder(view, 0, 0, start, abs(shift) - start, cv2.BORDER_REPLICATE)
        for view, start in zip((left, right), before, strict=True)
    ]
    disparity = matcher(*views)[:, before[0] : before[0] + left.shape[1]]
    return np.asarray(disparity - shift, np.float32)


def _vertical(flow: Flow, scale: float, shape: tuple[int, ...]) -> FloatMap:
    """The vertical forward flow of a preview at the height and width of `shape`, px; 0 where it is not consistent."""
    vertical = np.where(forward_backward_error(flow) < PREVIEW_PX, flow.forward[..., 1], 0).astype(np.float32)
    full: FloatMap = cv2.resize(vertical, shape[1::-1], interpolation=cv2.INTER_NEAREST) / np.float32(scale)
    return full
