"""How long discovery takes and how much memory: folder trees of many files, made on the spot.

    python -m benchmarks.speed.discovery [--files 100000] [--form KITTI]

Each form gets its own tree of FILES files: two files, linked many times (hard links cost no disk space, and discovery
cannot tell). A packed picture without a tag has to be decoded and judged; of those a thousandth is measured.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import click
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

FORMS: dict[str, Callable[[int], tuple[str, str]]] = {
    "left/ + right/": lambda n: (f"{n // 2000:03d}/left/{n:06d}.jpg", f"{n // 2000:03d}/right/{n:06d}.jpg"),
    "_L + _R": lambda n: (f"{n // 2000:03d}/{n:06d}_L.jpg", f"{n // 2000:03d}/{n:06d}_R.jpg"),
    "scene folders im0 + im1": lambda n: (f"scene{n:06d}/im0.jpg", f"scene{n:06d}/im1.jpg"),
    "KITTI": lambda n: (f"{n // 2000:03d}/image_2/{n:06d}_10.jpg", f"{n // 2000:03d}/image_3/{n:06d}_10.jpg"),
    "packed, named -sbs": lambda n: (f"{n // 2000:03d}/{n:06d}a-sbs.jpg", f"{n // 2000:03d}/{n:06d}b-sbs.jpg"),
    "no pictures": lambda n: (f"{n // 2000:03d}/{n:06d}.txt", f"{n // 2000:03d}/{n:06d}.xml"),
    "single, to be judged": lambda n: (f"{n // 2000:03d}/IMG{n:06d}.jpg", f"{n // 2000:03d}/DSC{n:06d}.jpg"),
}
JUDGED = "single, to be judged"
LINKS = 50_000  # of one file; disks take some 65,000

_RUN = """
import resource, sys, time
from pathlib import Path
from redweb_builder.inputs.discover import discover
for eye in "LR":
    Path(sys.argv[2], f"a_{eye}.jpg").touch()
discover(Path(sys.argv[2]))  # what any tree imports is no part of this one
before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
begun = time.process_time()
discovery = discover(Path(sys.argv[1]))
seconds, cpu = time.perf_counter() - start, time.process_time() - begun
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(len(discovery.sources), len(discovery.left_out), seconds, cpu, grown)
"""


@click.command()
@click.option("--files", default=100_000, show_default=True, help="Files a tree.")
@click.option("--form", "forms", multiple=True, type=click.Choice([*FORMS]), help="Only these; may be repeated.")
def main(files: int, forms: tuple[str, ...]) -> None:
    """Measure discovery, each form in a process of its own."""
    table = Table("form", "files", "pairs", "left out", "s", "CPU s", "files/s", "KiB a file", box=None)
    picture = _photograph()
    for name in forms or FORMS:
        names_of, count = FORMS[name], files // 1000 if name == JUDGED else files
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as small:
            root = Path(folder)
            for number in range(count // 2):
                eyes = [root / f".{number // LINKS}-{eye}" for eye in ("left", "right")]
                for eye in eyes if number % LINKS == 0 else ():
                    eye.write_bytes(picture)
                for path, eye in zip(names_of(number), eyes, strict=True):
                    target = root / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    os.link(eye, target)
            run = subprocess.run(
                [sys.executable, "-c", _RUN, folder, small], capture_output=True, text=True, check=True
            )
        pairs, left_out, seconds, cpu, kib = (float(part) for part in run.stdout.split())
        row = (
            f"{pairs:.0f}",
            f"{left_out:.0f}",
            f"{seconds:.2f}",
            f"{cpu:.2f}",
            f"{count / seconds:.0f}",
            f"{kib / count:.2f}",
        )
        table.add_row(name, str(count), *row)
    Console().print(table)


def _photograph() -> bytes:
    """A JPEG of 1200 x 800 px with texture."""
    noise = np.random.default_rng(0).integers(0, 256, (100, 150, 3), np.uint8)
    buffer = BytesIO()
    Image.fromarray(noise).resize((1200, 800), Image.Resampling.BICUBIC).save(buffer, "JPEG")
    return buffer.getvalue()


if __name__ == "__main__":
    main()
