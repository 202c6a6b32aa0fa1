"""Depth of the pictures of a file, a folder or a film, written in the forms that people use."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from redweb_builder.colour import disparity_picture
from redweb_builder.dataset.depth_png import (
    IN_MILLIMETRES,
    PLACE,
    depth_png,
    is_depth,
    range_text,
    stretched,
    write_depth,
)
from redweb_builder.dataset.float_files import exr_bytes, npy_bytes, pfm_bytes
from redweb_builder.errors import InputError, SettingsError
from redweb_builder.files import real_path, remove_temporaries, require_other_folder, write_atomic
from redweb_builder.inputs.formats import films
from redweb_builder.inputs.isolation import decoded
from redweb_builder.inputs.picture import EXTENSIONS, MIN_SIDE
from redweb_builder.inputs.remote import address_of, input_id, shown
from redweb_builder.inspect.film import film_writer, timed_film_writer
from redweb_builder.types import FloatMap, Picture
from trainer.data.pictures import read_rgb
from trainer.models.eigen import MetricNetwork
from trainer.prediction import stereo_view
from trainer.prediction.predict import predict_depth, require_finite
from trainer.prediction.smoothing import Smoothed
from trainer.types import DataError

P = ParamSpec("P")
T = TypeVar("T")

SHOWN = (1.0, 99.0)  # percentiles at the ends of the colours
GIF_MS = 80  # a picture of a parallax animation
BESIDE = ("colour", "sbs", "anaglyph")  # what a PNG beside NAME.png has after NAME
LOOPS = 5  # of a parallax animation as a film
PARALLAX_GIF, PARALLAX_FILM = "parallax", "parallax-mp4"  # of config.STEREO_FORMS
ANIMATED_SIDE = 640  # px, longer side of one


@dataclass(frozen=True)
class Forms:
    """What is written of every picture, besides the 16-bit PNG and the coloured one.

    side_by_side: the photograph stands left of the colours. one_range: 0 and 65535 are the farthest and the nearest of
    all pictures, so that a film does not flicker with the range of each frame; the network runs twice. film: the
    coloured pictures of a film as OUT/NAME_colour.mp4, and no coloured PNG of every frame. stereo: a second eye's view,
    one of config.STEREO_FORMS: "sbs" = the photograph and the made view side by side, "anaglyph" for red and cyan
    glasses, "parallax" = a GIF that sways, "parallax-mp4" = the same as a film. raw: the network's own numbers as
    float32, one of config.RAW_FORMATS. smooth: share of the frame before in
    every frame of a film, from 0 to below 1, see smoothing.py.
    """

    side_by_side: bool = False
    one_range: bool = False
    film: bool = False
    stereo: str | None = None
    raw: str | None = None
    smooth: float = 0.0

    def __post_init__(self) -> None:
        """Raise SettingsError for a share out of range."""
        if not 0 <= self.smooth < 1:
            raise SettingsError(f"smooth {self.smooth}: must be from 0 to below 1")


@dataclass(frozen=True)
class Origin:
    """Where a picture comes from.

    name: what its results are called. file: the photograph or film. moment: of a film's frame: when it is shown, s.
    """

    name: str
    file: Path
    moment: float | None = None


Predicted = tuple[Origin, Picture, FloatMap]


@dataclass(frozen=True)
class Written:
    """What came of one picture: its name below the source, and the files of it, that of 16 bits first."""

    source: str
    files: tuple[Path, ...]


def predict_files(
    network: nn.Module, source: Path, out: Path, size: int, device: torch.device, forms: Forms | None = None
) -> Iterator[Written | DataError]:
    """Predict a picture, every picture below a folder, or every frame of a film, one at a time.

    network: in eval mode, on `device`. source: the picture, folder or film. out: a folder, where NAME.png (16 bit, 0 =
    farthest and 65535 = nearest of the picture, or millimetres of a metric network) and NAME_colour.png (bright = near)
    are written. size: side of the training crops, px. forms: what else is written. The range stands in the text of the
    PNG. Photographs are upright, as their EXIF says. A film's own files end up in place when its last frame is done.
    A file of a folder that cannot be read is handed out as its error. Raises DataError otherwise; SettingsError where
    `out` is the folder of the source, or NAME.png there a picture and no depth.
    """
    forms = forms or Forms()
    rate = _frame_rate(source)
    if (forms.film or forms.smooth) and rate is None:
        raise DataError(f"{source}: --film and --smooth are for a film, and this is none")
    require_other_folder(out, source)
    out.mkdir(parents=True, exist_ok=True)
    remove_temporaries(out)
    shared = range_of(depths_of(network, source, out, size, device, forms.smooth)) if forms.one_range else None
    with ExitStack() as open_films:
        writers: dict[str, Callable[[Picture, float], None]] = {}

        def write(name: str, kind: str, picture: Picture, moment: float | None) -> list[Path]:
            """A picture as a file of its own, or as the frame at a moment of the film of its kind."""
            if rate is None or moment is None:
                return [_write_picture(out / f"{name}_{kind}.png", picture)]
            if kind not in writers:
                film = timed_film_writer(out / f"{source.stem}_{kind}.mp4", rate)
                writers[kind] = open_films.enter_context(film)
            writers[kind](picture, moment)
            return []

        for predicted in depths_of(network, source, out, size, device, forms.smooth):
            if isinstance(predicted, DataError):
                yield predicted
                continue
            origin, image, depth = predicted
            name, moment = origin.name, origin.moment
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            files = [out / f"{name}.png"]
            values, text = sixteen_bits(network, depth, shared)
            place = input_id(origin.file)
            write_depth(files[0], depth_png(values, {**text, PLACE: place}), place)
            if forms.raw:
                files.append(_write_raw(network, out / f"{name}.{forms.raw}", depth))
            picture = coloured(depth, image, shared, forms.side_by_side)
            files += write(name, "colour", picture, moment if forms.film else None)
            if forms.stereo in (PARALLAX_GIF, PARALLAX_FILM):
                views = _parallax_views(image, depth, shared)
                file = out / f"{name}_parallax.gif"
                files.append(_write_gif(file, views) if forms.stereo == PARALLAX_GIF else _write_loops(file, views))
            elif forms.stereo:
                pair = stereo_picture(forms.stereo, image, depth, shared)
                files += write(name, forms.stereo, pair, moment)
            yield Written(name, tuple(files))


def coloured(depth: FloatMap, image: Picture, ends: tuple[float, float] | None, beside: bool) -> Picture:
    """The depth in colours, bright = near. depth: HxW float32. image: HxWx3, left of it where `beside`.

    ends: the depths of the darkest and the brightest colour; None = percentiles of the picture.
    """
    low, high = ends or np.percentile(depth, SHOWN)
    colour = disparity_picture(depth, float(low), max(float(high), float(low) + 1e-6))
    return np.hstack([image, colour]) if beside else colour


def stereo_picture(form: str, image: Picture, depth: FloatMap, ends: tuple[float, float] | None) -> Picture:
    """The photograph as the left eye's view and a made right one: "sbs" = side by side, or "anaglyph".

    form: one of these.

    image: HxWx3 uint8 RGB. depth: HxW float32, larger = nearer. ends: see `stereo_view.disparity_for_eyes`.
    """
    right = stereo_view.shifted_view(image, stereo_view.disparity_for_eyes(depth, ends))
    return {"sbs": stereo_view.side_by_side, "anaglyph": stereo_view.anaglyph}[form](image, right)


def depths_of(
    network: nn.Module, source: Path, out: Path, size: int, device: torch.device, smooth: float
) -> Iterator[Predicted | DataError]:
    """Everything in a source with its depth; of what cannot be read the error.

    network, source, out, size, device: see `predict_files`. smooth: see `Forms`. Raises DataError where a depth is not
    finite.
    """
    smoothed = Smoothed(smooth, affine=not isinstance(network, MetricNetwork))
    for origin, image in _pictures(source, out):
        if isinstance(image, DataError):
            yield image
            continue
        depth = require_finite(predict_depth(network, image, size, device), origin.name)
        yield origin, image, smoothed(depth, image) if smooth else depth


def range_of(predicted: Iterable[Predicted | DataError]) -> tuple[float, float] | None:
    """The least and the largest depth over all pictures that can be read; None without one.

    predicted: of `depths_of`.
    """
    depths = (entry[2] for entry in predicted if not isinstance(entry, DataError))
    ends = [(float(depth.min()), float(depth.max())) for depth in depths]
    return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else None


def millimetres(inverse: FloatMap) -> NDArray[np.uint16]:
    """Inverse depth as 16-bit millimetres. inverse: HxW float32, 1/m."""
    return np.rint(1000 / inverse).clip(0, 65535).astype(np.uint16)


def _frame_rate(source: Path) -> float | None:
    """Frames a second of a film; None where the source is none. Raises DataError for a film that cannot be read."""
    if source.is_dir() or source.suffix.lower() not in films.EXTENSIONS:
        return None
    if not films.are_readable():
        raise DataError(f"{source}: films need PyAV: pip install 'redweb-builder[film]'")
    return _of_film(films.film_rate, source)


def _pictures(source: Path, out: Path) -> Iterator[tuple[Origin, Picture | DataError]]:
    """Everything in a source but what lies in `out`, or came of predictions: earlier results are no photographs."""
    if source.is_dir():
        own = out.resolve()
        files = sorted(file for file in source.rglob("*") if file.suffix.lower() in EXTENSIONS)
        if not source.resolve().is_relative_to(own):
            files = [file for file in files if own not in real_path(file).parents]
        files = [file for file in files if not _is_result(file)]
        if not files:
            raise DataError(f"{source}: there are no pictures ({', '.join(sorted(EXTENSIONS))}) below it")
        for name, file in zip(_names([file.relative_to(source) for file in files]), files, strict=True):
            yield Origin(name, file), _or_error(file)
    elif source.suffix.lower() in films.EXTENSIONS:
        yield from _frames(source)
    elif source.is_file():
        yield Origin(source.stem, source), read_rgb(source, MIN_SIDE)
    else:
        advice = "; copy it to this machine first" if address_of(source) else ""
        raise DataError(f"there is no picture, folder or film at {shown(source)}{advice}")


def _is_result(file: Path) -> bool:
    """Whether a picture is a depth, or was written beside one."""
    ends = (*(f"_{kind}.png" for kind in BESIDE), f"_{PARALLAX_GIF}.gif")
    depths = [file.name.removesuffix(end) + ".png" for end in ends if file.name.endswith(end)]
    return any(is_depth(file.with_name(name)) for name in (file.name, *depths) if name.endswith(".png"))


def _names(files: Sequence[Path]) -> list[str]:
    """What the results of pictures are named after: the picture without its ending, or with it where another picture
    would write the same file: a.jpg and a.png, a.jpg and a_colour.jpg, also on a disk that ignores case.

    files: relative to the folder.
    """
    whole = {file.as_posix().lower() for file in files}
    stems = Counter(file.with_suffix("").as_posix().lower() for file in files)

    def is_taken(stem: str) -> bool:
        bases = {stem, *(stem.removesuffix(f"_{kind}") for kind in BESIDE)}
        return stems[stem] > 1 or not whole.isdisjoint(bases) or any(base in stems for base in bases - {stem})

    without = [file.with_suffix("").as_posix() for file in files]
    return [file.as_posix() if is_taken(name.lower()) else name for file, name in zip(files, without, strict=True)]


def _or_error(file: Path) -> Picture | DataError:
    try:
        return read_rgb(file, MIN_SIDE)
    except DataError as error:
        return error


def _frames(source: Path) -> Iterator[tuple[Origin, Picture]]:
    for number in count():
        timed = _of_film(films.film_picture, source, number)
        if timed is None:
            return
        moment, picture = timed
        yield Origin(f"{source.stem}_{number:06d}", source, moment), picture


def _of_film(function: Callable[Concatenate[Path, P], T], source: Path, *args: P.args, **kwargs: P.kwargs) -> T:
    """What a function says of a film, in a process of its own. Raises DataError."""
    try:
        return decoded(function, (source,), source, *args, **kwargs)
    except InputError as error:
        raise DataError(str(error)) from error


def sixteen_bits(
    network: nn.Module, depth: FloatMap, shared: tuple[float, float] | None
) -> tuple[NDArray[np.uint16], Mapping[str, str]]:
    """A prediction as HxW uint16, and what its numbers mean, for the text of the PNG.

    network: of metric depth or not. depth: HxW float32, larger = nearer. shared: the range of all pictures, if it is
    to be one.
    """
    if isinstance(network, MetricNetwork):
        return millimetres(depth), IN_MILLIMETRES
    ends = shared or (float(depth.min()), float(depth.max()))
    return stretched(depth, ends), range_text(ends)


def _write_raw(network: nn.Module, file: Path, depth: FloatMap) -> Path:
    """The numbers themselves: metres of a metric network, else as the network gave them, larger = nearer."""
    in_metres = isinstance(network, MetricNetwork)
    values = np.float32(1) / depth if in_metres else depth
    if file.suffix == ".exr":
        content = exr_bytes(values, "Z" if in_metres else "Y")
    else:
        content = (pfm_bytes if file.suffix == ".pfm" else npy_bytes)(values)
    write_atomic(file, content)
    return file


def _write_picture(file: Path, picture: Picture) -> Path:
    done, content = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    assert done
    write_atomic(file, content.tobytes())
    return file


def _parallax_views(image: Picture, depth: FloatMap, ends: tuple[float, float] | None) -> list[Picture]:
    """The views of an eye that goes from side to side, of a size that people send."""
    scale = min(1.0, ANIMATED_SIDE / max(image.shape[:2]))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    depth = cv2.resize(depth, small.shape[1::-1], interpolation=cv2.INTER_AREA)
    return stereo_view.parallax_views(np.asarray(small, np.uint8), stereo_view.disparity_for_eyes(depth, ends))


def _write_loops(file: Path, views: Sequence[Picture]) -> Path:
    """The same as MP4, which does not repeat by itself: LOOPS times."""
    file = file.with_suffix(".mp4")
    with film_writer(file, 1000 / GIF_MS) as write:
        for view in [*views] * LOOPS:
            write(view)
    return file


def _write_gif(file: Path, views: Sequence[Picture]) -> Path:
    first, *others = [Image.fromarray(view) for view in views]
    content = io.BytesIO()
    first.save(content, "GIF", save_all=True, append_images=others, duration=GIF_MS, loop=0)
    write_atomic(file, content.getvalue())
    return file
