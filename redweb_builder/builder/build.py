"""One call from a folder of stereo photographs to a data set on disk."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import imagehash
from PIL import Image

from redweb_builder.builder.engines import FAILED, run_local
from redweb_builder.config import BuildConfig
from redweb_builder.dataset.clips import sequences_of
from redweb_builder.dataset.codec import FORMAT
from redweb_builder.dataset.flicker import set_flicker
from redweb_builder.dataset.heartbeat import Heartbeat
from redweb_builder.dataset.manifest import DUPLICATE, columns_of, left_out_row, nine_digits, verdict_columns
from redweb_builder.dataset.parts import folder_of_part, sources_of_part
from redweb_builder.dataset.paths import is_data_set, refuse_data_set
from redweb_builder.dataset.verdicts import thresholds_of
from redweb_builder.dataset.writer import Store
from redweb_builder.errors import SettingsError, StoreError
from redweb_builder.filters.checks import margin, quality
from redweb_builder.inputs.discover import Discovery, discover
from redweb_builder.inputs.formats.calibration import calibration_digest
from redweb_builder.inputs.walk import state_of
from redweb_builder.inspect.report import write_report
from redweb_builder.inspect.show import write_grid
from redweb_builder.inspect.strip import strip
from redweb_builder.matching.flow import load_flow
from redweb_builder.monocular.estimator import load_depth
from redweb_builder.monocular.memo import MemoizedDepth
from redweb_builder.networks.device import choose_device, limit_threads
from redweb_builder.pipeline import Models, Outcome
from redweb_builder.progress import Progress, Recorded
from redweb_builder.rectification.calibrated import Calibrated
from redweb_builder.rectification.clip_alignment import with_clip_alignments
from redweb_builder.rectification.film_order import with_film_orders
from redweb_builder.rectification.group_order import with_group_orders
from redweb_builder.segmentation.segmenters import load_segmenter
from redweb_builder.types import Label, Mask, PairSource
from redweb_builder.version import METHOD


@dataclass(frozen=True)
class Summary:
    """How a build ended.

    out: folder of the data set. kept, rejected: pairs. duplicates: of the rejected, those that pass every filter and
    look like a better kept pair.
    reasons: rejections by reason. left_out: files of the input that are in no pair, by reason. failed: keys of pairs
    that met an unforeseen error. flow, segmenter: names of the networks. seconds: of this run.
    redone: pairs that were finished before and were done again, since a file of theirs was missing or of another size.
    lost: pairs that would have been, had this run's input them. damaged_lines: of the journal; their pairs were done
    again as well.
    """

    out: Path
    kept: int
    rejected: int
    duplicates: int
    reasons: dict[str, int]
    left_out: dict[str, int]
    failed: list[str]
    flow: str
    segmenter: str
    seconds: float
    redone: int = 0
    lost: int = 0
    damaged_lines: int = 0


def build(
    stereo_dir: str | os.PathLike[str],
    out: str | os.PathLike[str] = "redweb",
    config: BuildConfig | None = None,
    *,
    overwrite: bool = False,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> Summary:
    """Build a ReDWeb-style relative-depth data set from stereo pairs.

    stereo_dir: folder of the photographs and films, or one file. out: folder of the data set; an earlier build of the
    same kind in it goes on, and finished pairs whose files are gone are done again; a part has a folder of its own in
    it, for merge.py. config: the settings. overwrite:
    replace a data set of other settings. watch: called whenever there is something new to show.
    Raises FileNotFoundError or NotADirectoryError (the input), StoreError and UnsafePath (the output),
    WeightsUnavailable (weights asked for by name), ValueError (settings). A pair that cannot be used is recorded, never
    raised.
    """
    started = time.monotonic()
    config = config or BuildConfig()
    stereo_dir, out = Path(stereo_dir), Path(out)
    for folder in (stereo_dir, out):
        _require_unicode(folder)
    out = folder_of_part(out, config.part) if config.part else out
    heartbeat = Heartbeat(out)

    def watch_all(progress: Progress) -> None:
        heartbeat.beat(progress)
        watch(progress)

    progress = Progress(watch_all)
    progress.enter("finding pairs")
    refuse_data_set(stereo_dir)
    discovery = discover(stereo_dir, config.inputs, progress.at, skip=is_data_set)
    if not discovery.sources:
        raise StoreError(_no_pairs_message(stereo_dir, discovery))
    progress.enter("loading the networks")
    device = choose_device(config.device)
    limit_threads(config.jobs)
    flow, flow_message = load_flow(config.flow, config.flow_weights, device)
    segmenter, segmenter_message = load_segmenter(config.segmenter, config.segmenter_weights, device)
    network = load_depth(config.mono, device)
    depth = MemoizedDepth(network) if network else None
    models = Models(flow, segmenter, depth)
    mono_message = depth.name if depth else "no monocular depth network"
    progress.notes += [f"flow: {flow_message}", f"segmentation: {segmenter_message}", f"mono: {mono_message}"]
    progress.enter("finding pairs")
    discovery = replace(discovery, sources=with_film_orders(discovery.sources, depth, progress.at))
    sources = sources_of_part(discovery.sources, config.part)[: config.limit]
    with Store(out, identity(config, models), overwrite) as store:
        heartbeat.start()
        limits = thresholds_of(out)
        refiltered = {"thresholds": asdict(limits)} if limits != config.thresholds else {}
        if refiltered:
            config = replace(config, thresholds=limits)
            progress.notes.append(f"filters: the limits that `refilter` gave {out}, not those of this command")
        _forget_changed(store, stereo_dir)
        _forget_recalibrated(store, sources)
        recorded = [store.records[source.key] for source in sources if source.key in store.records]
        whole = discovery.sources  # groups and clips are measured whole: a label must not depend on --limit or --part
        if config.eyes == "auto" and len(recorded) < len(sources):
            progress.enter("comparing the eye orders")
            whole = with_group_orders(whole, stereo_dir, depth, progress.at, config.max_side)
        missing = {source.clip for source in sources if source.clip and source.key not in store.records}
        if missing:
            progress.enter("aligning the clips of films")
            whole = with_clip_alignments(whole, config, missing, progress.at)
        sources = sources_of_part(whole, config.part)[: config.limit]
        progress.start(len(sources), Counter(record["status"] for record in recorded))

        failures = _label_pairs(sources, models, config, store, stereo_dir, progress)
        failures += [
            {"key": _below(file.path, stereo_dir), "detail": file.trace} for file in discovery.left_out if file.trace
        ]
        store.write_errors(failures)
        progress.enter("comparing pictures for duplicates")
        rows = final_rows(store, discovery, config, stereo_dir)
        if sequences_of(rows):
            progress.enter("measuring the flicker of films")
            set_flicker(rows, out, progress.at)
        counts = Counter(row["status"] for row in rows)
        duplicates = sum(row["reason"] == DUPLICATE for row in rows)
        progress.counts = Counter(
            kept=counts["kept"], rejected=counts["rejected"] - duplicates, duplicate=duplicates, failed=len(failures)
        )
        progress.enter("writing the manifest")
        store.finish(
            rows,
            {
                "finished": not failures,  # else --overwrite, given again, would replace what it should complete
                **refiltered,
                "versions": _versions(),
                "device": str(device),
                "flow": flow_message,
                "segmentation": segmenter_message,
                "mono": mono_message,
                "input": str(stereo_dir),
                "input_fingerprint": _fingerprint(discovery.sources),
                **({"part": list(config.part)} if config.part else {}),
                "counts": dict(sorted(counts.items())),
                "pairs_done_before_this_run": progress.resumed,
                "seconds_of_this_run": round(time.monotonic() - started, 1),
            },
        )
        progress.enter("drawing the grid and the report")
        write_grid(out)
        write_report(out)
        heartbeat.stop()
    return Summary(
        out=out,
        kept=counts["kept"],
        rejected=counts["rejected"],
        duplicates=duplicates,
        reasons=dict(Counter(row["reason"] for row in rows if row["status"] == "rejected").most_common()),
        left_out=dict(Counter(row["reason"] for row in rows if row["status"] == "left-out").most_common()),
        failed=[record["key"] for record in failures],
        flow=flow.name,
        segmenter=segmenter.name,
        seconds=time.monotonic() - started,
        redone=len(store.lost & store.records.keys()),
        lost=len(store.lost - store.records.keys()),
        damaged_lines=len(store.damaged),
    )


def _require_unicode(folder: Path) -> None:
    """Raise SettingsError where the path of a folder is no UTF-8, which manifest, pages and exports could not name."""
    try:
        str(folder.resolve()).encode()
    except UnicodeEncodeError:
        raise SettingsError(f"the path {str(folder)!a} is not UTF-8: rename the folder") from None


def _label_pairs(
    sources: Sequence[PairSource],
    models: Models,
    config: BuildConfig,
    store: Store,
    stereo_dir: Path,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Take every pair that is not recorded through the pipeline; return the records of those that failed.

    Raises KeyboardInterrupt with a sentence on what is recorded.
    """

    def finish(outcome: Outcome, seconds: float) -> dict[str, Any]:
        return _finish(outcome, store, config, models, stereo_dir) | {"seconds": round(seconds, 2)}

    failures: list[dict[str, Any]] = []
    try:
        for record in run_local(sources, models, config, store.records.__contains__, finish, progress.step):
            if record["stage"] == FAILED:
                failures.append(record)
            else:
                store.record(record)
            status = FAILED if record["stage"] == FAILED else record["status"]
            progress.end(Recorded(record["key"], status, record["stage"], record["reason"], record["seconds"]))
    except KeyboardInterrupt:
        recorded = sum(source.key in store.records for source in sources)
        done = f"{recorded} of {len(sources)} pairs are recorded"
        raise KeyboardInterrupt(f"{done}. Nothing is lost: the same command goes on from here.") from None
    return failures


def identity(config: BuildConfig, models: Models) -> dict[str, Any]:
    """What two runs must share to write into one folder: method, settings, networks and their checksums.

    config: its settings of the method count, not those of speed. models: the loaded flow network and segmenter.
    """
    return {
        "method": METHOD,
        **config.method(),
        "flow": models.flow.name,
        "flow_weights_sha256": models.flow.weights.sha256 if models.flow.weights else None,
        "segmenter": models.segmenter.name,
        "segmenter_weights_sha256": models.segmenter.weights.sha256 if models.segmenter.weights else None,
        "mono": models.depth.name if models.depth else "none",
        "mono_weights_sha256": models.depth.weights.sha256 if models.depth else None,
    }


def _finish(outcome: Outcome, store: Store, config: BuildConfig, models: Models, stereo_dir: Path) -> dict[str, Any]:
    """Write a pair's files and return its journal record, in the manifest's columns."""
    source, prepared, evidence, rejection = outcome.source, outcome.prepared, outcome.evidence, outcome.rejection
    kept = rejection is None
    record: dict[str, Any] = {
        **columns_of(source),
        "left": _below(source.left, stereo_dir),
        "right": _below(source.right, stereo_dir),
        "calibration_sha256": calibration_digest(source.calibration),
        "calibration": json.dumps([_below(file, stereo_dir) for file in source.calibration])
        if source.calibration
        else None,
        **verdict_columns(rejection),
        "flow": models.flow.name,
        "segmenter": models.segmenter.name,
    }
    if rejection is not None:
        record["detail"] = _portable_text(rejection.detail, stereo_dir)
        if rejection.stage == "read":
            record["file_states"] = state_of((source.left, source.right))
    if evidence is not None and prepared is not None:
        height, width = evidence.pair.left.shape[:2]
        record |= {
            "width": width,
            "height": height,
            "source_width": evidence.pair.source_size[0],
            "source_height": evidence.pair.source_size[1],
            "crop": evidence.pair.crop,
            "source_sha256": evidence.pair.digest,
            "perceptual_hash": str(imagehash.phash(Image.fromarray(evidence.pair.left))),
            "eyes_exchanged": prepared.eyes_swapped,
            "aligned": not prepared.alignment.is_identity,
            "homography": None
            if prepared.alignment.is_identity
            else json.dumps([float(value) for value in prepared.alignment.homography.ravel()]),
            **_calibration_columns(prepared.calibrated, stereo_dir),
            **_range_columns(evidence.label),
            "quality": nine_digits(quality(evidence.measurements)),
            "margin": nine_digits(margin(evidence.measurements, config.thresholds)),
        }
        record |= {name: nine_digits(value) for name, value in evidence.measurements.items()}
        record["files"] = store.write_label(
            source.key, evidence.pair.left, evidence.pair.lossless, evidence.label, strip(evidence), kept
        )
    return record


def _forget_changed(store: Store, stereo_dir: Path) -> None:
    """Drop the records of pairs that could not be read and whose files are others now.

    A file that is still being copied is cut or empty for a moment. Whole, it may have another key, or the same one.
    """
    base = stereo_dir if stereo_dir.is_dir() else stereo_dir.parent
    for key, record in list(store.records.items()):
        files = [base / record[side] for side in ("left", "right") if record.get("file_states") and record.get(side)]
        if files and state_of(files) != record["file_states"]:
            del store.records[key]


def _forget_recalibrated(store: Store, sources: Sequence[PairSource]) -> None:
    """Drop the records of pairs that were labelled with another calibration, or another offset of films, than now."""
    for source in sources:
        record = store.records.get(source.key)
        if record is not None and (
            record.get("calibration_sha256") != calibration_digest(source.calibration)
            or (record.get("film_offset_s") or 0.0) != source.offset
        ):
            del store.records[source.key]


def _calibration_columns(calibrated: Calibrated, stereo_dir: Path) -> dict[str, Any]:
    geometry = calibrated.geometry
    return {
        "rectified": calibrated.rectified,
        "calibration_note": _portable_text(calibrated.note, stereo_dir) or None,
        "fx_px": nine_digits(geometry.fx_px) if geometry else None,
        "baseline_m": nine_digits(geometry.baseline_m) if geometry else None,
        "doffs_px": nine_digits(geometry.doffs_px) if geometry else None,
    }


def _range_columns(label: Label) -> dict[str, float | None]:
    """The range of a label's disparity, sky left out."""
    known = label.disparity[(label.mask == Mask.MEASURED) | (label.mask == Mask.FILLED)]
    low, high = (float(known.min()), float(known.max())) if known.size else (None, None)
    return {"min_px": nine_digits(low), "max_px": nine_digits(high)}


def _below(path: Path, stereo_dir: Path) -> str:
    """A source's path as the manifest names it, the same wherever the input folder lies."""
    base = stereo_dir if stereo_dir.is_dir() else stereo_dir.parent
    return _portable_text(path.relative_to(base).as_posix(), stereo_dir)


def _portable_text(text: str, stereo_dir: Path) -> str:
    """Text fit for the manifest: without the place of the input folder; bytes of a name that are no UTF-8 escaped."""
    return os.fsencode(text.replace(f"{stereo_dir}{os.sep}", "")).decode("utf-8", "backslashreplace")


def final_rows(store: Store, discovery: Discovery, config: BuildConfig, stereo_dir: Path) -> list[dict[str, Any]]:
    """The manifest's rows: journal records judged as one set, then the files that are in no pair.

    store: the open folder, whose files are moved to where their verdict puts them. discovery: where the files in no
    pair come from. config: its thresholds judge. stereo_dir: the input folder, to which paths in the rows are relative.
    """
    return store.judge(config.thresholds) + [
        left_out_row(_below(file.path, stereo_dir), file.reason, _portable_text(file.detail, stereo_dir))
        for file in discovery.left_out
    ]


def _fingerprint(sources: Sequence[PairSource]) -> str:
    """SHA-256 over the keys, which hold each file's path below the input folder, size and a sample."""
    return hashlib.sha256("\n".join(source.key for source in sources).encode()).hexdigest()


def _versions() -> dict[str, str]:
    packages = ("redweb-builder", "torch", "torchvision", "opencv-python", "kornia", "numpy", "pillow")
    return {"format": FORMAT, "python": platform.python_version(), **{name: _version(name) for name in packages}}


def _version(package: str) -> str:
    try:
        return version(package)
    except ImportError:
        return "not installed as a package"


def _no_pairs_message(folder: Path, discovery: Discovery) -> str:
    reasons = Counter(left_out.reason for left_out in discovery.left_out)
    text = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common()) or "no picture files at all"
    return f"no stereo pair found in {folder} ({text}). `build-redweb {folder} --dry-run` shows file by file."
