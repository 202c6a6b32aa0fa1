"""One call from a folder of stereo photographs to a data set on disk."""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial
from itertools import islice
from pathlib import Path
from shlex import quote
from typing import Any

import pyarrow as pa

from redweb_builder.builder.engines import FAILED, run_local
from redweb_builder.builder.eye_orders import EyeOrders
from redweb_builder.builder.finish import finish
from redweb_builder.builder.models import identity, load_models, versions
from redweb_builder.builder.summary import Summary, counts_of
from redweb_builder.builder.unchanged import digest_of_input, forget, remember, unchanged_build
from redweb_builder.config import AUTO_PRECISION, PRECISIONS, BuildConfig
from redweb_builder.dataset.clips import sequences_of
from redweb_builder.dataset.flicker import with_flicker
from redweb_builder.dataset.heartbeat import Heartbeat
from redweb_builder.dataset.label_writer import LabelWriter
from redweb_builder.dataset.manifest import (
    columns_of,
    count_values,
    left_out_row,
    nine_digits,
    table_of,
    verdict_columns,
)
from redweb_builder.dataset.parts import folder_of_part, sources_of_part
from redweb_builder.dataset.paths import is_data_set, read_build, refuse_data_set
from redweb_builder.dataset.verdicts import thresholds_of
from redweb_builder.dataset.writer import Store
from redweb_builder.errors import EngineError, SettingsError, StoreError
from redweb_builder.files import real_path
from redweb_builder.inputs.copies import side_by_side
from redweb_builder.inputs.discover import Discovery, discover
from redweb_builder.inputs.formats.calibration import calibration_digest
from redweb_builder.inputs.portable import path_below, portable_text
from redweb_builder.inputs.remote import address_of, input_id, require_folder, shown
from redweb_builder.inputs.walk import state_of
from redweb_builder.inspect.report import write_report
from redweb_builder.inspect.show import write_grid
from redweb_builder.networks.device import choose_device, limit_threads
from redweb_builder.pair_sources import PairSources
from redweb_builder.pipeline import Models, Outcome
from redweb_builder.progress import Progress, Recorded
from redweb_builder.rectification.clip_alignment import with_clip_alignments
from redweb_builder.rectification.film_order import with_film_orders
from redweb_builder.rectification.group_order import with_group_orders
from redweb_builder.types import PairSource, Rejection

REPLACED = "replaced"  # the reason of a pair whose photographs have other contents now
RECORDS_AT_ONCE = 1024  # that are asked of the journal
SOURCE_COLUMNS = ("left", "right", "calibration", "calibration_sha256", "flow", "segmenter")  # beside columns_of


def build(
    stereo_dir: str | os.PathLike[str],
    out: str | os.PathLike[str] = "redweb",
    config: BuildConfig | None = None,
    *,
    overwrite: bool = False,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> Summary:
    """Build a ReDWeb-style relative-depth data set from stereo pairs.

    stereo_dir: folder of the photographs and films, or one file; of this machine, or the address of one in remote
    storage. out: folder of the data set; an earlier build of the same kind in it goes on, and finished pairs whose
    files are gone are done again; a part has a folder of its own in it, for merge.py. config: the settings. overwrite:
    replace a data set of other settings. watch: called whenever there is something new to show.
    Where the set was finished and no file is another than then (unchanged.py), nothing is done.
    Raises FileNotFoundError or NotADirectoryError (the input), StoreError and UnsafePath (the output),
    WeightsUnavailable (weights asked for by name), ValueError (settings). A pair that cannot be used is recorded, never
    raised.
    """
    started = time.monotonic()
    config = config or BuildConfig()
    require_folder(out, "build on a disk, then `export --format webdataset --out` to the storage")
    stereo_dir, out = Path(stereo_dir), Path(out)
    networks = (config.flow, config.flow_weights, config.segmenter_weights, config.mono)
    of_pairs = (config.inputs.pairs, *(config.inputs.pair or ()))
    for text in (real_path(stereo_dir), real_path(out), *filter(None, (*networks, *of_pairs))):
        _require_unicode(str(text))
    if not overwrite and (finished := unchanged_build(stereo_dir, out, config, watch)):
        return finished
    out = folder_of_part(out, config.part) if config.part else out
    of_input = digest_of_input(stereo_dir, config)
    heartbeat = Heartbeat(out)

    def watch_all(progress: Progress) -> None:
        heartbeat.beat(progress)
        watch(progress)

    progress = Progress(watch_all)
    progress.enter("finding pairs")
    refuse_data_set(stereo_dir)
    discovery = discover(stereo_dir, config.inputs, progress.at, skip=is_data_set)
    if not discovery.sources:
        raise StoreError(_no_pairs_message(shown(stereo_dir), discovery))
    progress.enter("loading the networks")
    config = _with_precision_of(out, config, overwrite)
    device = choose_device(config.device)
    limit_threads(config.jobs)
    models, messages = load_models(config, device)
    progress.notes += [f"{name}: {message}" for name, message in messages.items()]
    sources = sources_of_part(discovery.sources, config.part)
    is_limited = config.limit is not None and len(sources) > config.limit
    sources = sources[: config.limit]
    with Store(out, identity(config, models), overwrite) as store:
        forget(out)
        heartbeat.start()
        limits = thresholds_of(out)
        refiltered = {"thresholds": asdict(limits)} if limits != config.thresholds else {}
        if refiltered:
            config = replace(config, thresholds=limits)
            progress.notes.append(f"filters: the limits that `refilter` gave {out}, not those of this command")
        _forget_outdated(store, stereo_dir, discovery.base, sources)
        if replaced := _reject_replaced(store, stereo_dir, discovery.sources):
            progress.notes.append(f"{REPLACED}: {replaced} of the pairs, whose photographs are others now")
        is_whole = all(key in store.records for key in sources.all_keys())
        whole = discovery.sources  # groups and clips are measured whole: a label must not depend on --limit or --part
        if not is_whole:
            progress.enter("comparing the eye orders")
            ask = EyeOrders(out, models.depth)
            cores = config.jobs if config.engine == "local" else None  # with Ray it is the cores of a worker
            whole = with_film_orders(whole, ask, progress.at, cores)
            if config.eyes == "auto":
                whole = with_group_orders(whole, stereo_dir, ask, progress.at, config.max_side, cores)
        missing = {source.clip for source in sources if source.clip and source.key not in store.records}
        if missing:
            progress.enter("aligning the clips of films")
            whole = with_clip_alignments(whole, config, missing, progress.at)
        sources = sources_of_part(whole, config.part)[: config.limit]
        everything, of_sources = _count_records(store, sources)
        heartbeat.count(everything)
        progress.start(len(sources), of_sources)

        failures = _label_pairs(sources, models, config, store, stereo_dir, progress)
        failures += [
            {"key": path_below(file.path, stereo_dir), "detail": portable_text(file.trace, stereo_dir)}
            for file in discovery.left_out
            if file.trace
        ]
        store.write_errors(failures)
        progress.enter("comparing pictures for duplicates")
        rows = final_rows(store, discovery, config, stereo_dir)
        if sequences_of(rows):
            progress.enter("measuring the flicker of films")
        rows = with_flicker(rows, out, progress.at)
        counts = counts_of(rows)
        duplicates = counts["duplicates"]
        progress.counts = Counter(
            kept=counts["kept"], rejected=counts["rejected"] - duplicates, duplicate=duplicates, failed=len(failures)
        )
        progress.enter("writing the manifest")
        store.finish(
            rows,
            {
                "finished": not failures,  # else --overwrite, given again, would replace what it should complete
                **refiltered,
                "versions": versions(),
                "device": str(device),
                **messages,
                "input": shown(stereo_dir),
                "input_fingerprint": _fingerprint(discovery.sources),
                **({"pairing": pairing} if (pairing := config.inputs.pairing()) else {}),
                **({"files": files} if (files := _names_of_files(config)) else {}),
                **({"part": list(config.part)} if config.part else {}),
                **({"limit": config.limit} if is_limited else {}),
                "counts": dict(sorted(count_values(rows["status"]).items())),
                "pairs_done_before_this_run": progress.resumed,
                "seconds_of_this_run": round(time.monotonic() - started, 1),
            },
        )
        progress.enter("drawing the grid and the report")
        write_grid(out)
        write_report(out, compare_sizes=False)
        if not failures:
            remember(out, of_input, rows)
        heartbeat.stop()
    return Summary(
        out=out,
        **counts,
        failed=[record["key"] for record in failures],
        flow=models.flow.name,
        segmenter=models.segmenter.name,
        seconds=time.monotonic() - started,
        redone=len(store.lost & store.records.keys()),
        lost=len(store.lost - store.records.keys()),
        damaged_lines=len(store.damaged),
    )


def _with_precision_of(out: Path, config: BuildConfig, overwrite: bool) -> BuildConfig:
    """The settings, with the flow's precision that an earlier build in the folder began with, unless they name one."""
    there = read_build(out)
    identity = there.get("identity")
    if config.precision != AUTO_PRECISION or not isinstance(identity, dict) or (overwrite and there.get("finished")):
        return config
    precision = identity.get("flow_precision")
    return replace(config, precision=precision) if precision in PRECISIONS else config


def _names_of_files(config: BuildConfig) -> dict[str, str]:
    """The names of the user's files that the identity does not name, by option; their folders are nobody's business."""
    files = {
        "pairs": config.inputs.pairs,
        "flow_weights": config.flow_weights,
        "segmenter_weights": config.segmenter_weights,
    }
    return {option: file.name for option, file in files.items() if file}


def _require_unicode(path: str) -> None:
    """Raise SettingsError where a path is no UTF-8, which build.json, manifest, pages and exports could not name."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise SettingsError(f"{path!a} is not UTF-8: rename it") from None


def _label_pairs(
    sources: PairSources,
    models: Models,
    config: BuildConfig,
    store: Store,
    stereo_dir: Path,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Take every pair that is not recorded through the pipeline; return the records of those that failed.

    Raises KeyboardInterrupt with a sentence on what is recorded.
    """

    finish_pair = partial(
        finish,
        writer=LabelWriter(store.out),
        thresholds=config.thresholds,
        networks={"flow": models.flow.name, "segmenter": models.segmenter.name},
        stereo_dir=stereo_dir,
    )
    failures: list[dict[str, Any]] = []
    try:
        with closing(_records(sources, models, config, store, finish_pair, progress)) as records:
            for record in records:
                if record["stage"] == FAILED:
                    failures.append(record)
                else:
                    store.record(record)
                status = FAILED if record["stage"] == FAILED else record["status"]
                progress.end(Recorded(record["key"], status, record["stage"], record["reason"], record["seconds"]))
    except KeyboardInterrupt:
        recorded = sum(key in store.records for key in sources.all_keys())
        done = f"{recorded} of {len(sources)} pairs are recorded"
        raise KeyboardInterrupt(f"{done}. Nothing is lost: the same command goes on from here.") from None
    return failures


def _records(
    sources: PairSources,
    models: Models,
    config: BuildConfig,
    store: Store,
    finish_pair: Callable[[Outcome, float], dict[str, Any]],
    progress: Progress,
) -> Generator[dict[str, Any], None, None]:
    """The records of all pairs that are not recorded, from the engine that is asked for."""
    is_done = store.records.__contains__
    if config.engine == "local":
        return run_local(sources, models, config, is_done, finish_pair, progress.step)
    try:
        from redweb_builder.builder.ray_engine import run_ray
    except ModuleNotFoundError as error:
        raise EngineError(f"--engine ray needs Ray ({error}): pip install 'redweb-builder[ray]'") from error
    return run_ray(sources, models, config, is_done, finish_pair, progress, store.out)


def _count_records(store: Store, sources: PairSources) -> tuple[Counter[tuple[str, str | None]], Counter[str]]:
    """How many recorded pairs have each status and reason; and how many of some sources have each status."""
    everything, of_sources = Counter[tuple[str, str | None]](), Counter[str]()
    for key, record in store.records.entries():
        everything[record["status"], record["reason"]] += 1
        if sources.has_key(key):
            of_sources[record["status"]] += 1
    return everything, of_sources


def _forget_outdated(store: Store, stereo_dir: Path, base: Path, sources: PairSources) -> None:
    """Drop the records of pairs whose input is another now: `_is_recalibrated`, or files that could not be read.

    Also of those whose photographs had been replaced, and are back. A file that is still being copied is cut or empty
    for a moment. Whole, it may have another key, or the same one. Pairs of another input stay.
    stereo_dir: the input, and base its folder. sources: the pairs of this build.
    """
    here = input_id(stereo_dir)
    unread: list[dict[str, Any]] = []
    for source, record in _recorded(store, sources):
        if record.get("reason") == REPLACED or _is_recalibrated(source, record):
            del store.records[source.key]
        elif record.get("file_states"):
            unread.append(record)
    others = store.records.read(_others(store, sources))
    unread += (record for record in others if record.get("file_states") and record.get("input") == here)
    files = [[base / record[side] for side in ("left", "right") if record.get(side)] for record in unread]
    states = side_by_side(state_of, files, address_of(base) is not None)
    for record, named, now in zip(unread, files, states, strict=True):
        if named and now != record["file_states"]:
            del store.records[record["key"]]


def _recorded(store: Store, sources: PairSources) -> Iterator[tuple[PairSource, dict[str, Any]]]:
    """The sources that are recorded, each with its record, which may be deleted meanwhile."""
    recorded = (source for source in sources if source.key in store.records)
    while block := [*islice(recorded, RECORDS_AT_ONCE)]:
        yield from zip(block, store.records.read([source.key for source in block]), strict=True)


def _others(store: Store, sources: PairSources) -> list[str]:
    """The keys of recorded pairs that are none of some sources."""
    return [key for key in store.records if not sources.has_key(key)]


def _reject_replaced(store: Store, stereo_dir: Path, sources: PairSources) -> int:
    """Reject recorded pairs whose photographs have other contents now, and remove their labels; how many there are.

    Both would be in the set, one of them with the label of a picture that is gone. Pairs whose photographs are missing
    stay, and so do those of another input with the same names: folders are built one after the other into one set.
    sources: all pairs of the input.
    """
    others = _others(store, sources)
    if not others:
        return 0
    places = {_place_of(record) for record in store.records.read(others)}
    by_place = {}
    for source in sources:
        place = _place(path_below(source.left, stereo_dir), path_below(source.right, stereo_dir), source.time)
        if place in places:
            by_place[place] = source
    here, replaced = input_id(stereo_dir), 0
    for record in list(store.records.read(others)):
        if record.get("reason") == REPLACED:
            store.remove_label(record["key"])  # the build that recorded it may have been killed before it came to this
            continue
        now = by_place.get(_place_of(record))
        if now is None or record.get("input") != here:
            continue
        columns = {name: record.get(name) for name in (*columns_of(now), *SOURCE_COLUMNS)}
        rejection = Rejection("read", REPLACED, detail=f"its files have other contents now: {now.key}")
        store.record({**columns, **verdict_columns(rejection), "input": here, "seconds": 0.0})
        store.remove_label(record["key"])
        replaced += 1
    return replaced


def _place(left: str | None, right: str | None, time: float | None) -> tuple[str | None, str | None, float | None]:
    """What says which photographs, or which moment of which film, a pair is of."""
    return left, right, nine_digits(time)


def _place_of(record: Mapping[str, Any]) -> tuple[str | None, str | None, float | None]:
    return _place(record.get("left"), record.get("right"), record.get("film_time_s"))


def _is_recalibrated(source: PairSource, record: Mapping[str, Any]) -> bool:
    """Whether a pair was labelled with another calibration, or another offset of films, than now."""
    calibration = calibration_digest(source.calibration)
    return record.get("calibration_sha256") != calibration or (record.get("film_offset_s") or 0.0) != source.offset


def final_rows(store: Store, discovery: Discovery, config: BuildConfig, stereo_dir: Path) -> pa.Table:
    """The manifest's rows: journal records judged as one set, then the files that are in no pair.

    store: the open folder, whose files are moved to where their verdict puts them. discovery: where the files in no
    pair come from. config: its thresholds judge. stereo_dir: the input folder, to which paths in the rows are relative.
    """
    left_out = (
        left_out_row(path_below(file.path, stereo_dir), file.reason, portable_text(file.detail, stereo_dir))
        for file in discovery.left_out
    )
    return pa.concat_tables([store.judge(config.thresholds), table_of(left_out)])


def _fingerprint(sources: PairSources) -> str:
    """SHA-256 over the keys, which hold each file's path below the input folder, size and a sample."""
    digest = hashlib.sha256()
    for place, key in enumerate(sources.all_keys()):
        digest.update(("\n" if place else "").encode() + key.encode())
    return digest.hexdigest()


def _no_pairs_message(folder: str, discovery: Discovery) -> str:
    reasons = Counter(left_out.reason for left_out in discovery.left_out)
    text = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common()) or "no picture files at all"
    command = f"python cli.py build-redweb {quote(folder)} --dry-run"
    return f"no stereo pair found in {folder} ({text}). `{command}` shows file by file."
