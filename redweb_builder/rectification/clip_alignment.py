"""One alignment for all frames of a clip: the rig does not move between two frames, so the labels may not jump.

The points of several frames are fitted together (alignment.py). A zoom within a clip is taken for its mean.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from redweb_builder.config import BuildConfig
from redweb_builder.errors import StoreError
from redweb_builder.inputs.read import read_pair
from redweb_builder.matching.quick_flow import Preview, preview_flow
from redweb_builder.pair_sources import PairSources
from redweb_builder.process import one_opencv_thread
from redweb_builder.rectification.alignment import Alignment, estimate_common_alignment
from redweb_builder.rectification.calibrated import calibrate
from redweb_builder.rectification.eye_order import are_eyes_swapped
from redweb_builder.types import PairSource

MOST_FRAMES = 5  # of a clip from which its alignment is estimated, spread evenly


def with_clip_alignments(
    sources: PairSources,
    config: BuildConfig,
    clips: Collection[str | None],
    watch: Callable[[Path], None] = lambda film: None,
) -> PairSources:
    """The sources in their order, frames of clips with the alignment of their clip.

    sources: photographs and frames of films, whose eye order is known; photographs, and clips of one frame, pass
    unchanged. config: max_side (px) and eyes are used, as in prepare. clips: those that are wanted. watch: called with
    the film of each of them.
    """
    frames: dict[str, array[int]] = {}  # places of the frames
    for place, source in enumerate(sources):
        if source.clip is not None and source.clip in clips:
            frames.setdefault(source.clip, array("q")).append(place)
    alignments: dict[str | None, tuple[float, ...]] = {}
    with one_opencv_thread():
        for clip, places in frames.items():
            watch(sources[places[0]].left)
            every = -(-len(places) // MOST_FRAMES)
            members = [sources[place] for place in places[every // 2 :: every]]
            alignment = _alignment_of_clip(members, config) if len(places) > 1 else None
            if alignment is not None:
                alignments[clip] = alignment.numbers()
    return PairSources.of(replace(source, alignment=alignments.get(source.clip)) for source in sources)


def _alignment_of_clip(frames: Sequence[PairSource], config: BuildConfig) -> Alignment | None:
    """The alignment of some frames of a clip together; None where none of them can be read."""
    previews: list[Preview] = []
    shape: tuple[int, ...] = ()
    for frame in frames:
        try:
            pair, _ = calibrate(frame, read_pair(frame, config.max_side))
            preview = preview_flow(pair.left, pair.right)
        except StoreError:  # the storage is gone: all other pairs would have no vote either
            raise
        except Exception:  # a frame that cannot be read says nothing of the rig; the build records why
            continue
        if shape in ((), pair.left.shape):
            shape = pair.left.shape
            swapped = config.eyes == "auto" and are_eyes_swapped(frame, frame.film_order or 0.0)
            previews.append(preview.swapped() if swapped else preview)
    return estimate_common_alignment(previews, shape) if previews else None
