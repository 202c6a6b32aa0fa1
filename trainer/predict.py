"""Photographs to relative depth: in Python, and for files, folders and films."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor, nn

from redweb_builder.dataset.codec import image_bytes
from redweb_builder.errors import InputError
from redweb_builder.files import remove_temporaries, write_atomic
from redweb_builder.inputs.formats import films
from redweb_builder.inputs.picture import EXTENSIONS, read_picture
from redweb_builder.inspect.colour import disparity_picture
from redweb_builder.types import FloatMap, Picture
from trainer.checkpoint import load_network, read_header, weights_file
from trainer.config import TrainConfig
from trainer.data.eigen_transforms import Warp, apply_warp, as_frame
from trainer.data.marks import unpack_marks
from trainer.data.pictures import NEAREST_HIGHEST
from trainer.data.transforms import as_input
from trainer.eigen_geometry import CROP, FRAME
from trainer.models.eigen import MetricNetwork
from trainer.models.rednet import RedNet
from trainer.types import DataError

NEAREST, FARTHEST = 0.01, 65.0  # m that a metric network may say: what 16-bit millimetres hold
SHOWN = (1.0, 99.0)  # percentiles at the ends of the colours


@dataclass(frozen=True)
class Predictor:
    """A loaded checkpoint as a function of a photograph.

    name: for tables. network: in eval mode, on `device`. size: side of the crops that it was trained on, px.
    validation_fraction, test_fraction: that its training held out where a set has no split. trained_on: the marks of
    the samples that it was trained on (data/marks.py), as far as the checkpoint says.
    """

    name: str
    network: RedNet | MetricNetwork
    size: int
    validation_fraction: float
    device: torch.device
    trained_on: frozenset[bytes] = frozenset()
    test_fraction: float = 0.0

    def __call__(self, image: Picture) -> FloatMap:
        """The prediction of a photograph, as `predict_depth` has it. image: HxWx3 uint8 RGB."""
        return predict_depth(self.network, image, self.size, self.device)


def load_predictors(paths: Sequence[Path], device: torch.device) -> list[Predictor]:
    """Load every checkpoint once, for many photographs: networks of relative depth in channels_last, as in training.

    paths: .safetensors files, or folders of runs; one that stands twice is loaded once. device: where they run. Raises
    CheckpointError.
    """
    predictors = [load_predictor(path, device) for path in dict.fromkeys(paths)]
    for predictor in predictors:
        if isinstance(predictor.network, RedNet):
            predictor.network.to(memory_format=torch.channels_last)
    return predictors


def load_predictor(path: Path, device: torch.device) -> Predictor:
    """Load a checkpoint, named after its path.

    path: a .safetensors file, or the folder of a run. device: where it runs. Raises CheckpointError.
    """
    network, header = load_network(path, device), read_header(weights_file(path))
    size, validation = header.get("size", TrainConfig.size), header.get("validation", TrainConfig.validation)
    trained_on = unpack_marks(header.get("trained_on", ""))
    test = float(header.get("test", TrainConfig.test))
    return Predictor(str(path), network, int(size), float(validation), device, trained_on, test)


def metric_networks(predictors: Sequence[Predictor]) -> dict[str, MetricNetwork]:
    """The networks of metric depth among some predictors, by name."""
    every = {predictor.name: predictor.network for predictor in predictors}
    return {name: network for name, network in every.items() if isinstance(network, MetricNetwork)}


@torch.inference_mode()
def predict_depth(network: nn.Module, image: Picture, size: int, device: torch.device) -> FloatMap:
    """Relative depth of one photograph, HxW float32, larger = nearer, no unit; of a metric network inverse depth, 1/m.

    network: in eval mode, on `device`. image: HxWx3 uint8 RGB. size: the side of the crops that it was trained on; the
    picture is predicted at about that many pixels, in its own shape, and brought back to its own size.
    """
    if isinstance(network, MetricNetwork):
        metres = list(predict_metres(network, image, device).values())[-1]
        return np.float32(1) / metres
    depth = network(as_input(image, size).to(device).contiguous(memory_format=torch.channels_last))
    full = F.interpolate(depth[:, None].float(), size=image.shape[:2], mode="bilinear", align_corners=False)
    result: FloatMap = full[0, 0].cpu().numpy()
    return result


@torch.inference_mode()
def predict_metres(network: MetricNetwork, image: Picture, device: torch.device) -> dict[str, FloatMap]:
    """Depth of one photograph by each stage of a metric network: name of the stage -> HxW float32, metres.

    network: in eval mode, on `device`. image: HxWx3 uint8 RGB. The network sees the middle 304x228 of the picture at
    320x240; its cells are filled 4x, and what lies outside of them takes the nearest value (Eigen et al. 2014). A
    picture of other proportions is squeezed. Depths stay within NEAREST and FARTHEST, so that their inverse and
    logarithm exist.
    """
    crop, _ = apply_warp(as_frame(image), np.zeros((*FRAME, 1), np.float32), Warp())
    pixels = (torch.from_numpy(crop).permute(2, 0, 1)[None].float() / 255).to(device)
    logs = network.maps(pixels.contiguous(memory_format=torch.channels_last))
    return {name: filled(_metres(log_depth[0]), image.shape[:2]) for name, log_depth in logs.items()}


def _metres(logs: Tensor) -> FloatMap:
    metres: FloatMap = logs.float().exp().clamp(NEAREST, FARTHEST).cpu().numpy()
    return metres


def filled(depth: FloatMap, shape: tuple[int, ...]) -> FloatMap:
    """The map of the middle of a frame as one of the whole picture.

    depth: 55x74 or 228x304 float32. shape: (H, W) of the picture. Returns HxW float32.
    """
    every = CROP[0] // depth.shape[0]
    cells = depth.repeat(every, axis=0).repeat(every, axis=1)
    rows, columns = ((full - part) // 2 for full, part in zip(FRAME, cells.shape, strict=True))
    frame = np.pad(cells, ((rows, rows), (columns, columns)), mode="edge")
    return np.asarray(cv2.resize(frame, shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


@dataclass(frozen=True)
class Written:
    """What came of one picture. source: its name. depth: the 16-bit file. colour: the coloured one."""

    source: str
    depth: Path
    colour: Path


def predict_files(
    network: nn.Module,
    source: Path,
    out: Path,
    size: int,
    device: torch.device,
    beside: bool = False,
    one_range: bool = False,
) -> Iterator[Written | DataError]:
    """Predict a picture, every picture below a folder, or every frame of a film, one at a time.

    network: in eval mode, on `device`. source: the picture, folder or film. out: a folder, where NAME.png (16 bit, 0 =
    farthest and 65535 = nearest of the picture, or millimetres of a metric network) and NAME_colour.png (bright = near)
    are written. size: side of the training crops, px. beside: the photograph stands left of the colours. one_range: 0
    and 65535 are the farthest and the nearest of all pictures, so that a film does not flicker with the range of each
    frame; the network runs twice. The range stands in the text of the PNG. Photographs are upright, as their EXIF says.
    A file of a folder that cannot be read is handed out as its error. Raises DataError otherwise.
    """
    out.mkdir(parents=True, exist_ok=True)
    remove_temporaries(out)
    shared = range_of(network, source, out, size, device) if one_range else None
    for name, image in _pictures(source, out):
        if isinstance(image, DataError):
            yield image
            continue
        depth = predict_depth(network, image, size, device)
        low, high = shared or np.percentile(depth, SHOWN)
        colour = disparity_picture(depth, float(low), max(float(high), float(low) + 1e-6))
        files = out / f"{name}.png", out / f"{name}_colour.png"
        files[0].parent.mkdir(parents=True, exist_ok=True)
        if isinstance(network, MetricNetwork):
            _write_depth(files[0], millimetres(depth), unit="millimetres")
        else:
            ends = shared or (float(depth.min()), float(depth.max()))
            text = {"polarity": NEAREST_HIGHEST, "farthest": repr(ends[0]), "nearest": repr(ends[1])}
            _write_depth(files[0], stretched(depth, ends), **text)
        _write(files[1], cv2.cvtColor(np.hstack([image, colour]) if beside else colour, cv2.COLOR_RGB2BGR))
        yield Written(name, *files)


def range_of(
    network: nn.Module, source: Path, out: Path, size: int, device: torch.device
) -> tuple[float, float] | None:
    """The least and the largest prediction over all pictures of a source that can be read; None without one.

    network, source, out, size, device: as of `predict_files`.
    """
    pictures = (image for _, image in _pictures(source, out) if not isinstance(image, DataError))
    depths = (predict_depth(network, image, size, device) for image in pictures)
    ends = [(float(depth.min()), float(depth.max())) for depth in depths]
    return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else None


def stretched(
    depth: FloatMap, ends: tuple[float, float] | None = None
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
    """Relative depth as 16 bits: the farthest 0, the nearest 65535; a flat map is 0.

    depth: HxW float32, larger = nearer. ends: what becomes 0 and 65535; default the map's own ends.
    """
    low, high = ends or (float(depth.min()), float(depth.max()))
    values = (depth.astype(np.float64) - low) * (65535 / max(high - low, 1e-12))
    return np.rint(values).clip(0, 65535).astype(np.uint16)


def millimetres(inverse: FloatMap) -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
    """Inverse depth in 1/m as 16-bit millimetres. inverse: HxW float32."""
    return np.rint(1000 / inverse).clip(0, 65535).astype(np.uint16)


def _pictures(source: Path, out: Path) -> Iterator[tuple[str, Picture | DataError]]:
    """Name and picture of everything in a source but what lies in `out`: earlier results are no photographs."""
    if source.is_dir():
        own = out.resolve()
        files = sorted(file for file in source.rglob("*") if file.suffix.lower() in EXTENSIONS)
        files = [file for file in files if own not in file.resolve().parents or own == source.resolve()]
        if not files:
            raise DataError(f"{source}: there are no pictures ({', '.join(sorted(EXTENSIONS))}) below it")
        stems = Counter(file.with_suffix("") for file in files)
        for file in files:
            alone = stems[file.with_suffix("")] == 1  # a.jpg and a.png would write the same file
            yield (file.with_suffix("") if alone else file).relative_to(source).as_posix(), _or_error(file)
    elif source.suffix.lower() in films.EXTENSIONS:
        yield from _frames(source)
    elif source.is_file():
        yield source.stem, _upright(source)
    else:
        raise DataError(f"there is no picture, folder or film at {source}")


def _upright(file: Path) -> Picture:
    """A photograph as people see it. Raises DataError."""
    try:
        return read_picture(file)
    except InputError as error:
        raise DataError(str(error)) from error


def _or_error(file: Path) -> Picture | DataError:
    try:
        return _upright(file)
    except DataError as error:
        return error


def _frames(source: Path) -> Iterator[tuple[str, Picture]]:
    film = cv2.VideoCapture(str(source))
    try:
        number = 0
        while True:
            there, frame = film.read()
            if not there:
                break
            yield f"{source.stem}_{number:06d}", np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
            number += 1
        if not number:
            raise DataError(f"{source}: cannot be read as a film")
    finally:
        film.release()


def _write_depth(file: Path, values: np.ndarray[tuple[int, ...], np.dtype[np.uint16]], **text: str) -> None:
    """A 16-bit PNG that says in its text what its numbers mean, so that a reader need not guess."""
    chunks = PngInfo()
    for name, value in text.items():
        chunks.add_text(name, value)
    write_atomic(file, image_bytes(Image.fromarray(values), "PNG", pnginfo=chunks))


def _write(file: Path, picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8 | np.uint16]]) -> None:
    done, content = cv2.imencode(".png", picture)
    assert done
    write_atomic(file, content.tobytes())
