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
    """A depth network that keeps its depth of a picture until the same picture comes again.

    From then on nothing more is kept: the groups are measured, and each pair that is prepared comes once.
    """

    def __init__(self, network: DepthEstimator) -> None:
        """network: called for what is not kept, from any thread."""
        self.network = network
        self._kept: dict[bytes, FloatMap] = {}
        self._is_filling = True

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
        if depth is not None:
            self._is_filling = False
            return depth
        depth = self.network(picture)
        if self._is_filling and len(self._kept) < MOST_KEPT:
            self._kept[digest] = depth
        return depth
