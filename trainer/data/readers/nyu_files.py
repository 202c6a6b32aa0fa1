"""NYU Depth v2 as files: folders rgb/ and depth/, and the file lists of DenseDepth and BTS.

Depth is 16-bit PNG in millimetres, or .npy or float TIFF in metres; 0 and what is not finite is unknown. DenseDepth's
training frames are 8-bit, 255 = 10 m. Labelled frames are read as they are: whoever wrote the files has decided about
the white border and the holes.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from redweb_builder.errors import InputError
from redweb_builder.inputs.picture import read_values
from redweb_builder.types import FloatMap
from trainer.data.pictures import by_stem, matched, read_grey, read_rgb, same_size
from trainer.data.readers.nyu import Nyu, inverse
from trainer.types import DataError, DepthSample

LISTS = (
    "nyu2_train.csv",  # DenseDepth
    "nyu2_test.csv",
    "nyudepthv2_train_files_with_gt.txt",  # BTS and its descendants
    "nyudepthv2_test_files_with_gt.txt",
)
SPLIT = "split.csv"  # of the folder form: key, part, scene
MILLIMETRES, EIGHT_BITS = np.float32(1e-3), np.float32(10 / 255)
NEAREST, FARTHEST = 0.1, 100.0  # m: a frame whose median is outside is in another unit
METRE_ENDINGS = (".npy", ".tif", ".tiff")


@dataclass(frozen=True)
class Files:
    """One frame on the disk. part: "test", "val" or None."""

    key: str
    rgb: Path
    depth: Path
    scene: str
    part: str | None
    eight_bits: bool = False


class FrameFiles(Nyu):
    """Frames that are a picture and a depth file each."""

    def __init__(self, name: str, files: Sequence[Files]) -> None:
        """Raises DataError where there are none."""
        if not files:
            raise DataError(f"{name}: there are no frames in it")
        self.name, self._files = name, list(files)

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._files)

    def key(self, index: int) -> str:
        """The picture's path below its set, without ending."""
        return self._files[index].key

    def group(self, index: int) -> str:
        """The scene."""
        return self._files[index].scene

    def part(self, index: int) -> str | None:
        """Test and validation frames that split.csv names; what it calls train is free to be held out."""
        return self._files[index].part

    def __getitem__(self, index: int) -> DepthSample:
        """Read one frame. Raises DataError."""
        files = self._files[index]
        image, metres = read_rgb(files.rgb), read_metres(files.depth, files.eight_bits)
        same_size(image, metres, files.depth)
        known = np.isfinite(metres) & (metres > 0)
        typical = float(np.median(metres[known])) if known.any() else 1.0
        if not NEAREST <= typical <= FARTHEST:
            raise DataError(f"{files.depth}: its median depth would be {typical:.3g} m: is it in another unit?")
        return DepthSample(files.key, image, inverse(metres, known), np.zeros(metres.shape, bool), 0.0)


class RgbDepth(FrameFiles):
    """rgb/NAME.jpg|png with depth/NAME.png|npy|tif, and split.csv (key, part, scene) where there is one."""

    def __init__(self, folder: Path) -> None:
        """Open. Raises DataError for a picture without depth, or depth without a picture."""
        pictures = by_stem(folder / "rgb")
        depths = by_stem(folder / "depth")
        depths |= {file.stem: file for file in (folder / "depth").iterdir() if file.suffix.lower() in METRE_ENDINGS}
        parts = _read_split(folder / SPLIT)
        files = []
        for stem in matched(pictures, depths, folder):
            part, scene = parts.get(stem, ("", stem))
            files.append(Files(stem, pictures[stem], depths[stem], scene, part if part in ("test", "val") else None))
        super().__init__(folder.resolve().name, files)


def list_files(folder: Path) -> list[Path]:
    """The known file lists in a folder, or in its folder data/."""
    return [file for place in (folder, folder / "data") for name in LISTS if (file := place / name).is_file()]


def is_list(file: Path) -> bool:
    """Whether a text file lists pictures with depth: two picture names in its first line."""
    try:
        with file.open() as lines:
            return _names(lines.readline()) is not None
    except (OSError, UnicodeDecodeError):
        return False


def lists_of(lists: Sequence[Path]) -> FrameFiles:
    """The frames of file lists; those of a list with "test" or "val" in its name are test frames.

    Paths are below the list's folder or the one above it. Raises DataError.
    """
    files = [frame for file in lists for frame in _listed(file)]
    return FrameFiles("+".join(file.stem for file in lists), files)


def read_metres(file: Path, eight_bits: bool = False) -> FloatMap:
    """HxW float32 metres of a depth file, 0 or NaN where unknown. Raises DataError.

    eight_bits: 8-bit files are allowed, 255 = 10 m.
    """
    if file.suffix.lower() in METRE_ENDINGS:
        return _float_metres(file)
    values = read_grey(file)
    if values.dtype == np.uint8:
        if not eight_bits:
            raise DataError(
                f"{file}: has 8 bits, which cannot be millimetres; depth must be 16-bit PNG, .npy or float TIFF"
            )
        return values.astype(np.float32) * EIGHT_BITS
    return values.astype(np.float32) * MILLIMETRES


def _float_metres(file: Path) -> FloatMap:
    try:
        values = np.load(file) if file.suffix.lower() == ".npy" else read_values(file, ("TIFF",))
    except (InputError, OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read ({error})") from error
    if values.ndim != 2 or values.dtype.kind != "f":
        raise DataError(f"{file}: metres must be an HxW array of floats, this is {values.shape} {values.dtype}")
    return values.astype(np.float32)


def _listed(file: Path) -> list[Files]:
    try:
        lines = [line for line in file.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read as a list of files ({error})") from error
    pairs = [_names(line) for line in lines]
    wrong = [line for line, pair in zip(lines, pairs, strict=True) if pair is None]
    if wrong or not pairs:
        raise DataError(
            f'{file}: is no list of pictures with their depth (first wrong line: "{(wrong or [""])[0][:80]}")'
        )
    known = [pair for pair in pairs if pair is not None and pair[1] != "None"]
    roots = [root for root in (file.parent, file.parent.parent) if known and (root / known[0][0]).is_file()]
    if not roots:
        raise DataError(
            f"{file}: {known[0][0] if known else 'nothing'} is not below its folder; put the list where its paths start"
        )
    part = "test" if re.search("test|val", file.stem) else None
    return [
        Files(
            str(Path(rgb).with_suffix("")), roots[0] / rgb, roots[0] / depth, _scene(rgb), part, file.suffix == ".csv"
        )
        for rgb, depth in known
    ]


def _names(line: str) -> tuple[str, str] | None:
    """Picture and depth of a line, "a.jpg,a.png" or "/a.jpg /b.png 518.8", as paths below a root."""
    names = [name.strip().lstrip("/") for name in re.split(r"[,\s]+", line.strip())][:2]
    fits = len(names) == 2 and re.search(r"\.(jpe?g|png)$", names[0], re.I) and re.search(r"\.png$|^None$", names[1])
    return (names[0], names[1]) if fits else None


def _scene(rgb: str) -> str:
    """kitchen_0028 of .../kitchen_0028b/rgb_00045.jpg: the parts of a scene stay together."""
    folder = Path(rgb).parent.name
    numbered = re.match(r".*?_\d{4}", folder)
    return numbered[0] if numbered else folder


def _read_split(file: Path) -> dict[str, tuple[str, str]]:
    if not file.is_file():
        return {}
    try:
        with file.open(newline="") as lines:
            return {row["key"]: (row["part"], row["scene"]) for row in csv.DictReader(lines)}
    except (KeyError, ValueError) as error:
        raise DataError(f"{file}: needs columns key, part, scene ({error})") from error
