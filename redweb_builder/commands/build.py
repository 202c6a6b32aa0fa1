"""`redweb build`: from stereo photographs to a data set."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from redweb_builder.commands import config_file, options
from redweb_builder.config import ENGINES, EYES, LAYOUT_CHOICES, NONE, PRESETS, BuildConfig, InputOptions
from redweb_builder.errors import SettingsError

if TYPE_CHECKING:
    from redweb_builder.progress import Progress


@click.command("build-redweb")
@click.argument("stereo_dir", type=options.PATH)
@options.out("redweb", "Data set folder.")
@options.flow()
@click.option("--flow-weights", type=options.PATH, help="Weight file of torchvision's RAFT.")
@options.precision()
@click.option(
    "--segmenter",
    default=BuildConfig.segmenter,
    show_default=True,
    metavar="auto|builtin|none|HUB_ID",
    help="Sky and far field; auto = an ADE20K network from the hub where it can be had, else the built-in network.",
)
@click.option("--segmenter-weights", type=options.PATH, help="Folder of a saved smp network (ADE20K).")
@click.option(
    "--mono",
    "--witness",
    "mono",
    default=BuildConfig.mono,
    show_default=True,
    metavar="builtin|none|FILE",
    help="Monocular depth network: for the eye order, and to check labels; FILE = ONNX or TorchScript.",
)
@options.device()
@options.choice("--eyes", EYES, BuildConfig.eyes, "auto = exchange eyes that the picture shows to be swapped.")
@options.choice(
    "--layout",
    LAYOUT_CHOICES,
    InputOptions.layout,
    "How every file holds its two eyes, whatever its name and content say.",
)
@click.option(
    "--pair",
    nargs=2,
    metavar="LEFT RIGHT",
    help="Which files are the two eyes: paths below STEREO_DIR with * and fields, 'cam0/{n}.png' 'cam1/{n}.png'.",
)
@click.option("--pairs", type=options.PATH, help="A CSV file of the pairs: left,right or left,right,key.")
@click.option("--time-tolerance", type=float, help="Pair by the nearest time stamp, at most so many seconds apart.")
@click.option("--right-first", is_flag=True, help="The right eye comes first in every pair (cross-eyed).")
@click.option(
    "--film-rate", default=InputOptions.film_rate, show_default=True, help="Frames a second taken from films."
)
@click.option("--vr-fov", default=InputOptions.vr_fov, show_default=True, help="Field of view cut from VR180, degrees.")
@click.option(
    "--max-side", default=BuildConfig.max_side, show_default=True, help="Longer side of the stored pictures, px."
)
@options.choice("--preset", tuple(PRESETS), "default", "Filter thresholds: ours, MiDaS 3D Movies', VDW's, or none.")
@click.option("--limit", type=int, help="Only the first N pairs.")
@click.option("--part", type=options.Part(), help="One of several parts, such as 3/16, for other machines; see merge.")
@options.choice("--engine", ENGINES, BuildConfig.engine, "Work here, or on a Ray cluster (docs/scale.md).")
@click.option("--address", help="Of the Ray cluster: auto, HOST:PORT or ray://HOST:PORT.  [default: a new one, here]")
@click.option("--jobs", type=int, help="Cores to use; with Ray, of each worker.  [default: all; with Ray 1]")
@options.overwrite("data set")
@click.option("--safe", is_flag=True, help="Decode pictures, too, in a process with limits: for files from strangers.")
@click.option("--dry-run", is_flag=True, help="List what would be read and how, then stop.")
@click.option("--json", "as_json", is_flag=True, help="The summary, or the list of --dry-run, for machines.")
@click.option("--log", type=options.WRITTEN, metavar="FILE", help="Append a line of JSON for each stage and each pair.")
@click.option("--verbose", is_flag=True, help="A line for each pair as it is recorded.")
@click.option("--quiet", is_flag=True, help="Nothing but errors.")
@config_file.option()
def build_redweb(
    stereo_dir: Path,
    out: Path,
    layout: str,
    film_rate: float,
    vr_fov: float,
    pair: tuple[str, str] | None,
    pairs: Path | None,
    time_tolerance: float | None,
    right_first: bool,
    preset: str,
    overwrite: bool,
    safe: bool,
    dry_run: bool,
    as_json: bool,
    log: Path | None,
    verbose: bool,
    quiet: bool,
    **settings: Any,
) -> None:
    """Build a relative-depth data set from the stereo photographs in STEREO_DIR, a folder or an address (s3://...).

    Finds pairs in folders, side-by-side files, 3D containers and films; writes pictures, 16-bit relative depth, masks,
    a manifest and grid.png. Interrupted, it goes on where it stopped when the same command is given again. `build` is
    short for build-redweb.
    """
    from redweb_builder.commands import console
    from redweb_builder.commands.build_log import BuildLog
    from redweb_builder.commands.errors import errors_for_people
    from redweb_builder.dataset.parts import folder_of_part

    with errors_for_people():
        config_file.require_typed_networks(settings["flow"], settings["mono"])
        inputs = InputOptions(layout, film_rate, vr_fov, right_first, pair, pairs, time_tolerance)
        if safe:
            from redweb_builder.inputs.isolation import isolate_all

            isolate_all()
        goes_on_in = None if overwrite else folder_of_part(out, part) if (part := settings["part"]) else out
        thresholds = replace(PRESETS[preset], **config_file.limits_of_file(goes_on_in))
        config = BuildConfig(thresholds=thresholds, inputs=inputs, **settings)
        if dry_run:
            from redweb_builder.commands.dry_run import print_dry_run

            # The list is there in a second, since it loads no network that was not asked for.
            is_default = click.get_current_context().get_parameter_source("mono") is ParameterSource.DEFAULT
            mono = NONE if is_default else settings["mono"]
            print_dry_run(stereo_dir, inputs, settings["eyes"] == "auto", mono, as_json, settings["max_side"])
            return
        if quiet and verbose:
            raise SettingsError("--quiet and --verbose contradict each other; give one of them")
        from redweb_builder.builder.unchanged import unchanged_build
        from redweb_builder.process import keep_freed_memory, uncollected_imports

        with ExitStack() as stack:
            watchers = [stack.enter_context(BuildLog(log)).watch] if log else []
            if not quiet:  # before the import of the networks' libraries, which takes seconds
                watchers.append(stack.enter_context(console.BuildDisplay(verbose)).show)
            watch = _all_of(watchers)
            # Asked here, too: the import of the networks' libraries would take longer than all the rest.
            summary = None if overwrite else unchanged_build(stereo_dir, out, config, watch)
            if summary is None:
                with uncollected_imports():
                    from redweb_builder.builder.build import build
                keep_freed_memory()
                summary = build(stereo_dir, out, config, overwrite=overwrite, watch=watch)
        if as_json:
            console.print_summary_as_json(summary)
        elif not quiet:
            console.print_summary(summary)
    code = console.exit_code(summary)
    sys.exit(0 if settings["part"] and code == console.NOTHING_KEPT else code)  # a part may be of few pairs


def _all_of(watchers: Sequence[Callable[[Progress], None]]) -> Callable[[Progress], None]:
    def watch(progress: Progress) -> None:
        for watcher in watchers:
            watcher(progress)

    return watch
