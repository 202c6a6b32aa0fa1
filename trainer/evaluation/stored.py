"""Predictions of other programs, from files, judged beside networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from redweb_builder.dataset.codec import POLARITY
from redweb_builder.dataset.depth_png import NEAREST_HIGHEST
from redweb_builder.types import FloatMap, Picture
from trainer.data.depth_files import DEPTH_ENDINGS, read_depth
from trainer.data.pictures import SAME_SHAPE, text_of
from trainer.types import DataError

COLOURED = "_colour"  # end of the name of what `predict` writes for people
CONFIDENCE = "_confidence"  # end of the name of the confidence of a prediction


@dataclass(frozen=True)
class StoredPredictions:
    """A folder of maps, a file a picture, found by the picture's name.

    name: for tables. files: name below the folder, without ending -> file. sense: of config.SENSES; "" = as each file
    says of itself.
    """

    name: str
    files: dict[str, Path]
    sense: str

    def predict(self, key: str, image: Picture) -> FloatMap:
        """The map of a picture at the picture's size: HxW float32, larger = nearer. key, image: as of `read`.

        Depth is inverted; where it is known up to a shift, and so has values of 0 and below, its sign is changed, which
        keeps its order.
        """
        values, sense = self.read(key, image)
        if sense == "near":
            return values
        return -values if _is_shifted(values, sense) else _inverse(values)

    def read(self, key: str, image: Picture) -> tuple[FloatMap, str]:
        """The map of a picture at the picture's size as it is stored, HxW float32; and its sense, of config.SENSES.

        key: of the sample; its file has that name below the folder, or that of the key's last parts. image: HxWx3, for
        the size. A map of the same proportions is resized, depth in its inverse if it has one. Raises DataError
        where there is none, where it has another shape or values that are not finite, and where nobody states its
        sense.
        """
        file = self._file(key, "")
        if file is None:
            raise DataError(f"{self.name}: has no prediction for {key}; a file of that name is expected")
        text = text_of(file) if file.suffix.lower() == ".png" else {}
        values, sense = _map_of(file, image), self._sense_of(file, text)
        if text.get("unit") == "millimetres":
            values = values / np.float32(1000)
        if values.shape == image.shape[:2]:
            return values, sense
        if sense == "near" or _is_shifted(values, sense):
            return _resized(values, image), sense
        return _inverse(_resized(_inverse(values), image)), sense

    def confidence(self, key: str, image: Picture) -> FloatMap | None:
        """The map NAME_confidence beside a prediction, at the picture's size: HxW float32, larger = surer.

        key, image: as of `read`. None where there is none. Raises DataError.
        """
        file = self._file(key, CONFIDENCE)
        return _resized(_map_of(file, image), image) if file else None

    def _file(self, key: str, ending: str) -> Path | None:
        parts = key.split("/")
        ends = ["/".join(parts[at:]) for at in range(len(parts))]  # the longest first: it says most
        names = (name + ending for end in ends for name in (end, end.replace("/", "_")))
        return next((self.files[name] for name in names if name in self.files), None)

    def _sense_of(self, file: Path, text: dict[str, str]) -> str:
        if text.get("polarity") == POLARITY:
            raise DataError(f"{file}: says of itself that it is a label of a data set ({POLARITY}), and no prediction")
        stated = {NEAREST_HIGHEST: "near"}.get(text.get("polarity", "")) or ("metres" if "unit" in text else "")
        if stated and self.sense and (stated == "near") != (self.sense == "near"):
            raise DataError(f"{file}: says of itself that larger is {stated}, --predictions says {self.sense}")
        if not stated and not self.sense:
            raise DataError(
                f"{self.name}: is larger nearer or farther? --predictions near is for disparity and inverse depth, "
                "--predictions far for depth, metres for depth in metres"
            )
        return stated or self.sense


def is_stored(path: Path) -> bool:
    """Whether a folder holds predictions, and no network. path: the folder."""
    return path.is_dir() and not any(path.glob("*.safetensors")) and bool(_files(path))


def open_stored(path: Path, sense: str = "") -> StoredPredictions:
    """The predictions of a folder. sense: see `StoredPredictions`. path: the folder."""
    return StoredPredictions(str(path), _files(path), sense)


def _files(path: Path) -> dict[str, Path]:
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in DEPTH_ENDINGS)
    named = {file.relative_to(path).with_suffix("").as_posix(): file for file in files}
    return {name: file for name, file in named.items() if not name.endswith(COLOURED)}


def _map_of(file: Path, image: Picture) -> FloatMap:
    """A map of a picture's proportions, as stored. Raises DataError."""
    values = read_depth(file).astype(np.float32)
    height, width = image.shape[:2]
    if abs(values.shape[1] * height / (values.shape[0] * width) - 1) > SAME_SHAPE:
        raise DataError(f"{file}: is {values.shape[1]}x{values.shape[0]}, its picture {width}x{height}")
    if not np.isfinite(values).all():
        raise DataError(f"{file}: has values that are not finite; a prediction is known everywhere")
    return values


def _is_shifted(values: FloatMap, sense: str) -> bool:
    return sense == "far" and bool(values.min() <= 0)


def _inverse(values: FloatMap) -> FloatMap:
    return np.divide(np.float32(1), values, out=np.zeros_like(values), where=values > 0)


def _resized(values: FloatMap, image: Picture) -> FloatMap:
    height, width = image.shape[:2]
    if values.shape == (height, width):
        return values
    return np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
