"""Lists of pictures with their depth files: DenseDepth's and BTS's of NYU Depth v2, BTS's of KITTI, and anybody's.

Marigold's lists (data_split/ of github.com/prs-eth/Marigold) too: of NYU Depth v2 with a third, filled map, of DIODE
with a third file, the mask, of ETH3D and of Virtual KITTI 2.

A CSV is split at its commas, so names may have spaces; other lists are split at spaces. Paths are below the list's
folder or the one above it, or absolute.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from redweb_builder.files import read_text
from trainer.data.depth_files import DEPTH_ENDINGS
from trainer.data.depth_scale import KITTI, DepthScale, one_scale, read_depth_json
from trainer.data.pictures import is_file
from trainer.data.readers.diode import DEPTH as DIODE_DEPTH
from trainer.data.readers.diode import MASK as DIODE_MASK
from trainer.data.readers.diode import Diode
from trainer.data.readers.eth3d import DEPTHS as ETH3D_DEPTHS
from trainer.data.readers.eth3d import Eth3d
from trainer.data.readers.frames import Frame, FrameSet
from trainer.data.readers.protocols import KITTI_EIGEN, NYU, PLAIN
from trainer.data.readers.rgb_depth import FrameFiles
from trainer.data.readers.virtual_kitti import VirtualKitti
from trainer.types import DataError

NYU_LISTS = (
    "nyu2_train.csv",  # DenseDepth
    "nyu2_test.csv",
    "nyudepthv2_train_files_with_gt.txt",  # BTS and its descendants
    "nyudepthv2_test_files_with_gt.txt",
)
KITTI_DEPTH = "proj_depth/groundtruth"  # in the path of every depth map of KITTI
VIRTUAL_KITTI_DEPTH = "frames/depth/Camera_"
MARIGOLD_NYU = re.compile(r"/depth_\d+\.png .*/filled_\d+\.png$")  # end of a line
PICTURE = re.compile(r"\.(jpe?g|png|webp|tiff?|bmp)$", re.IGNORECASE)
LONGEST_LINE = 10_000  # characters
NO_DEPTH = "None"  # BTS: a frame without a depth map
# Folders that say what is in them, not where it was taken.
KINDS = frozenset(
    (
        *("rgb", "rgbs", "image", "images", "img", "imgs", "color", "colour", "colors", "data", "raw", "frames"),
        *("left", "right", "picture", "pictures", "photo", "photos", "image_02", "image_03", "cam0", "cam1"),
    )
)
PARTS = {"test": "test", "val": "val", "valid": "val", "validation": "val"}  # word of a list's name -> part


def list_files(folder: Path) -> list[Path]:
    """The lists of NYU Depth v2 in a folder, or in its folder data/."""
    return [file for place in (folder, folder / "data") for name in NYU_LISTS if (file := place / name).is_file()]


def is_list(file: Path) -> bool:
    """Whether a text file lists pictures with depth: a picture and a depth file in its first line."""
    try:
        with file.open(encoding="utf-8-sig") as lines:
            return _names(lines.readline(LONGEST_LINE), file) is not None
    except (OSError, UnicodeDecodeError):
        return False


def lists_of(lists: Sequence[Path], scale: DepthScale | None = None) -> FrameSet:
    """The frames of file lists; those of a list with "test" or "val" among the words of its name are of that part.

    scale: of the command line. Raises DataError.
    """
    frames = [frame for file in lists for frame in _listed(file)]
    name = "+".join(file.stem for file in lists)

    def all_depths(hold: str) -> bool:
        return bool(frames) and all(hold in frame.depth.as_posix() for frame in frames)

    if all_depths(VIRTUAL_KITTI_DEPTH):
        return VirtualKitti(name, _in_scenes(frames, r"/(Scene\d+)/"))
    if all_depths(f"/{ETH3D_DEPTHS}/"):
        return Eth3d(name, _in_scenes(frames, r"([^/]+)/images/dslr_images/"))
    if all_depths(DIODE_DEPTH):
        return Diode(name, [_with_mask(frame) for frame in _in_scenes(frames, r"/(scene_\d+)/")])
    protocol, own = PLAIN, read_depth_json(lists[0].parent).scale
    if all(file.name in NYU_LISTS or _is_marigolds_nyu(file) for file in lists):
        protocol = NYU
    elif all_depths(KITTI_DEPTH):
        protocol, own = KITTI_EIGEN, KITTI
    return FrameFiles(name, frames, one_scale(lists[0], own, scale), protocol)


def _in_scenes(frames: Sequence[Frame], pattern: str) -> list[Frame]:
    """The frames with the scene that a layout has in the path of its pictures, which no folder beside them names.

    pattern: its first group is the scene.
    """
    found = [re.search(pattern, frame.rgb.as_posix()) for frame in frames]
    return [replace(frame, scene=match[1]) if match else frame for frame, match in zip(frames, found, strict=True)]


def _with_mask(frame: Frame) -> Frame:
    """A frame of DIODE with the mask that lies beside its depth."""
    mask = frame.depth.with_name(frame.depth.name.removesuffix(DIODE_DEPTH) + DIODE_MASK)
    return replace(frame, masks=(mask,))


def _is_marigolds_nyu(file: Path) -> bool:
    """Whether a list's first line has a map that was filled, as of NYU Depth v2."""
    with file.open(encoding="utf-8-sig") as lines:
        return bool(MARIGOLD_NYU.search(lines.readline(LONGEST_LINE).rstrip()))


def part_of(file: Path) -> str | None:
    """The part that the words of a list's name say: latest_train.txt is no test list. None = left to us.

    file: the list's path; it is not opened.
    """
    words = re.findall("[a-z]+", file.stem.lower())
    parts = [PARTS[word] for word in words if word in PARTS]
    return parts[0] if parts and "train" not in words else None


def scene_of(rgb: str, key: str) -> str:
    """The scene of a picture, whose frames stay together in a split.

    rgb: its path. The last folder that is not called after what is in it (rgb, image_02, data); kitchen_0028 for
    .../kitchen_0028b/rgb_00045.jpg, as the parts of a scene of NYU stay together. key: the scene of a frame without
    such a folder.
    """
    folders = [part for part in PurePosixPath(rgb).parts[:-1] if part != "/" and part.lower() not in KINDS]
    if not folders:
        return key
    numbered = re.match(r".*?_\d{4}(?=[a-z]?$|_out$)", folders[-1])
    return numbered[0] if numbered else folders[-1]


def _listed(file: Path) -> list[Frame]:
    try:
        lines = [line for line in read_text(file).splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read as a list of files ({error})") from error
    pairs = [_names(line, file) for line in lines]
    wrong = [line for line, pair in zip(lines, pairs, strict=True) if pair is None]
    if wrong or not pairs:
        raise DataError(
            f'{file}: is no list of pictures with their depth (first wrong line: "{(wrong or [""])[0][:80]}")'
        )
    known = [pair for pair in pairs if pair is not None and pair[1] != NO_DEPTH]
    root = _root(file, known)
    part = part_of(file)
    frames = []
    for rgb, depth in known:
        key = str(PurePosixPath(rgb).with_suffix("")).lstrip("/")
        frames.append(Frame(key, _below(root, rgb), _below(root, depth), scene_of(rgb, key), part))
    return frames


def _root(file: Path, known: Sequence[tuple[str, str]]) -> Path:
    """The folder that the list's paths start in. Raises DataError where the first picture is in none."""
    for root in (file.parent, file.parent.parent):
        if known and is_file(_below(root, known[0][0])):
            return root
    first = known[0][0][:80] if known else "nothing"
    raise DataError(f"{file}: {first} is not below its folder; put the list where its paths start")


def _below(root: Path, name: str) -> Path:
    """The file of a name: an absolute path where it is one, else below `root` (BTS's names begin with a slash)."""
    stated = Path(name)
    return stated if stated.is_absolute() and is_file(stated) else root / name.lstrip("/")


def _names(line: str, file: Path) -> tuple[str, str] | None:
    """Picture and depth of a line, "a.jpg,a.png" of a CSV, "/a.jpg /b.png 518.8" of other lists; else None."""
    is_csv = file.suffix.lower() == ".csv"
    try:
        cells = next(csv.reader([line]), []) if is_csv else re.split(r"[,\s]+", line.strip())
    except csv.Error:
        return None
    names = [cell.strip() for cell in cells][:2]
    if len(names) != 2 or not PICTURE.search(names[0]):
        return None
    depth = PurePosixPath(names[1]).suffix.lower()
    is_depth = depth in DEPTH_ENDINGS or names[1] == NO_DEPTH or ETH3D_DEPTHS in names[1]
    return (names[0], names[1]) if is_depth else None
