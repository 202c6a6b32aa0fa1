"""Files that lie: every broken file is read or refused with a reason, quickly and without much memory."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.robustness.broken_files import encoded, seeds
from benchmarks.robustness.fuzz import fuzz, try_file
from redweb_builder.errors import InputError
from redweb_builder.inputs.discover import discover
from redweb_builder.inputs.read import read_pair
from tests.redweb_builder.inputs.test_discover import png, reasons, save_mpo, scene

NO_PAIRS = {"three.mpo", "wiggle.gif", "sphere.mp4", "spatial.mov"}  # good files that are read, and are no pair


def test_the_seeds_are_good_files(tmp_path: Path) -> None:
    outcomes = {}
    for name, content in seeds().items():
        (tmp_path / name).write_bytes(content)
        outcomes[name] = try_file(tmp_path / name)
    assert {name for name, outcome in outcomes.items() if outcome != "read"} <= NO_PAIRS, outcomes
    assert "corrupt" not in outcomes.values(), outcomes


def test_broken_files_are_refused_and_never_crash(tmp_path: Path) -> None:
    outcomes = []
    fuzz(100, tmp_path, seeds(), lambda name, outcome, seconds: outcomes.append((name, outcome, seconds)))
    assert len(outcomes) >= 70
    assert {"corrupt", "read"} <= {outcome for _, outcome, _ in outcomes}
    assert max(seconds for _, _, seconds in outcomes) < 5


def mpo_with(path: Path, size: int, offset: int) -> None:
    """An MPO whose second entry has another size and offset than it should."""
    left, right = scene()
    save_mpo(path, [left, right], 0x020002)
    content = path.read_bytes()
    place = content.index(struct.pack("<I", 0x020002), content.index(struct.pack("<I", 0x020002)) + 4)
    path.write_bytes(content[: place + 4] + struct.pack("<II", size, offset) + content[place + 12 :])


@pytest.mark.parametrize("size", [0, 1, 1 << 30, 0xFFFFFFFF])
@pytest.mark.parametrize("offset", [0xFFFFFFFF, 0x7FFFFFFF, 12345])
def test_mpo_entries_that_lie(tmp_path: Path, size: int, offset: int) -> None:
    """The second frame is found behind the first one all the same."""
    mpo_with(tmp_path / "a.mpo", size, offset)
    tracemalloc.start()
    pair = read_pair(discover(tmp_path).sources[0], 1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert pair.left.shape == pair.right.shape
    assert peak < 20_000_000


def test_mpo_with_a_truncated_second_frame(tmp_path: Path) -> None:
    left, right = scene()
    file = save_mpo(tmp_path / "a.mpo", [left, right], 0x020002)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) - 800])
    with pytest.raises(InputError, match=r"a\.mpo \(frame 2\)") as caught:
        read_pair(discover(tmp_path).sources[0], 1000)
    assert caught.value.reason == "corrupt"


@pytest.mark.parametrize("name", ["a.png", "a_L.png", "a-sbs.png", "a.jps", "a.pns", "a.mpo"])
def test_50_000_px_a_side_by_any_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(png(50_000, 50_000, 8, 2, b"\0"))
    (tmp_path / "a_R.png").write_bytes(png(50_000, 50_000, 8, 2, b"\0"))
    tracemalloc.start()
    discovery = discover(tmp_path)
    refused = [reason for _, reason in reasons(discovery)]
    for source in discovery.sources:
        with pytest.raises(InputError) as caught:
            read_pair(source, 1000)
        refused.append(caught.value.reason)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert set(refused) <= {"too-large", "one-eye"}
    assert "too-large" in refused
    assert peak < 20_000_000


def test_a_small_file_that_claims_many_pixels(tmp_path: Path) -> None:
    """A JPEG decoder fills what is missing with grey: 169 megapixels out of 5 kB."""
    content = bytearray(seeds()["seen.jpg"])
    frame = content.index(b"\xff\xc0")
    struct.pack_into(">HH", content, frame + 5, 13_000, 13_000)
    (tmp_path / "a.jpg").write_bytes(content)
    assert reasons(discover(tmp_path)) == [("a.jpg", "corrupt")]


@pytest.mark.parametrize("length", [0, 2, 0xFFFF])
def test_segments_with_lying_lengths(tmp_path: Path, length: int) -> None:
    """A descriptor segment that claims more, or less, than there is."""
    jpeg = seeds()["seen.jpg"]
    segment = b"\xff\xe3" + struct.pack(">H", length) + b"_JPSJPS_" + bytes(4)
    (tmp_path / "a.jps").write_bytes(jpeg[:2] + segment + jpeg[2:])
    assert try_file(tmp_path / "a.jps") in {"read", "corrupt", "single"}


@pytest.mark.parametrize("claim", [1 << 30, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("kind", [b"IDAT", b"iCCP", b"eXIf", b"zTXt"])
def test_a_chunk_that_claims_gigabytes(tmp_path: Path, kind: bytes, claim: int) -> None:
    """In the place of the pixels, and behind them: as much is read as there is, and no more set aside."""
    good = seeds()["pair.pns"]
    pixels, head = good.index(b"IDAT") - 4, struct.pack(">I", claim) + kind
    files = good[:pixels] + head + good[pixels + 8 :], good[:-12] + head + b"abc", good[:pixels] + head
    tracemalloc.start()
    for number, content in enumerate(files):
        (tmp_path / f"{number}.pns").write_bytes(content)
        assert try_file(tmp_path / f"{number}.pns") in {"corrupt", "read"}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


def claiming_50_000(kind: str) -> bytes:
    """A good small file whose header says 50 000 x 50 000 px, by the specification of its format."""
    good = bytearray(encoded(Image.new("RGB", (96, 72), (90, 60, 30)), kind))
    if kind == "JPEG":  # frame header: length, precision, height, width
        struct.pack_into(">HH", good, good.index(b"\xff\xc0") + 5, 50_000, 50_000)
    elif kind == "GIF":  # logical screen
        struct.pack_into("<HH", good, 6, 50_000, 50_000)
    elif kind == "BMP":  # BITMAPINFOHEADER
        struct.pack_into("<ii", good, 18, 50_000, 50_000)
    elif kind == "TIFF":  # first directory: tags 256 and 257
        directory = struct.unpack_from("<I", good, 4)[0]
        for entry in range(directory + 2, directory + 26, 12):
            assert struct.unpack_from("<H", good, entry)[0] in (256, 257)
            struct.pack_into("<HII", good, entry + 2, 4, 1, 50_000)
    elif kind == "PPM":
        good[:] = good.replace(b"96 72", b"50000 50000")
    return bytes(good)


@pytest.mark.parametrize(
    ("kind", "extension"), [("JPEG", "jpg"), ("GIF", "gif"), ("BMP", "bmp"), ("TIFF", "tif"), ("PPM", "ppm")]
)
def test_50_000_px_a_side_in_every_format(tmp_path: Path, kind: str, extension: str) -> None:
    (tmp_path / f"a.{extension}").write_bytes(claiming_50_000(kind))
    tracemalloc.start()
    assert reasons(discover(tmp_path)) == [(f"a.{extension}", "too-large")]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000
