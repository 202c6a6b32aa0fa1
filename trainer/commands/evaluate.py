"""`redweb evaluate`, `redweb predict` and `redweb convert-nyu`."""

from __future__ import annotations

from pathlib import Path

import click

from redweb_builder.commands import options
from trainer.config import PARTS, TrainConfig


@click.command("evaluate")
@click.argument("checkpoint", type=options.PATH)
@click.option("--on", "data", multiple=True, required=True, type=options.PATH, help="Data set or DIW CSV (repeatable).")
@click.option("--against", multiple=True, type=options.PATH, help="Another checkpoint, for comparison (repeatable).")
@options.choice(
    "--part",
    PARTS,
    PARTS[0],
    "auto = the set's own test or validation part, else all of it; val = also what training held out.",
)
@click.option("--validation", type=float, help="Share that training held out, for --part val.  [default: CHECKPOINT's]")
@click.option("--limit", type=click.IntRange(1), help="At most so many pictures of each set.")
@click.option("--out", type=options.PATH, help="For JSON and picture sheets.  [default: beside CHECKPOINT]")
@options.device()
def evaluate(
    checkpoint: Path,
    data: tuple[Path, ...],
    against: tuple[Path, ...],
    part: str,
    validation: float | None,
    limit: int | None,
    out: Path | None,
    device: str,
) -> None:
    """The field's figures for CHECKPOINT on data with known depth, beside the prior that the lower point is nearer.

    A network of metric depth, on a set in metres, gets the columns of Eigen et al. 2014 beside the paper's own rows and
    the mean depth.
    """
    from trainer.commands.console import counting, print_rows, trainer_errors_for_people

    with trainer_errors_for_people():
        from redweb_builder.device import choose_device
        from trainer.checkpoint import read_header, weights_file
        from trainer.evaluation import evaluate as evaluation
        from trainer.evaluation.evaluate_metric import evaluate_metric, in_metres, metric_networks

        where = choose_device(device)
        predictors = {str(path): evaluation.predictor(path, where) for path in (checkpoint, *against)}
        metric = metric_networks((checkpoint, *against), where)
        header = read_header(weights_file(checkpoint))
        share = header.get("validation", TrainConfig.validation) if validation is None else validation
        tables = []
        for path in data:
            with counting(str(path)) as tick:
                metres = bool(metric) and in_metres(path)
                if metres:
                    tables.append(evaluate_metric(metric, path, part, share, where, limit, tick))
                if len(metric) < len(predictors) or not metres:
                    tables.append(evaluation.evaluate(predictors, path, part, share, limit, tick))
        rows, sheets = evaluation.gathered(tables)
        folder = out or weights_file(checkpoint).parent / "evaluation"
        evaluation.write_report(rows, sheets, folder)
        print_rows(rows)
        click.echo(f"{folder}/evaluation.json and {len(sheets)} picture sheets")


@click.command("predict")
@click.argument("checkpoint", type=options.PATH)
@click.argument("source", type=options.PATH)
@options.out("depth", "Folder for the pictures of depth.")
@click.option("--side-by-side", is_flag=True, help="The photograph left of the coloured depth.")
@options.device()
def predict(checkpoint: Path, source: Path, out: Path, side_by_side: bool, device: str) -> None:
    """Depth of a photograph, a folder of them, or a film: a 16-bit PNG and a coloured one.

    Relative depth: 65535 = nearest. A network of metric depth: millimetres.
    """
    from trainer.commands.console import trainer_errors_for_people

    with trainer_errors_for_people():
        from redweb_builder.device import choose_device
        from trainer.checkpoint import load_network, read_header, weights_file
        from trainer.predict import predict_files
        from trainer.types import DataError

        where = choose_device(device)
        network = load_network(checkpoint, where)
        size = int(read_header(weights_file(checkpoint)).get("size", TrainConfig.size))
        unread = 0
        for written in predict_files(network, source, out, size, where, side_by_side):
            if isinstance(written, DataError):
                click.echo(str(written), err=True)
                unread += 1
            else:
                click.echo(f"{written.depth}  {written.colour}")
        if unread:
            raise DataError(f"{unread} files could not be read; the others are done")


@click.command("convert-nyu")
@click.argument("source", type=options.PATH)
@click.argument("out", type=options.PATH)
def convert_nyu(source: Path, out: Path) -> None:
    """Write NYU Depth v2 in any form as OUT/rgb/*.png, OUT/depth/*.png (16 bit, millimetres) and OUT/split.csv."""
    from trainer.commands.console import counting, trainer_errors_for_people

    with trainer_errors_for_people():
        from trainer.data.nyu_convert import convert_nyu

        with counting(str(source)) as tick:
            click.echo(f"{out}: {convert_nyu(source, out, tick)} frames")
