"""Is a large set reviewed without a lag: first view, steps, decisions, memory, and the report of the same set?

    python -m benchmarks.speed.review [--samples 10000] [--steps 200] [--dataset SET]

The set is made from SET (default: the sample photographs, built first), its files linked under new names until there
are enough; a third of it is decided already. Times are taken in a headless Chromium, from the address to the pictures
being drawn; memory is the server's, as the operating system tells it. Needs Playwright and a Chromium on the path.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from redweb_builder.dataset.decisions import append_decisions, decide
from redweb_builder.dataset.manifest import SCHEMA
from redweb_builder.dataset.manifest_file import read_manifest
from redweb_builder.dataset.paths import sample_root
from redweb_builder.inspect.report import write_report

DRAWN = "[...document.querySelectorAll('.sheet img')].every((image) => image.complete && image.naturalWidth > 0)"


@click.command()
@click.option("--samples", default=10_000, show_default=True)
@click.option("--steps", default=200, show_default=True, help="Samples to step through, and then to decide about.")
@click.option("--dataset", type=click.Path(path_type=Path, exists=True), help="A built set to make the large one of.")
def main(samples: int, steps: int, dataset: Path | None) -> None:
    """Print the table."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise click.ClickException("no Chromium on the path")
    with tempfile.TemporaryDirectory() as home, sync_playwright() as tool:
        large = enlarge(dataset or _build_samples(Path(home)), Path(home) / "large", samples)
        print(f"{samples} samples, {samples // 3} decided")
        browser = tool.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        _review(browser, large, steps)
        _report(browser, large)


def enlarge(dataset: Path, large: Path, samples: int) -> Path:
    """A set of `samples` labelled pairs: the labelled ones of `dataset` over and over, linked, measurements varied."""
    rows = [row for row in read_manifest(dataset).rows if row["key"] and row["width"]]
    generator = np.random.default_rng(0)
    many = []
    for number in range(samples):
        row = rows[number % len(rows)]
        home = sample_root(dataset, row["key"])
        key = f"{number:06}-{row['key']}"
        base = large if home == dataset else large / "rejected"
        stored = {file: base / file.parent.name for file in home.glob(f"*/{row['key']}.*")}
        stored[dataset / "previews" / f"{row['key']}.jpg"] = large / "previews"
        for file, to in stored.items():
            to.mkdir(parents=True, exist_ok=True)
            _link(file, to / f"{key}{file.suffix}")
        varied = {name: row[name] * generator.uniform(0.9, 1.1) for name in ("agreement", "range_px") if row[name]}
        many.append(row | varied | {"key": key})
    pq.write_table(pa.Table.from_pylist(many, schema=SCHEMA), large / "manifest.parquet")
    shutil.copy(dataset / "build.json", large / "build.json")
    append_decisions(large, [decide(row["key"], "accept", "ana") for row in many[: samples // 3]])
    return large


def _link(file: Path, to: Path) -> None:
    try:
        os.link(file, to)
    except OSError:  # another disk
        shutil.copy(file, to)


def _review(browser: Any, large: Path, steps: int) -> None:
    started = time.perf_counter()
    command = [sys.executable, "-u", "cli.py", "review", str(large), "--reviewer", "ana", "--no-browser"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = next(line.strip() for line in server.stdout if line.startswith("http://"))
        print(f"command to address      {time.perf_counter() - started:8.2f} s")
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        started = time.perf_counter()
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        _until(page, DRAWN)
        print(f"address to first view   {time.perf_counter() - started:8.2f} s")
        print(f"server's memory then    {_peak_mib(server.pid):8.0f} MiB")
        walked = [_timed(page, "ArrowRight") for _ in range(steps)]
        print(f"a step, median and 95th {1000 * np.median(walked):8.0f} ms {1000 * np.percentile(walked, 95):6.0f} ms")
        decided = [_timed(page, "a") for _ in range(steps)]
        print(
            f"a decision, the same    {1000 * np.median(decided):8.0f} ms {1000 * np.percentile(decided, 95):6.0f} ms"
        )
        started = time.perf_counter()
        page.select_option("#sort", "agreement")
        page.keyboard.press("Home")
        _until(page, DRAWN)
        print(f"sorting all of them     {1000 * (time.perf_counter() - started):8.0f} ms")
        print(f"server's peak memory    {_peak_mib(server.pid):8.0f} MiB")
        page.close()
    finally:
        server.kill()
        server.wait()


def _report(browser: Any, large: Path) -> None:
    started = time.perf_counter()
    file = write_report(large).file
    print(f"writing the report      {time.perf_counter() - started:8.2f} s, {file.stat().st_size / 2**20:.1f} MiB")
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    started = time.perf_counter()
    page.goto(file.as_uri())
    page.wait_for_selector(".card")
    print(f"opening the report      {time.perf_counter() - started:8.2f} s")
    page.close()


def _timed(page: Any, key: str) -> float:
    """Seconds from a key to another sample's pictures being there."""
    before = page.locator("#verdict h2").text_content()
    started = time.perf_counter()
    page.keyboard.press(key)
    _until(page, f"(before) => document.querySelector('#verdict h2').textContent !== before && {DRAWN}", before)
    return time.perf_counter() - started


def _until(page: Any, expression: str, argument: object = None) -> None:
    while not page.evaluate(expression, argument):
        time.sleep(0.002)


def _peak_mib(process: int) -> float:
    """Peak resident size of a running process (Linux)."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _build_samples(home: Path) -> Path:
    command = [
        "build-redweb",
        "samples/stereo",
        "--out",
        str(home / "small"),
        "--flow",
        "dis",
        "--segmenter",
        "builtin",
    ]
    subprocess.run([sys.executable, "cli.py", *command], check=True, capture_output=True)
    return home / "small"


if __name__ == "__main__":
    main()
