"""Broken files without end: what the byte parsers of the input forms make of them.

    python -m benchmarks.fuzz [--inputs 100000]

Small good files of every form are cut, overwritten, lengthened, and given lying numbers (hypothesis chooses where).
Every one must be read or refused with a reason; another exception, a slow file or growing memory is a fault.
"""

from __future__ import annotations

import resource
import struct
import time
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from redweb_builder.inputs import discover, read_pair
from redweb_builder.types import InputError

Change = tuple[str, int, int, bytes]
BATCH = 5_000
LYING = (0, 1, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 30, 50_000)


def seeds() -> dict[str, bytes]:
    """A small good file of every form, by name with extension."""
    texture = np.random.default_rng(0).integers(0, 256, (18, 26, 3), np.uint8)
    wide = np.asarray(Image.fromarray(texture).resize((104, 72), Image.Resampling.BICUBIC))
    left, right = wide[:, :96], wide[:, 8:]
    packed = Image.fromarray(np.concatenate([left, right], axis=1))
    files: dict[str, bytes] = {}

    def add(name: str, image: Image.Image, kind: str, **options: object) -> bytes:
        buffer = BytesIO()
        image.save(buffer, kind, **options)
        files[name] = buffer.getvalue()
        return files[name]

    add("a.mpo", Image.fromarray(left), "MPO", save_all=True, append_images=[Image.fromarray(right)])
    for extension, kind in (("png", "PNG"), ("webp", "WEBP"), ("tif", "TIFF")):
        add(f"a.{extension}", packed, kind)
    jpeg = add("a.jpg", packed, "JPEG")
    descriptor = b"_JPSJPS_" + struct.pack(">HIH", 4, 0x40201, 0)
    files["a.jps"] = jpeg[:2] + b"\xff\xe3" + struct.pack(">H", len(descriptor) + 2) + descriptor + jpeg[2:]
    files["a.vr.jpg"] = _vr180(add("eye.jpg", Image.fromarray(left).resize((144, 144)), "JPEG"))
    del files["eye.jpg"]
    return files


def _vr180(eye: bytes) -> bytes:
    import base64

    guid = b"0" * 32
    main = (
        b'http://ns.adobe.com/xap/1.0/\0<x GPano:FullPanoWidthPixels="320" GPano:FullPanoHeightPixels="160" '
        b'GPano:CroppedAreaImageWidthPixels="160" GPano:CroppedAreaImageHeightPixels="160" '
        b'GPano:CroppedAreaLeftPixels="80" GPano:CroppedAreaTopPixels="0" xmpNote:HasExtendedXMP="' + guid + b'"/>'
    )
    data = b'<x GImage:Data="' + base64.b64encode(eye) + b'"/>'
    parts = [main]
    for place in range(0, len(data), 3000):
        head = b"http://ns.adobe.com/xmp/extension/\0" + guid + struct.pack(">II", len(data), place)
        parts.append(head + data[place : place + 3000])
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part for part in parts)
    return eye[:2] + segments + eye[2:]


def changes() -> st.SearchStrategy[list[Change]]:
    """What is done to a file: up to four cuts, overwrites, insertions and lying numbers; most near its beginning."""
    place = st.one_of(st.integers(0, 400), st.integers(0, 1 << 20))
    number = st.sampled_from(
        [
            struct.pack(order + size, value % (1 << 8 * struct.calcsize(size)))
            for order in "<>"
            for size in "BHI"
            for value in LYING
        ]
    )
    content = st.one_of(st.binary(min_size=1, max_size=8), number)
    kind = st.sampled_from(("cut", "overwrite", "insert", "delete"))
    return st.lists(st.tuples(kind, place, st.integers(1, 64), content), min_size=1, max_size=4)


def broken(content: bytes, todo: list[Change]) -> bytes:
    """A file after the changes; places beyond its end are taken modulo its length."""
    file = bytearray(content)
    for kind, place, length, new in todo:
        at = place % (len(file) + 1)
        if kind == "cut":
            del file[at:]
        elif kind == "overwrite":
            file[at : at + len(new)] = new
        elif kind == "insert":
            file[at:at] = new
        else:
            del file[at : at + length]
    return bytes(file)


def try_file(file: Path) -> str:
    """What becomes of a file: "read", or the reason it was refused with."""
    found = discover(file)
    for source in found.sources:
        try:
            read_pair(source, 128)
        except InputError as error:
            return error.reason
        return "read"
    return found.left_out[0].reason if found.left_out else "passed over"


def fuzz(inputs: int, folder: Path, watch: Callable[[str, float], None]) -> None:
    """Give `inputs` broken files to the readers; `watch` is told what became of each, and how long it took."""
    good = seeds()

    @settings(
        max_examples=inputs,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(name=st.sampled_from(sorted(good)), todo=changes())
    def one(name: str, todo: list[Change]) -> None:
        file = folder / name
        file.write_bytes(broken(good[name], todo))
        start = time.perf_counter()
        watch(try_file(file), time.perf_counter() - start)

    one()


@click.command()
@click.option("--inputs", default=100_000, show_default=True, help="How many broken files.")
def main(inputs: int) -> None:
    """Fuzz the readers and print what became of the files; ends with status 1 at the first fault."""
    outcomes: Counter[str] = Counter()
    slowest = 0.0

    def watch(outcome: str, seconds: float) -> None:
        nonlocal slowest
        outcomes[outcome] += 1
        slowest = max(slowest, seconds)

    start, memory = time.perf_counter(), []
    with TemporaryDirectory() as folder:
        for done in track(range(0, inputs, BATCH), "fuzzing"):
            fuzz(min(BATCH, inputs - done), Path(folder), watch)
            memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    table = Table("outcome", "files", box=None)
    for outcome, count in outcomes.most_common():
        table.add_row(outcome, str(count))
    console = Console(soft_wrap=True)
    console.print(table)
    console.print(
        f"{sum(outcomes.values())} files in {time.perf_counter() - start:.0f} s, no fault; "
        f"slowest {slowest * 1e3:.0f} ms; peak memory {memory[0]} MiB at first, {memory[-1]} MiB at the end"
    )


if __name__ == "__main__":
    main()
