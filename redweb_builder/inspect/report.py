"""report.html of a data set: what was kept, what was not, why, and what the labels look like.

One file that opens from the disk and shows the pictures that lie beside it: the strips in previews/, and the stored
photographs, labels and masks for a closer look. Where it is to be sent alone, and of shards, small pictures are in it.
Nothing is fetched from elsewhere, and nothing in it changes with time: one data set, one report.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from redweb_builder.colour import MASK_COLOURS, confidence_colours, disparity_colours
from redweb_builder.criteria import CROSS_AGREEMENT, FLICKER
from redweb_builder.dataset.codec import image_bytes
from redweb_builder.dataset.curation import Curation, usable_curation, with_agreement
from redweb_builder.dataset.decisions import FILE, STAGE, as_decided, is_disputed, read_decisions, standing, verdicts_of
from redweb_builder.dataset.facts import facts_of
from redweb_builder.dataset.journal import Sizes, faults_of_files, read_journal
from redweb_builder.dataset.label_reader import read_map, read_stored
from redweb_builder.dataset.manifest import count_values, pairs_of
from redweb_builder.dataset.manifest_file import read_manifest, read_rows, refusal_of
from redweb_builder.dataset.paths import image_of, input_folder, name_of, read_build, sample_root
from redweb_builder.dataset.sample_files import PREVIEW, SampleFiles, content_of
from redweb_builder.dataset.shards import files_of
from redweb_builder.dataset.storage import require_inside
from redweb_builder.dataset.verdicts import thresholds_of
from redweb_builder.errors import StoreError
from redweb_builder.files import remove_temporaries, write_atomic
from redweb_builder.filters.checks import Check, checks
from redweb_builder.filters.wording import REASONS
from redweb_builder.inputs.remote import require_folder
from redweb_builder.inspect.choose import (
    COLUMNS,
    MOST_PAIRS,
    evenly_spaced_keys,
    most_shown,
    some_runs,
    telling_keys,
)
from redweb_builder.inspect.drawn import Drawn
from redweb_builder.inspect.histogram import HEIGHT, WIDTH, Histogram, histogram
from redweb_builder.inspect.strip import tile_size
from redweb_builder.inspect.table import NUMBERS, OF_SOME, TEXTS, table
from redweb_builder.types import Picture
from redweb_builder.version import __version__

STEPS = (  # the words of each step, and the stage of the pairs that are rejected there
    ("could be read", "read"),
    ("could be labelled", "refine"),
    ("passed the filters", "filter"),
    ("were no duplicates", "duplicate"),
    ("stayed after review", STAGE),
)


SINGLE_PAIRS = 200  # in a report of one file; some 80 KB each
MEASURED_PAIRS = 100_000  # whose measurements the histograms show, evenly chosen from more
MOST_LEFT_OUT = 2_000  # files in no pair that are listed; all are counted


@dataclass(frozen=True)
class Step:
    """One step of the funnel.

    title: its name. left: number of pairs that passed it. share: of all pairs, in [0, 1]. lost: (reason, count) of
    those that did not, the most frequent first.
    """

    title: str
    left: int
    share: float
    lost: list[tuple[str, int]]


def write_report(dataset: Path, single: Path | None = None, compare_sizes: bool = True) -> Drawn:
    """Write report.html into a finished data set; a labelled pair whose files are missing is shown without them.

    Pairs whose files are missing or have another size than was written are named in what is returned.

    dataset: its folder, or that of its shards, which may lie in remote storage. single: a file of its own instead, with
    small pictures of the most telling pairs in it, to be sent alone. Of shards every report is such a file.
    compare_sizes: False where a build has just compared what its journal says with the files. Raises StoreError where
    `dataset` is none.
    """
    if single is None:
        require_folder(dataset, "say by --single-file where the report goes")
    stored = files_of(dataset)
    is_single = single is not None or not stored.are_files
    decisions = read_decisions(dataset / FILE)[0]
    curation, damaged = usable_curation(dataset)
    manifest = read_manifest(dataset, COLUMNS)
    verdicts = verdicts_of(decisions)
    rows = as_decided(manifest.table, verdicts)
    pairs = pairs_of(rows)
    some_pairs = some_runs(pairs)
    shown = telling_keys(some_pairs, SINGLE_PAIRS if is_single else most_shown(len(pairs)))
    measured = evenly_spaced_keys(some_pairs, MEASURED_PAIRS)
    some = read_rows(manifest, pa.concat_arrays([shown, measured]), (*TEXTS, *NUMBERS, FLICKER), MOST_LEFT_OUT)
    known = as_decided(some.table, verdicts)
    limits = {check.measurement: check for check in checks(thresholds_of(dataset))}
    chosen = with_agreement(known.filter(pc.is_in(known["key"], shown)).to_pylist(), curation)
    compare_sizes &= stored.are_files and len(pairs) <= MOST_PAIRS  # of more, `check` reads the journal
    faults = _faults_of_sizes(dataset) if compare_sizes else {}
    data, missing = _data(dataset, stored, chosen, limits, faults, is_single)
    disputed = {key for key, people in standing(decisions).items() if is_disputed(people)}
    data["columns"].append("disputed")
    for values in data["rows"]:
        values.append(values[0] in disputed)
    script = _own("common.js") + _own("report.js")
    template = _environment().get_template("report.html")
    page = template.render(
        name=name_of(dataset),
        version=__version__,
        counts=count_values(rows["status"]),
        pairs=len(pairs),
        funnel=funnel(pairs),
        histograms=_histograms(known.filter(pc.is_in(known["key"], measured)), limits, curation),
        measured=len(measured),
        drawing=(WIDTH, HEIGHT),
        facts=facts_of(read_build(dataset)),
        left_out=known.filter(pc.is_null(known["key"])).to_pylist(),
        all_left_out=len(rows) - len(pairs),
        reasons=REASONS,
        data=data,
        single=is_single,
        disputed=bool(disputed),
        depth_table=_channels(disparity_colours()[::-1]),  # of the stored grey: 0 = nearest = bright
        confidence_table=_channels(confidence_colours()),
        mask_tables=_mask_tables(),
        legend=[(mask.name.lower(), "#" + bytes(colour).hex()) for mask, colour in MASK_COLOURS.items()],
        css=_own("tokens.css") + _own("report.css"),
        js=script,
        js_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    file = single or dataset / "report.html"
    remove_temporaries(file.parent)
    write_atomic(file, page.encode())
    return Drawn(file, [*damaged, *missing], refusal_of(some.file, len(rows), some.refused))


def funnel(pairs: pa.Table) -> list[Step]:
    """How many pairs passed each stage, and the reasons of those that did not.

    pairs: manifest rows as decided, without the files that are in no pair. The step of the review is left out where
    nobody rejected a pair.
    """
    rejected = pairs.select(["stage", "reason"]).filter(pc.equal(pairs["status"], "rejected"))
    counted = rejected.group_by(["stage", "reason"], use_threads=False).aggregate([([], "count_all")]).to_pylist()
    steps = [Step("pairs were found", len(pairs), 1.0, [])]
    left = len(pairs)
    for title, stage in STEPS:
        lost = Counter({str(row["reason"]): row["count_all"] for row in counted if row["stage"] == stage})
        left -= lost.total()
        if stage != STAGE or lost:
            steps.append(Step(title, left, left / max(len(pairs), 1), lost.most_common()))
    return steps


def _histograms(pairs: pa.Table, limits: Mapping[str, Check], curation: Curation) -> list[Histogram]:
    """Every measurement that some pair has; those that filters judge come first."""
    agreement = [curation.agreement.get(key) for key in pairs["key"].to_pylist()]
    pairs = pairs.append_column(CROSS_AGREEMENT, pa.array(agreement, pa.float64()))
    labelled = pairs.filter(pc.is_valid(pairs["width"]))
    groups = [labelled.filter(pc.equal(labelled["status"], status)) for status in ("kept", "rejected")]
    names = [*limits, *(name for name in (*NUMBERS, *OF_SOME) if name not in limits and name != "margin")]
    drawn = []
    for name in names:
        kept, rejected = (group[name].to_numpy() for group in groups)
        drawn.append(histogram(name, kept, rejected, limits.get(name)))
    return [drawing for drawing in drawn if drawing is not None]


def _data(
    dataset: Path,
    stored: SampleFiles,
    pairs: Sequence[Mapping[str, Any]],
    limits: Mapping[str, Check],
    faults: Mapping[str, str],
    single: bool,
) -> tuple[dict[str, Any], list[str]]:
    """What report.js works on, the table of pairs and where the files of each lie; and the files that are missing.

    faults: of _faults_of_sizes. single: the pictures themselves are in it.
    """
    data, source = table(pairs, limits), None if single else _source_folder(dataset)
    missing: list[str] = []
    data |= {"single": single}
    data["columns"] += ["image", "home", "source", "strip", "confidence"]
    for values, row in zip(data["rows"], pairs, strict=True):
        links = [f"{source}/{quote(row[eye])}" if source and row[eye] else None for eye in ("left", "right")]
        in_shard = (None, "" if row["width"] else None)
        ending, home = _stored(dataset, row, missing) if stored.are_files else in_shard
        if home is not None and row["key"] in faults:
            missing.append(faults[row["key"]])
        pictures = _embedded(stored, row["key"], missing) if single and home is not None else (None, None)
        values += [ending, home if pictures[0] or not single else None, links, *pictures]
    return data, missing


def _faults_of_sizes(dataset: Path) -> dict[str, str]:
    """By key, a sentence about a pair whose files have another size than was written; their contents are not read."""
    try:
        records, there = read_journal(dataset).records, Sizes(dataset)
    except OSError:  # a journal that is a link or a folder: `check` says so
        return {}
    return {
        key: f"{dataset / file}: {what}"
        for key, record in records.entries()
        for file, what in reversed(list(faults_of_files(record, there)))
    }


def _embedded(stored: SampleFiles, key: str, missing: list[str]) -> tuple[str | None, str | None]:
    """The strip and the small confidence of a pair as addresses that hold them; None, None where one is damaged."""
    try:
        (file, strip), (name, content) = stored.stored(key, PREVIEW, "confidence")
        read_stored(strip, file)
        confidence = read_map(content, name)[0]
    except StoreError as error:
        missing.append(str(error))
        return None, None
    size = tile_size(*confidence.shape[:2])
    small = Image.fromarray(cv2.resize(confidence, size, interpolation=cv2.INTER_AREA))
    contents = (("jpeg", content_of((file, strip))), ("png", image_bytes(small, "PNG")))
    first, second = (f"data:image/{kind};base64,{base64.b64encode(content).decode()}" for kind, content in contents)
    return first, second


def _stored(dataset: Path, row: Mapping[str, Any], missing: list[str]) -> tuple[str | None, str | None]:
    """The picture's extension, and "" or "rejected/"; None, None for a pair without a label or without its files.

    A sentence about a file that is missing is added to `missing`.
    """
    ending = home = None
    try:
        if row["width"]:
            sample_root(dataset, row["key"])  # raises where there is no label
            image = image_of(dataset, row["key"])
            ending, home = image.suffix[1:], "" if image.parent.parent == dataset else "rejected/"
            require_inside(dataset, dataset / "previews" / f"{row['key']}.jpg")
    except StoreError as error:
        missing.append(str(error))
    return ending, home


def _source_folder(dataset: Path) -> str | None:
    """The input folder seen from the data set, as a link; None where it is no longer there."""
    folder = input_folder(dataset)
    if folder is None:
        return None
    try:
        return quote(Path(os.path.relpath(folder.resolve(), dataset.resolve())).as_posix())
    except ValueError:  # on another drive
        return None


def _channels(colours: Picture) -> list[str]:
    """For an SVG filter: red, green and blue of a colour map, 256x3 uint8."""
    table = colours[[*range(0, 255, 8), 255]] / 255
    return [" ".join(f"{value:.3f}" for value in channel) for channel in table.T]


def _mask_tables() -> list[str]:
    """For an SVG filter: the colours of the mask's values 0, 1, 2, 3 of 255."""
    colours = [MASK_COLOURS[mask] for mask in sorted(MASK_COLOURS)]
    tables = [[colours[min(level, len(colours) - 1)][channel] / 255 for level in range(256)] for channel in range(3)]
    return [" ".join(f"{value:.3f}" for value in table) for table in tables]


def _environment() -> Environment:
    """Jinja that escapes whatever a file name or a message holds."""
    environment = Environment(
        loader=PackageLoader("redweb_builder.inspect", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False, "ensure_ascii": False, "separators": (",", ":")}
    return environment


def _own(name: str) -> Markup:
    """A file of ours, put into the page as it is."""
    return Markup((files("redweb_builder.inspect") / "page" / name).read_text(encoding="utf-8"))
