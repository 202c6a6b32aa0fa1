"""One pass a picture: the eye order of a group (rectification/group_order.py) comes before its pairs are prepared."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from redweb_builder.types import FloatMap, Picture

if TYPE_CHECKING:
    from redweb_builder.monocular.estimator import DepthEstimator  # torch takes seconds
    from redweb_builder.networks.weights import Weights

MOST_KEPT = 128  # depths of previews, 0.6 MB each; a group is measured on 8 pairs


class MemoizedDepth:
    """A depth network that keeps its depth of a picture until the same picture comes again."""

    def __init__(self, network: DepthEstimator) -> None:
        """network: called for what is not kept, from any thread."""
        self.network = network
        self._kept: dict[bytes, FloatMap] = {}

    @property
    def name(self) -> str:
        """See DepthEstimator."""
        return self.network.name

    @property
    def weights(self) -> Weights:
        """See DepthEstimator."""
        return self.network.weights

    def __call__(self, picture: Picture) -> FloatMap:
        """See DepthEstimator. picture: HxWx3 uint8 RGB."""
        digest = sha256(repr(picture.shape).encode() + picture.tobytes()).digest()
        depth = self._kept.pop(digest, None)
        if depth is None:
            depth = self.network(picture)
            if len(self._kept) < MOST_KEPT:
                self._kept[digest] = depth
        return depth
