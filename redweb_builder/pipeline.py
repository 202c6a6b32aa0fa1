"""The method, on one screen, in the order in which it happens.

    source -> pair -> calibration -> depth by one eye -> eye order -> alignment
    -> flow (both directions) -> regions (sky, far) -> semi-global matching -> fused matches
    -> refined label with confidence -> measurements -> keep | reject

`prepare` and `label_pair` work on one pair, with the networks that take a single picture. `infer` estimates the flow of
a batch. An engine only decides which pairs pass through them, where and when.
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
from redweb_builder.matching.consistency import TOLERANCE_PX, forward_backward_error, visible_error
from redweb_builder.matching.dis import refine_flow
from redweb_builder.matching.flow import FlowEstimator
from redweb_builder.matching.fusion import TEXTURE_PX, fuse_matches
from redweb_builder.matching.quick_flow import preview_flow
from redweb_builder.matching.semi_global import sgm_flow
from redweb_builder.matching.texture import textured
from redweb_builder.monocular.estimator import DepthEstimator
from redweb_builder.rectification.alignment import Alignment, alignment_of, apply_alignment, estimate_alignment
from redweb_builder.rectification.calibrated import Calibrated, after_alignment, calibrate
from redweb_builder.rectification.eye_order import find_order
from redweb_builder.rectification.upright import turned_eye
from redweb_builder.segmentation.segmenters import Segmenter
from redweb_builder.types import BoolMap, Evidence, FloatMap, Flow, PairSource, Rejection, StereoPair


@dataclass(frozen=True)
class Models:
    """The loaded networks. flow, segmenter: of both eyes and of regions. depth: monocular; None = none."""

    flow: FlowEstimator
    segmenter: Segmenter
    depth: DepthEstimator | None = None


@dataclass(frozen=True)
class Prepared:
    """A pair that is read, rectified by its calibration where it has one, its eyes in order and its right view aligned.

    eye_order: score of rectification/eye_order.py for the pair as it is here; positive = left is left. eyes_swapped:
    the source had the eyes the other way round, and they were exchanged. right_valid: HxW bool in the aligned right
    frame, False where alignment moved in pixels from beyond the border. calibrated: what its calibration did to it.
    depth: float32 of the left view reduced to a preview, larger = nearer, of any scale; None without a
    monocular depth network.
    """

    source: PairSource
    pair: StereoPair
    eye_order: float
    eyes_swapped: bool
    alignment: Alignment
    right_valid: BoolMap
    calibrated: Calibrated
    depth: FloatMap | None = None


@dataclass(frozen=True)
class Inferred:
    """A prepared pair with its flow in both directions, before refinement."""

    prepared: Prepared
    flow: Flow


@dataclass(frozen=True)
class Outcome:
    """The result for a source. rejection: None = keep. prepared, evidence: None where the source got no label."""

    source: PairSource
    rejection: Rejection | None
    prepared: Prepared | None = None
    evidence: Evidence | None = None


def prepare(source: PairSource, config: BuildConfig, network: DepthEstimator | None = None) -> Prepared | Outcome:
    """Read the two views, put them in order, align the right one.

    source: of the pair. config: max_side (px) and eyes are used. network: of monocular depth, None = none. An
    unreadable source becomes an Outcome with the rejection of stage "read"; nothing is raised for it.
    """
    try:
        pair = read_pair(source, config.max_side)
    except InputError as error:
        return Outcome(source, Rejection("read", error.reason, detail=str(error)))
    pair, calibrated = calibrate(source, pair)
    preview = preview_flow(pair.left, pair.right)
    turned = turned_eye(source, preview)
    if turned:
        return Outcome(source, Rejection("read", "not-upright", detail=turned))
    ordered = find_order(source, preview, network, config.eyes == "auto")
    preview, eyes_swapped = ordered.preview, ordered.exchanged
    if eyes_swapped:
        pair = replace(pair, left=pair.right, right=pair.left)
    common = source.alignment
    alignment = alignment_of(common) if common else estimate_alignment(preview, pair.left.shape)
    right, right_valid = apply_alignment(pair.right, alignment)
    calibrated = after_alignment(calibrated, alignment, pair.left.shape, eyes_swapped)
    pair = replace(pair, right=right, far_apart=preview.far_apart)
    return Prepared(source, pair, ordered.score, eyes_swapped, alignment, right_valid, calibrated, ordered.depth)


def infer(batch: Sequence[Prepared], models: Models) -> list[Inferred]:
    """Estimate the flow of a batch.

    batch: pairs of any sizes. models: of which flow is used. Returns the pairs with their flow, in the order of the
    batch. What the network raises (out of memory, say) is raised.
    """
    flows = models.flow([prepared.pair for prepared in batch])
    return [Inferred(*parts) for parts in zip(batch, flows, strict=True)]


def label_pair(inferred: Inferred, models: Models, config: BuildConfig) -> Outcome:
    """Flow and regions -> matches -> label -> measurements -> verdict.

    inferred: of one pair. models: the segmenter, and whether the flow needs refinement. config: only its thresholds.
    A rejected pair has its evidence too.
    """
    prepared = inferred.prepared
    regions = models.segmenter(prepared.pair.left)
    flow = refine_flow(prepared.pair, inferred.flow) if models.flow.needs_refinement else inferred.flow
    error = forward_backward_error(flow)
    flow_error = visible_error(error, flow, prepared.right_valid)
    valid = flow_error <= TOLERANCE_PX
    sgm = sgm_flow(prepared.pair, flow, valid)
    sgm_error = visible_error(forward_backward_error(sgm), sgm, prepared.right_valid)
    match = fuse_matches(flow, flow_error, sgm, sgm_error, textured(prepared.pair.left, TEXTURE_PX))
    label = refine(prepared.pair.left, match, valid, regions, right_view(flow, TOLERANCE_PX), prepared.depth)
    measurements = measure(prepared.pair, flow, error, valid, regions, label, prepared.depth)
    measurements |= {"eye_order": prepared.eye_order, **prepared.alignment.measurements()}
    evidence = Evidence(prepared.pair, flow, match.disparity, valid, regions, label, measurements)
    return Outcome(prepared.source, _verdict(evidence, config), prepared, evidence)


def _verdict(evidence: Evidence, config: BuildConfig) -> Rejection | None:
    if not np.isfinite(evidence.label.disparity).any():
        return Rejection("refine", "nothing-measured", 0.0, detail="no pixel is confirmed by both views")
    return judge(evidence.measurements, config.thresholds)
