"""Recordings (.rrd) for the Rerun viewer: both views, disparity, confidence, mask, measurements, points.

The timeline `sample` counts the samples of the export. The points in space are plausible, not measured: see points.py.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from redweb_builder.dataset.manifest import MEASUREMENTS
from redweb_builder.dataset.paths import photographs_of
from redweb_builder.dataset.reader import Dataset, Sample
from redweb_builder.dataset.source_views import aligned_views
from redweb_builder.errors import StoreError, UserError
from redweb_builder.export.points import plausible_distances, plausible_focal
from redweb_builder.files import write_atomic
from redweb_builder.filters.wording import value_text, wording
from redweb_builder.process import one_opencv_thread
from redweb_builder.types import Mask, Picture

if TYPE_CHECKING:
    import rerun

FILE_SAMPLES = 50  # a file, which lies in memory here and in the viewer; some 150 MB at 768 px
STEPS = 1000  # of a unit of distance


def write_rerun(dataset: Dataset, keys: Sequence[str], folder: Path, source: Path | None = None) -> Iterator[str]:
    """Write samples-00000.rrd and on; yields each key when it is done.

    dataset, keys: what is exported. folder: an empty folder. source: of the stereo photographs, for the right views;
    default: the one that build.json names. A sample whose photographs are gone has no right view. Raises UserError
    where rerun-sdk is not installed, StoreError, OSError.
    """
    require_rerun()
    source = photographs_of(dataset.folder, source)
    for start in range(0, len(keys), FILE_SAMPLES):
        stream = _recording(keys[start])
        recorded = stream.binary_stream()  # to a file rerun itself would write, and wait for ever on a full disk
        for number, key in enumerate(keys[start : start + FILE_SAMPLES], start):
            stream.set_time("sample", sequence=number)
            _log_sample(stream, dataset, key, _right_view(dataset, key, source))
            yield key
        write_atomic(folder / f"samples-{start // FILE_SAMPLES:05}.rrd", recorded.read() or b"")


def require_rerun() -> None:
    """Raise UserError where rerun-sdk is not installed."""
    try:
        import rerun  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError("the format rerun needs rerun-sdk: pip install 'redweb-builder[rerun]'") from error


def _recording(first: str) -> rerun.RecordingStream:
    """A recording with the layout of the viewer. first: key of its first sample, its name."""
    import rerun
    from rerun import blueprint

    flat = [blueprint.Spatial2DView(origin=name, name=name) for name in ("right", "disparity", "confidence", "mask")]
    left = blueprint.Spatial2DView(origin="camera", contents="camera/left", name="left")
    points = blueprint.Spatial3DView(origin="/", contents="camera/**", name="plausible points")
    views = [left, *flat, points, blueprint.TextDocumentView(origin="pair", name="pair")]
    stream = rerun.RecordingStream(
        "redweb-builder", recording_id=str(uuid.uuid5(uuid.NAMESPACE_OID, first)), send_properties=False
    )
    stream.send_blueprint(blueprint.Blueprint(blueprint.Grid(*views), collapse_panels=True), make_active=False)
    stream.set_log_time_enabled(False)
    stream.set_log_tick_enabled(False)
    stream.log("mask", rerun.AnnotationContext([(value.value, value.word) for value in Mask]), static=True)
    return stream


def _right_view(dataset: Dataset, key: str, source: Path | None) -> Picture | None:
    """The right view as it was matched, HxWx3 uint8 RGB; None where the photographs are gone or have changed."""
    try:
        with one_opencv_thread():  # a right view is aligned as the build did it
            return aligned_views(dataset.folder, dataset.record(key), source).right
    except (StoreError, OSError):
        return None


def _log_sample(stream: rerun.RecordingStream, dataset: Dataset, key: str, right: Picture | None) -> None:
    """Log all of a sample. right: HxWx3 uint8 RGB, or None."""
    import rerun

    sample = dataset[key]
    ending, image = dataset.stored_picture(key)
    height, width = sample.mask.shape
    focal = plausible_focal(width)
    stream.log("camera", rerun.Pinhole(focal_length=focal, width=width, height=height))
    media_type = "image/jpeg" if ending == "jpg" else "image/png"
    stream.log("camera/left", rerun.EncodedImage(contents=image, media_type=media_type))
    stream.log("camera/distance", rerun.DepthImage(plausible_steps(sample), meter=STEPS))
    stream.log("right", rerun.Clear(recursive=False) if right is None else rerun.Image(right, color_model="RGB"))
    stream.log("disparity", rerun.Image(sample.disparity, color_model="L"))
    stream.log("confidence", rerun.Image(sample.confidence, color_model="L"))
    stream.log("mask", rerun.SegmentationImage(sample.mask))
    stream.log("pair", rerun.TextDocument(_text(sample), media_type="text/markdown"))
    for name in MEASUREMENTS:
        if (value := sample.record.get(name)) is not None:
            stream.log(f"measurements/{name}", rerun.Scalars(float(value)))


def plausible_steps(sample: Sample) -> NDArray[np.uint16]:
    """The plausible distance of each pixel, HxW uint16, in 1 / STEPS; 0 = sky or unknown. sample: of a data set."""
    steps = np.zeros(sample.mask.shape, np.uint16)
    known = (sample.mask == Mask.MEASURED) | (sample.mask == Mask.FILLED)
    if known.any():
        steps[known] = np.rint(STEPS * plausible_distances(sample.disparity[known]))
    return steps


def _text(sample: Sample) -> str:
    """Key, source and measurements as Markdown."""
    rows = [
        f"| {wording(name).title} | {value_text(name, float(value))} |"
        for name in MEASUREMENTS
        if (value := sample.record.get(name)) is not None
    ]
    return "\n".join([f"**`{sample.key}`** `{sample.record.get('left')}`", "", "| | |", "| --- | --- |", *rows])
