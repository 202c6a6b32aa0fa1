"""`redweb evaluate`, `redweb predict` and `redweb convert-nyu`."""

from __future__ import annotations

from pathlib import Path

import click

from redweb_builder.commands import options
from redweb_builder.commands.terminal import counted, echo
from redweb_builder.config import BUILTIN
from trainer.commands.train import depth_scale
from trainer.config import PARTS, PROTOCOLS, RANGES, RAW_FORMATS, SENSES, STEREO_FORMS, TrainConfig


@click.command("evaluate")
@click.argument("checkpoints", type=options.PATH, nargs=-1, required=True, metavar="CHECKPOINT...")
@click.option("--on", "data", multiple=True, required=True, type=options.PATH, help="Data set or DIW CSV (repeatable).")
@click.option("--against", multiple=True, type=options.PATH, help="The same as another CHECKPOINT (repeatable).")
@click.option(
    "--predictions",
    type=click.Choice(SENSES),
    help="Of folders of predictions: larger numbers are nearer (disparity), farther (depth), or metres of depth.",
)
@click.option(
    "--protocol",
    type=click.Choice(PROTOCOLS),
    help="Align and judge depth as that publication does (docs/evaluation.md).",
)
@options.choice(
    "--part",
    PARTS,
    PARTS[0],
    "auto = the test part, else the set's own validation part, else all of it; val = also what training held out.",
)
@click.option("--validation", type=float, help="Share that training held out, for --part val.  [default: CHECKPOINT's]")
@click.option("--test", type=float, help="Share that training kept apart, for --part test.  [default: CHECKPOINT's]")
@click.option("--limit", type=click.IntRange(1), help="At most so many pictures of each set.")
@depth_scale
@click.option(
    "--out", type=options.WRITTEN, help="For JSON and picture sheets.  [default: beside the first CHECKPOINT]"
)
@options.device()
def evaluate(
    checkpoints: tuple[Path, ...],
    data: tuple[Path, ...],
    against: tuple[Path, ...],
    predictions: str | None,
    protocol: str | None,
    part: str,
    validation: float | None,
    test: float | None,
    limit: int | None,
    depth_scale: str | None,
    out: Path | None,
    device: str,
) -> None:
    """The field's figures for each CHECKPOINT on data with known depth, beside the prior that lower points are nearer.

    A CHECKPOINT is a run, its file, or `builtin`, the network that comes with the program. It may also be a folder of
    another program's predictions: PNG, TIFF, npy, npz, PFM, OpenEXR or HDF5, named after the pictures.

    A network of metric depth, on a set in metres, gets the columns of Eigen et al. 2014 beside the paper's own rows and
    the mean depth.
    """
    from trainer.commands.console import counting, print_rows, trainer_errors_for_people

    with trainer_errors_for_people():
        from redweb_builder.commands.console import print_refusal
        from redweb_builder.dataset.manifest_file import read_manifest
        from redweb_builder.dataset.paths import is_data_set
        from redweb_builder.networks.device import choose_device
        from trainer.checkpoint import is_builtin, weights_file
        from trainer.data.depth_scale import parse_scale
        from trainer.data.splits import Selection
        from trainer.evaluation.evaluate import evaluate_all
        from trainer.evaluation.results import merge_tables, write_report
        from trainer.evaluation.stored import is_stored, open_stored
        from trainer.prediction.predict import load_predictors

        given, first = (*checkpoints, *against), checkpoints[0]
        networks = load_predictors([path for path in given if not is_stored(path)], choose_device(device))
        loaded = {network.name: network for network in networks}
        predictors = [loaded.get(str(path)) or open_stored(path, predictions or "") for path in dict.fromkeys(given)]
        if validation is None:
            validation = networks[0].validation_fraction if networks else TrainConfig.validation
        if test is None:
            test = networks[0].test_fraction if networks else TrainConfig.test
        for path in filter(is_data_set, data):
            print_refusal(read_manifest(path).refusal())
        selection = Selection(part, validation, limit, test)
        scale = parse_scale(depth_scale) if depth_scale else None
        rows, sheets = merge_tables(evaluate_all(predictors, data, selection, counting, scale, protocol))
        beside = first.parent if is_stored(first) or is_builtin(first) else weights_file(first).parent
        folder = out or beside / "evaluation"
        write_report(rows, sheets, folder)
        print_rows(rows)
        echo(f"{folder}/evaluation.json and {counted(len(sheets), 'picture sheet')}")


@click.command("predict")
@click.argument("paths", type=options.PATH, nargs=-1, required=True, metavar="[CHECKPOINT] SOURCE")
@options.out("depth", "Folder for the pictures of depth.")
@click.option("--side-by-side", is_flag=True, help="The photograph left of the coloured depth.")
@options.choice(
    "--range",
    RANGES,
    RANGES[0],
    "What 0 and 65535 are the ends of: each picture, or the whole film or folder, which takes twice as long.",
)
@click.option("--film", is_flag=True, help="Of a film: the coloured depth as one MP4 instead of a picture a frame.")
@click.option("--smooth", default=0.0, show_default=True, help="Of a film: share of the frame before, such as 0.7.")
@click.option(
    "--stereo",
    type=click.Choice(STEREO_FORMS),
    help="A second eye's view, made from the depth: side by side, for red and cyan glasses, a GIF or MP4 that sways.",
)
@click.option("--raw", type=click.Choice(RAW_FORMATS), help="The network's own numbers too, as float32.")
@options.device()
def predict(
    paths: tuple[Path, ...],
    out: Path,
    side_by_side: bool,
    range: str,
    film: bool,
    smooth: float,
    stereo: str | None,
    raw: str | None,
    device: str,
) -> None:
    """Depth of SOURCE, a photograph, a folder of them, or a film: a 16-bit PNG and a coloured one.

    CHECKPOINT is a run or its file; without one the network that comes with the program predicts. Relative depth: 65535
    = nearest. A network of metric depth: millimetres.
    """
    if len(paths) > 2:
        raise click.UsageError(f"at most a checkpoint and a source can be given, not {len(paths)} paths")
    checkpoint, source = paths if len(paths) == 2 else (Path(BUILTIN), paths[0])
    from trainer.commands.console import trainer_errors_for_people

    with trainer_errors_for_people():
        from redweb_builder.networks.device import choose_device
        from trainer.prediction.predict import load_predictor
        from trainer.prediction.predict_files import Forms, predict_files
        from trainer.types import DataError

        predictor = load_predictor(checkpoint, choose_device(device))
        unread = done = 0
        forms = Forms(side_by_side, range == "film", film, stereo, raw, smooth)
        for written in predict_files(predictor.network, source, out, predictor.size, predictor.device, forms):
            if isinstance(written, DataError):
                echo(str(written), err=True)
                unread += 1
            else:
                echo("  ".join(str(file) for file in written.files))
                done += 1
        if unread:
            others = f"{counted(done, 'picture')} done" if done else "nothing is done"
            raise DataError(f"{counted(unread, 'file')} could not be read; {others}")


@click.command("convert-nyu")
@click.argument("source", type=options.PATH)
@click.argument("out", type=options.WRITTEN)
@depth_scale
def convert_nyu(source: Path, out: Path, depth_scale: str | None) -> None:
    """Write NYU Depth v2 in any form as OUT/rgb/*.png, OUT/depth/*.png (16 bit, millimetres) and OUT/split.csv."""
    from trainer.commands.console import counting, trainer_errors_for_people

    with trainer_errors_for_people():
        from trainer.data.depth_scale import parse_scale
        from trainer.data.nyu_convert import convert_nyu

        scale = parse_scale(depth_scale) if depth_scale else None
        with counting(str(source)) as tick:
            frames, lacking = convert_nyu(source, out, tick, scale)
    for sentence in lacking:
        echo(sentence, err=True)
    echo(f"{out}: {frames} frames")
