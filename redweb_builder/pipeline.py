"""The method, on one screen, in the order in which it happens.

    source -> pair -> eye order -> alignment -> flow (both directions) + regions (sky, far) -> row matching -> the
    better match -> refined label with confidence -> measurements -> keep | reject

`prepare` and `conclude` are plain CPU work on one pair; `see` runs the networks on a batch. An engine only decides
which pairs pass through them where and when.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from redweb_builder.config import BuildConfig
from redweb_builder.errors import InputError
from redweb_builder.filters.checks import judge
from redweb_builder.filters.measurements import measure
from redweb_builder.inputs.read import read_pair
from redweb_builder.labels.planes import right_view
from redweb_builder.labels.refine import refine
from redweb_builder.matching.consistency import lands_on, round_trip_error
from redweb_builder.matching.flow import FlowEstimator, polish
from redweb_builder.matching.fusion import TEXTURE_PX, best_match, match_rows
from redweb_builder.matching.texture import textured
from redweb_builder.rectification.alignment import Alignment, apply_alignment, estimate_alignment
from redweb_builder.rectification.eye_order import eye_order, is_exchanged
from redweb_builder.rectification.quick_flow import quick_look
from redweb_builder.segmentation.segmenters import Segmenter
from redweb_builder.types import BoolMap, Evidence, Flow, PairSource, Regions, Rejection, StereoPair

VALID_PX = 2.0


@dataclass(frozen=True)
class Models:
    """The loaded networks."""

    flow: FlowEstimator
    segmenter: Segmenter


@dataclass(frozen=True)
class Prepared:
    """A pair read, its eyes in order, aligned.

    eye_order: evidence for the order (eyes.py). exchanged: the source had the eyes the other way round. seen: HxW bool
    in the right frame, False where alignment left no picture.
    """

    source: PairSource
    pair: StereoPair
    eye_order: float
    exchanged: bool
    alignment: Alignment
    seen: BoolMap


@dataclass(frozen=True)
class Seen:
    """A prepared pair with what the networks say of it."""

    prepared: Prepared
    flow: Flow
    regions: Regions


@dataclass(frozen=True)
class Outcome:
    """What became of a source: prepared and evidence where it got as far as a label; rejection None = keep."""

    source: PairSource
    rejection: Rejection | None
    prepared: Prepared | None = None
    evidence: Evidence | None = None


def prepare(source: PairSource, config: BuildConfig) -> Prepared | Outcome:
    """Read the two views, put them in order, bring the right one into line; an unreadable source is an Outcome."""
    try:
        pair = read_pair(source, config.max_side)
    except InputError as error:
        return Outcome(source, Rejection("read", error.reason, detail=str(error)))
    look = quick_look(pair.left, pair.right)
    order = eye_order(look) if source.film_order is None else source.film_order
    exchanged = config.eyes == "auto" and is_exchanged(source, order)
    if exchanged:
        pair, look, order = replace(pair, left=pair.right, right=pair.left), look.swapped(), -order
    alignment = estimate_alignment(look, pair.left.shape)
    right, seen = apply_alignment(pair.right, alignment)
    return Prepared(source, replace(pair, right=right), order, exchanged, alignment, seen)


def see(batch: Sequence[Prepared], models: Models) -> list[Seen]:
    """Flow in both directions and the regions of the left view, for a batch."""
    flows = models.flow([prepared.pair for prepared in batch])
    regions = models.segmenter([prepared.pair.left for prepared in batch])
    return [Seen(*parts) for parts in zip(batch, flows, regions, strict=True)]


def conclude(seen: Seen, models: Models, config: BuildConfig) -> Outcome:
    """Flow and regions -> matches -> label -> measurements -> verdict."""
    prepared, regions = seen.prepared, seen.regions
    flow = polish(prepared.pair, seen.flow) if models.flow.coarse else seen.flow
    error = round_trip_error(flow)
    valid = (error <= VALID_PX) & lands_on(flow, prepared.seen)
    rows = match_rows(prepared.pair, flow, valid)
    match = best_match(flow, rows, prepared.seen, textured(prepared.pair.left, TEXTURE_PX))
    label = refine(prepared.pair.left, match, valid, regions, right_view(flow, VALID_PX))
    measurements = measure(prepared.pair, flow, error, valid, regions, label)
    measurements |= {"eye_order": prepared.eye_order, **prepared.alignment.measurements()}
    evidence = Evidence(prepared.pair, flow, match.disparity, valid, regions, label, measurements)
    return Outcome(prepared.source, _verdict(evidence, config), prepared, evidence)


def _verdict(evidence: Evidence, config: BuildConfig) -> Rejection | None:
    if not np.isfinite(evidence.label.disparity).any():
        return Rejection("refine", "nothing-measured", 0.0, detail="no pixel is confirmed by both views")
    return judge(evidence.measurements, config.thresholds)
