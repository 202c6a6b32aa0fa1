"""report.html of a data set: what was kept, what was not, why, and what the labels look like.

One file that opens from the disk and shows the pictures that lie beside it: the strips in previews/, and the stored
photographs, labels and masks for a closer look. Nothing is fetched from elsewhere, and nothing in it changes with time:
one data set, one report.
"""

from __future__ import annotations

import base64
import hashlib
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from redweb_builder.colour import MASK_COLOURS, confidence_colours, disparity_colours
from redweb_builder.criteria import CROSS_AGREEMENT
from redweb_builder.dataset.codec import image_bytes
from redweb_builder.dataset.curation import Curation, read_curation, with_agreement
from redweb_builder.dataset.decisions import FILE, STAGE, as_decided, is_disputed, read_decisions, standing
from redweb_builder.dataset.facts import facts_of
from redweb_builder.dataset.journal import faults_of_files, list_files, read_journal
from redweb_builder.dataset.paths import (
    image_of,
    input_folder,
    read_build,
    read_map,
    read_stored,
    require_inside,
    sample_root,
    stored_file,
)
from redweb_builder.dataset.reader import read_manifest
from redweb_builder.dataset.verdicts import thresholds_of
from redweb_builder.errors import StoreError
from redweb_builder.files import remove_temporaries, write_atomic
from redweb_builder.filters.checks import Check, checks
from redweb_builder.filters.wording import REASONS
from redweb_builder.inspect.drawn import Drawn
from redweb_builder.inspect.grid import choose
from redweb_builder.inspect.histogram import HEIGHT, WIDTH, Histogram, histogram
from redweb_builder.inspect.strip import tile_size
from redweb_builder.inspect.table import NUMBERS, table
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


def write_report(dataset: Path, single: Path | None = None) -> Drawn:
    """Write report.html into a finished data set; a labelled pair whose files are missing is shown without them.

    Pairs whose files are missing or have another size than was written are named in what is returned.

    dataset: its folder. single: a file of its own instead, with small pictures of the most telling pairs in it, to be
    sent alone. Raises StoreError where `dataset` is none.
    """
    built = read_manifest(dataset).rows
    decisions = read_decisions(dataset / FILE)[0]
    curation, damaged = _curation(dataset)
    rows = with_agreement(as_decided(built, decisions), curation)
    pairs = [row for row in rows if row["key"] is not None]
    limits = {check.measurement: check for check in checks(thresholds_of(dataset))}
    data, missing = _data(dataset, choose(pairs, SINGLE_PAIRS) if single else pairs, limits, single is not None)
    disputed = {key for key, verdicts in standing(decisions).items() if is_disputed(verdicts)}
    data["columns"].append("disputed")
    for values in data["rows"]:
        values.append(values[0] in disputed)
    script = _own("common.js") + _own("report.js")
    template = _environment().get_template("report.html")
    page = template.render(
        name=dataset.resolve().name,
        version=__version__,
        counts=Counter(row["status"] for row in rows),
        pairs=len(pairs),
        funnel=funnel(pairs),
        histograms=_histograms(pairs, limits),
        drawing=(WIDTH, HEIGHT),
        facts=facts_of(read_build(dataset)),
        left_out=[row for row in rows if row["key"] is None],
        reasons=REASONS,
        data=data,
        single=single is not None,
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
    return Drawn(file, [*damaged, *missing])


def _curation(dataset: Path) -> tuple[Curation, list[str]]:
    """The curation of a set, empty with a sentence where its file is damaged."""
    try:
        return read_curation(dataset), []
    except StoreError as error:
        return Curation(), [str(error)]


def funnel(pairs: Sequence[Mapping[str, Any]]) -> list[Step]:
    """How many pairs passed each stage, and the reasons of those that did not.

    pairs: manifest rows as decided, without the files that are in no pair. The step of the review is left out where
    nobody rejected a pair.
    """
    steps = [Step("pairs were found", len(pairs), 1.0, [])]
    left = len(pairs)
    for title, stage in STEPS:
        lost = Counter(str(row["reason"]) for row in pairs if row["status"] == "rejected" and row["stage"] == stage)
        left -= lost.total()
        if stage != STAGE or lost:
            steps.append(Step(title, left, left / max(len(pairs), 1), lost.most_common()))
    return steps


def _histograms(pairs: Sequence[Mapping[str, Any]], limits: Mapping[str, Check]) -> list[Histogram]:
    """Every measurement that some pair has; those that filters judge come first."""
    groups = [[row for row in pairs if row["status"] == status and row["width"]] for status in ("kept", "rejected")]
    names = [*limits, *(name for name in (*NUMBERS, CROSS_AGREEMENT) if name not in limits and name != "margin")]
    drawn = []
    for name in names:
        kept, rejected = ([_number(row.get(name)) for row in group] for group in groups)
        drawn.append(histogram(name, kept, rejected, limits.get(name)))
    return [drawing for drawing in drawn if drawing is not None]


def _data(
    dataset: Path, pairs: Sequence[Mapping[str, Any]], limits: Mapping[str, Check], single: bool
) -> tuple[dict[str, Any], list[str]]:
    """What report.js works on, the table of pairs and where the files of each lie; and the files that are missing.

    single: the pictures themselves are in it.
    """
    data, source = table(pairs, limits), None if single else _source_folder(dataset)
    missing: list[str] = []
    faults = _faults_of_sizes(dataset)
    data |= {"single": single}
    data["columns"] += ["image", "home", "source", "strip", "confidence"]
    for values, row in zip(data["rows"], pairs, strict=True):
        links = [f"{source}/{quote(row[eye])}" if source and row[eye] else None for eye in ("left", "right")]
        ending, home = _stored(dataset, row, missing)
        if home is not None and row["key"] in faults:
            missing.append(faults[row["key"]])
        pictures = _embedded(dataset, row["key"], missing) if single and home is not None else (None, None)
        values += [ending, home if pictures[0] or not single else None, links, *pictures]
    return data, missing


def _faults_of_sizes(dataset: Path) -> dict[str, str]:
    """By key, a sentence about a pair whose files have another size than was written; their contents are not read."""
    try:
        records, there = read_journal(dataset).records, list_files(dataset)
    except OSError:  # a journal that is a link or a folder: `check` says so
        return {}
    return {
        key: f"{dataset / file}: {what}"
        for key, record in records.items()
        for file, what in reversed(list(faults_of_files(record, there)))
    }


def _embedded(dataset: Path, key: str, missing: list[str]) -> tuple[str | None, str | None]:
    """The strip and the small confidence of a pair as addresses that hold them; None, None where one is damaged."""
    try:
        strip = require_inside(dataset, dataset / "previews" / f"{key}.jpg")
        read_stored(strip)
        confidence = read_map(stored_file(dataset, "confidence", key))[0]
    except StoreError as error:
        missing.append(str(error))
        return None, None
    size = tile_size(*confidence.shape[:2])
    small = Image.fromarray(cv2.resize(confidence, size, interpolation=cv2.INTER_AREA))
    contents = (("jpeg", strip.read_bytes()), ("png", image_bytes(small, "PNG")))
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


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


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
