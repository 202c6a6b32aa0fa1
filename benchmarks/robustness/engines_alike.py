"""The same pairs built here, in parts that are merged, and on Ray: what differs in the three data sets.

    python -m benchmarks.robustness.engines_alike STEREO_DIR [--max-side 256] [--parts 2] [--address ADDRESS]
    python -m benchmarks.robustness.engines_alike --rendered 1000

Compared are all files of pairs, the journal (its lines sorted) and the manifest, to the byte but for times. build.json,
the report and the grid name the folder and the run.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rich.console import Console
from rich.table import Table

from benchmarks.robustness.ray_trial import render_pairs
from benchmarks.robustness.write_faults import Tree, different_files, sorted_lines, tree_of
from redweb_builder.builder.build import build
from redweb_builder.builder.merge import merge
from redweb_builder.config import BUILTIN, BuildConfig

OF_A_RUN = ("build.json", "report.html", "grid.png")


def compared_files(out: Path) -> Tree:
    """The files of a data set that must be alike. out: its folder."""
    tree = {name: content for name, content in tree_of(out).items() if not name.startswith(("part-", *OF_A_RUN))}
    tree["journal.jsonl"] = sorted_lines(tree["journal.jsonl"])
    return tree


@click.command()
@click.argument("stereo_dir", type=click.Path(path_type=Path, exists=True), required=False)
@click.option("--rendered", default=0, help="So many tiny rendered pairs in the place of STEREO_DIR.")
@click.option("--max-side", default=256, show_default=True)
@click.option("--parts", default=2, show_default=True)
@click.option("--address", help="Of a Ray cluster; default: a new one on this machine.")
def main(stereo_dir: Path | None, rendered: int, max_side: int, parts: int, address: str | None) -> None:
    """Print a table; ends with status 1 where something differs."""
    if (stereo_dir is None) == (rendered == 0):
        raise click.UsageError("name STEREO_DIR or --rendered N")
    config = BuildConfig(flow="dis", segmenter=BUILTIN, device="cpu", max_side=max_side)
    table = Table("built", "kept", "rejected", "files", "other than here", box=None)
    with TemporaryDirectory(prefix="engines-alike-") as name:
        here, merged, on_ray = (Path(name) / way for way in ("here", "merged", "ray"))
        if stereo_dir is None:
            stereo_dir = Path(name, "rendered")
            render_pairs(stereo_dir, rendered)
        build(stereo_dir, here, config)
        for number in range(1, parts + 1):
            build(stereo_dir, merged, replace(config, part=(number, parts)))
        merge(merged)
        build(stereo_dir, on_ray, replace(config, engine="ray", address=address))
        expected, good = compared_files(here), True
        for out in (here, merged, on_ray):
            tree = compared_files(out)
            different = different_files(tree, expected)
            lines = tree["journal.jsonl"].splitlines()
            kept = sum(b'"status": "kept"' in line for line in lines)
            good = good and not different
            text = ", ".join(different[:3]) or "nothing"
            table.add_row(out.name, str(kept), str(len(lines) - kept), str(len(tree)), f"{len(different)}: {text}")
    Console(width=110).print(table)
    sys.exit(not good)


if __name__ == "__main__":
    main()
