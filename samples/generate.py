"""Write the newcomer's sample folder: small stereo pictures in many containers, and a few that must be rejected.

    python samples/generate.py [OUT]        # default samples/stereo

left, right: views, HxWx3 uint8 RGB; of write_pair, bytes of a file. data: bytes of a JPEG file. piece: a segment of it.
out, folder: where to write. name: of a pair. number: of a view, from 1 at the left. baseline: metres. seed, width,
height, kind: as of scenes.render.

Every picture is rendered by samples/scenes.py; the same versions of NumPy and Pillow write the same bytes.
"""

from __future__ import annotations

import struct
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from samples.scenes import NEAREST, Kind, Scene, render

QUALITY = 90
SMALL = (320, 240)  # of the lossless samples
Picture = NDArray[np.uint8]


# ---------------------------------------------------------------- bytes


def jpeg(picture: Picture, **options: Any) -> bytes:
    """A HxWx3 uint8 RGB picture as JPEG bytes; options go to Pillow."""
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=QUALITY, optimize=True, **options)
    return buffer.getvalue()


def png(picture: Picture) -> bytes:
    """A HxWx3 uint8 RGB picture as PNG bytes."""
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def segment(marker: int, payload: bytes) -> bytes:
    """A JPEG marker segment: FF, marker, big-endian length (which counts itself), payload."""
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def after_header(data: bytes) -> int:
    """Where in JPEG bytes the APP0 (JFIF) and APP1 (Exif) segments end: the place for further APP segments."""
    at = 2
    while data[at] == 0xFF and data[at + 1] in (0xE0, 0xE1):
        at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    return at


def insert(data: bytes, piece: bytes) -> bytes:
    """JPEG bytes with one more segment after APP0 and APP1."""
    at = after_header(data)
    return data[:at] + piece + data[at:]


def jps(left: Picture, right: Picture) -> bytes:
    """A JPS file (VRex, JPEG Stereo 1.0): the right eye's view on the left side, and an APP3 block that says so.

    Block: "_JPSJPS_", length 4, then separation, flags (4 = left eye first; here 0), layout (2 = side by side),
    type (1 = stereoscopic); then the length of a comment and the comment. Big-endian.
    """
    comment = b"redweb-builder sample"
    descriptor = struct.pack(">8sHBBBB", b"_JPSJPS_", 4, 0, 0, 2, 1) + struct.pack(">H", len(comment)) + comment
    return insert(jpeg(np.hstack([right, left])), segment(0xE3, descriptor))


def ifd(entries: list[tuple[int, int, int, bytes]], at: int, following: bool) -> bytes:
    """A little-endian TIFF directory of entries (tag, type, count, value bytes) placed at offset `at` of its block.

    Values over four bytes are put behind the directory; `following`: the next directory comes right after those.
    """
    tail_at = at + 2 + 12 * len(entries) + 4
    body, tail = struct.pack("<H", len(entries)), b""
    for tag, kind, count, value in entries:
        if len(value) > 4:
            body += struct.pack("<HHLL", tag, kind, count, tail_at + len(tail))
            tail += value
        else:
            body += struct.pack("<HHL4s", tag, kind, count, value)
    return body + struct.pack("<L", tail_at + len(tail) if following else 0) + tail


def mp_attributes(number: int, baseline: float) -> list[tuple[int, int, int, bytes]]:
    """MP Attribute entries (CIPA DC-007, 5.2.4): which viewpoint this is, seen from viewpoint 1."""
    apart = round(1000 * baseline) if number > 1 else 0
    return [
        (0xB101, 4, 1, struct.pack("<L", number)),  # MP individual image number
        (0xB204, 4, 1, struct.pack("<L", 1)),  # base viewpoint number: the left end
        (0xB205, 10, 1, struct.pack("<ll", 0, 1)),  # convergence angle, degrees
        (0xB206, 5, 1, struct.pack("<LL", apart, 1000)),  # baseline length, metres
    ]


def mpo(left: Picture, right: Picture, baseline: float) -> bytes:
    """A Multi-Picture file of two Disparity frames, left first (CIPA DC-007-2009, 5: MPF in APP2).

    Both entries have MP type 0x020002 (multi-frame, disparity); the first is also marked as representative.
    """
    exif = Image.Exif()
    exif[0x0131] = "redweb-builder samples"  # Software
    header = b"MPF\0" + b"II*\0" + struct.pack("<L", 8)
    version = (0xB000, 7, 4, b"0100")
    second_ifd = ifd([version, *mp_attributes(2, baseline)], 8, following=False)
    second = insert(jpeg(right, exif=exif), segment(0xE2, header + second_ifd))
    plain = jpeg(left, exif=exif)

    def first_with(sizes: tuple[int, int], offset: int) -> bytes:
        flags = (0x20020002, 0x00020002)
        entries = struct.pack("<LLLHH", flags[0], sizes[0], 0, 0, 0)
        entries += struct.pack("<LLLHH", flags[1], sizes[1], offset, 0, 0)
        index = ifd(
            [version, (0xB001, 4, 1, struct.pack("<L", 2)), (0xB002, 7, len(entries), entries)], 8, following=True
        )
        attributes = ifd(mp_attributes(1, baseline), 8 + len(index), following=False)
        return insert(plain, segment(0xE2, header + index + attributes))

    size = len(first_with((0, 0), 0))
    start = after_header(plain) + 4 + 4  # offsets count from the byte-order mark behind "MPF\0"
    return first_with((size, len(second)), size - start) + second


def half_width(picture: Picture) -> Picture:
    """The picture squeezed to half its width."""
    image = Image.fromarray(picture)
    return np.asarray(image.resize((image.width // 2, image.height), Image.Resampling.BOX))


# ---------------------------------------------------------------- pictures that make pairs


def write(path: Path, data: bytes) -> None:
    """Write a file, with its folders. path: of the file. data: its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write_folders(out: Path) -> None:
    """A folder an eye: left/NAME.jpg, right/NAME.jpg; two pairs."""
    for name, seed in (("cottage", 0), ("boulders", 5)):
        scene = render(seed)
        write(out / "folders" / "left" / f"{name}.jpg", jpeg(scene.left))
        write(out / "folders" / "right" / f"{name}.jpg", jpeg(scene.right))


def write_suffix(out: Path) -> None:
    """Two files in one folder: NAME_L.jpg, NAME_R.jpg."""
    scene = render(1)
    write(out / "suffix" / "evening_L.jpg", jpeg(scene.left))
    write(out / "suffix" / "evening_R.jpg", jpeg(scene.right))


def write_scene_folder(out: Path) -> None:
    """A folder a scene, lossless: NAME/left.png, NAME/right.png."""
    scene = render(8, *SMALL, max_disparity=28)
    write(out / "scenes" / "autumn" / "left.png", png(scene.left))
    write(out / "scenes" / "autumn" / "right.png", png(scene.right))


def write_middlebury(out: Path) -> None:
    """A folder a scene as in Middlebury 2014, lossless: NAME/im0.png (left), NAME/im1.png (right)."""
    scene = render(0, *SMALL, max_disparity=36, kind="indoor")
    write(out / "middlebury" / "livingroom" / "im0.png", png(scene.left))
    write(out / "middlebury" / "livingroom" / "im1.png", png(scene.right))


def write_kitti(out: Path) -> None:
    """Numbered frames as in KITTI 2015, wide and lossless: image_2 (left), image_3 (right)."""
    scene = render(11, 480, 160, max_disparity=32)
    write(out / "kitti" / "training" / "image_2" / "000000_10.png", png(scene.left))
    write(out / "kitti" / "training" / "image_3" / "000000_10.png", png(scene.right))


def write_packed(out: Path) -> None:
    """Both views in one JPEG: side by side, above and below, side by side at half width."""
    desert, winter, meadow = render(3), render(4), render(6)
    write(out / "packed" / "desert-sbs.jpg", jpeg(np.hstack([desert.left, desert.right])))
    write(out / "packed" / "winter-ab.jpg", jpeg(np.vstack([winter.left, winter.right])))
    squeezed = np.hstack([half_width(meadow.left), half_width(meadow.right)])
    write(out / "packed" / "meadow-hsbs.jpg", jpeg(squeezed))


def write_jps(out: Path) -> None:
    """A JPS, right view first as its header says."""
    scene = render(7)
    write(out / "containers" / "crates.jps", jps(scene.left, scene.right))


def write_mpo(out: Path) -> None:
    """An MPO as a stereo camera writes it, from converged cameras: disparities of both signs."""
    scene = render(1, convergence=16, kind="indoor")
    baseline = 40 * NEAREST / (0.95 * scene.left.shape[1])
    write(out / "containers" / "study.mpo", mpo(scene.left, scene.right, baseline))


# ---------------------------------------------------------------- pictures with one fault each


def small(seed: int, width: int = 400, height: int = 300, kind: Kind = "outdoor") -> Scene:
    """A scene in the size of the faulty samples."""
    return render(seed, width, height, max_disparity=34, kind=kind)


def write_pair(folder: Path, name: str, left: bytes, right: bytes) -> None:
    """NAME_L.jpg and NAME_R.jpg."""
    write(folder / f"{name}_L.jpg", left)
    write(folder / f"{name}_R.jpg", right)


def fault_unrelated(folder: Path) -> None:
    """The two files show different places."""
    write_pair(folder, "unrelated", jpeg(small(14).left), jpeg(small(15).right))


def fault_twice(folder: Path) -> None:
    """The same picture twice: no parallax at all."""
    data = jpeg(small(16).left)
    write_pair(folder, "twice", data, data)


def fault_torn(folder: Path) -> None:
    """The right half of the right view is raised by 40 px: no alignment of the whole picture explains it."""
    scene = small(17, height=340)
    right = np.hstack([scene.right[:300, :200], scene.right[40:, 200:]])
    write_pair(folder, "torn", jpeg(scene.left[:300]), jpeg(right))


def fault_swapped(folder: Path) -> None:
    """Left and right exchanged: the sky would come out nearest."""
    scene = small(18)
    write_pair(folder, "swapped", jpeg(scene.right), jpeg(scene.left))


def fault_anaglyph(folder: Path) -> None:
    """Red from the left view, green and blue from the right one: no picture of either eye is left."""
    scene = small(19)
    write(folder / "anaglyph.jpg", jpeg(np.dstack([scene.left[..., :1], scene.right[..., 1:]])))


def fault_truncated(folder: Path) -> None:
    """The right file ends after 40 % of its bytes."""
    scene = small(20)
    data = jpeg(scene.right)
    write_pair(folder, "truncated", jpeg(scene.left), data[: len(data) * 2 // 5])


def fault_single(folder: Path) -> None:
    """An ordinary photograph among the stereo pictures."""
    write(folder / "single.jpg", jpeg(small(21).left))


def fault_one_eye(folder: Path) -> None:
    """A left view whose right view is missing."""
    write(folder / "widowed_L.jpg", jpeg(small(2, kind="indoor").left))


def repairable_raised(folder: Path) -> None:
    """The right view lies 12 px too high all over: a builder that aligns can repair it."""
    scene = small(2, height=312)
    write_pair(folder, "raised", jpeg(scene.left[:300]), jpeg(scene.right[12:]))


GOOD = (
    write_folders,
    write_suffix,
    write_scene_folder,
    write_middlebury,
    write_kitti,
    write_packed,
    write_jps,
    write_mpo,
)
FAULTS = (
    fault_unrelated,
    fault_twice,
    fault_torn,
    fault_swapped,
    fault_anaglyph,
    fault_truncated,
    fault_single,
    fault_one_eye,
)


def generate(out: Path) -> None:
    """Write all samples under `out`: pairs in folders by layout, `repairable/`, and `faults/`."""
    for good in GOOD:
        good(out)
    repairable_raised(out / "repairable")
    for fault in FAULTS:
        fault(out / "faults")


def main(arguments: list[str]) -> None:
    """The command line. arguments: none, or the output folder."""
    out = Path(arguments[0]) if arguments else Path(__file__).resolve().parent / "stereo"
    generate(out)
    files = [path for path in out.rglob("*") if path.is_file()]
    print(f"{out}: {len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.2f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
