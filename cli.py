"""The command line: every command a few lines; networks are imported only by the command that needs them."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from redweb_builder import __version__


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="redweb-builder")
def main() -> None:
    """Stereo photographs in, a relative-depth data set out; from that, networks that see depth in one photograph."""


@main.command("build-redweb")
@click.argument("stereo_dir", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("redweb"), show_default=True, help="Data set folder."
)
@click.option(
    "--flow",
    type=click.Choice(["auto", "raft-large", "raft-small", "dis"]),
    default="auto",
    show_default=True,
    help="Optical flow; auto = RAFT where its weights can be had, else DIS, which needs none.",
)
@click.option("--flow-weights", type=click.Path(path_type=Path), help="Weight file of torchvision's RAFT.")
@click.option(
    "--segmenter",
    default="auto",
    show_default=True,
    metavar="auto|builtin|none|HUB_ID",
    help="Sky and far field; auto = an ADE20K network from the hub where it can be had, else the built-in network.",
)
@click.option("--segmenter-weights", type=click.Path(path_type=Path), help="Folder of a saved smp network (ADE20K).")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--eyes",
    type=click.Choice(["auto", "as-is"]),
    default="auto",
    show_default=True,
    help="auto = exchange eyes that the picture shows to be swapped.",
)
@click.option(
    "--layout",
    type=click.Choice(["auto", "side-by-side", "over-under", "side-by-side-half", "over-under-half"]),
    default="auto",
    show_default=True,
    help="How every file holds its two eyes, whatever its name and content say.",
)
@click.option("--film-rate", type=float, default=1.0, show_default=True, help="Frames a second taken from films.")
@click.option("--vr-fov", type=float, default=90.0, show_default=True, help="Field of view cut from VR180, degrees.")
@click.option("--max-side", type=int, default=768, show_default=True, help="Longer side of the stored pictures, px.")
@click.option(
    "--preset",
    type=click.Choice(["default", "midas", "vdw", "none"]),
    default="default",
    show_default=True,
    help="Filter thresholds: ours, MiDaS 3D Movies', VDW's, or none.",
)
@click.option("--limit", type=int, help="Only the first N pairs.")
@click.option("--overwrite", is_flag=True, help="Replace the data set in --out.")
@click.option("--dry-run", is_flag=True, help="List what would be read and how, then stop.")
def build_redweb(
    stereo_dir: Path,
    out: Path,
    flow: str,
    flow_weights: Path | None,
    segmenter: str,
    segmenter_weights: Path | None,
    device: str,
    eyes: str,
    layout: str,
    film_rate: float,
    vr_fov: float,
    max_side: int,
    preset: str,
    limit: int | None,
    overwrite: bool,
    dry_run: bool,
) -> None:
    """Build a relative-depth data set from the stereo photographs in STEREO_DIR.

    Finds pairs in folders, side-by-side files, 3D containers and films; writes pictures, 16-bit relative depth, masks,
    a manifest and grid.png. Interrupted, it goes on where it stopped when the same command is given again.
    """
    from redweb_builder import console

    if dry_run:
        with console.errors_for_people():
            from redweb_builder.dry_run import print_dry_run
            from redweb_builder.inputs.options import InputOptions

            print_dry_run(stereo_dir, InputOptions(layout, film_rate, vr_fov), ask_eyes=eyes == "auto")
        return
    with console.errors_for_people():
        from redweb_builder.builder import build
        from redweb_builder.config import PRESETS, BuildConfig
        from redweb_builder.device import keep_freed_memory
        from redweb_builder.inputs.options import InputOptions

        keep_freed_memory()
        config = BuildConfig(
            flow=flow,
            flow_weights=flow_weights,
            segmenter=segmenter,
            segmenter_weights=segmenter_weights,
            device=device,
            eyes=eyes,
            max_side=max_side,
            limit=limit,
            thresholds=PRESETS[preset],
            inputs=InputOptions(layout, film_rate, vr_fov),
        )
        with console.BuildDisplay() as display:
            summary = build(stereo_dir, out, config, overwrite=overwrite, watch=display.show)
        console.print_summary(summary)
    sys.exit(console.exit_code(summary))


@main.command("grid")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--keys", multiple=True, help="Only these pairs (repeatable).")
@click.option("--rows", type=click.IntRange(1, 300), default=40, show_default=True, help="At most this many pairs.")
@click.option("--to", type=click.Path(path_type=Path), help="Picture to write; default DATASET/grid.png.")
def grid(dataset: Path, keys: tuple[str, ...], rows: int, to: Path | None) -> None:
    """Draw DATASET's inspection grid anew: flow against refined depth, kept and rejected."""
    from redweb_builder import console

    with console.errors_for_people():
        from redweb_builder.inspect.show import write_grid

        click.echo(write_grid(dataset, rows, keys, to))


@main.command("report")
@click.argument("dataset", type=click.Path(path_type=Path))
def report(dataset: Path) -> None:
    """Draw DATASET's report.html anew, with what people have decided since."""
    from redweb_builder import console

    with console.errors_for_people():
        from redweb_builder.inspect.report import write_report

        click.echo(write_report(dataset))


@main.command("review")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--reviewer", metavar="NAME", help="Who decides; default: your user name.")
@click.option("--source", type=click.Path(path_type=Path), help="Folder of the stereo photographs, where it has moved.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Default: any that is free.")
@click.option("--no-browser", is_flag=True, help="Print the address only.")
def review(dataset: Path, reviewer: str | None, source: Path | None, port: int, no_browser: bool) -> None:
    """Look through DATASET's samples in the browser and decide: accept, reject, rescue, undo.

    The page is served to this machine only. Decisions go to DATASET/decisions.jsonl as they are made.
    """
    from redweb_builder import console

    with console.errors_for_people():
        console.review(dataset, reviewer, source, port, not no_browser)


@main.command("decisions")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
def decisions(dataset: Path, files: tuple[Path, ...]) -> None:
    """Tell what people decided about DATASET; merge other reviewers' decisions.jsonl FILES into it first."""
    from redweb_builder import console

    with console.errors_for_people():
        console.print_decisions(dataset, files)


@main.command("refilter")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--set", "settings", multiple=True, metavar="NAME=LIMIT", help="A limit, or off (repeatable).")
@click.option("--dry-run", is_flag=True, help="Show what would change, then stop.")
def refilter(dataset: Path, settings: tuple[str, ...], dry_run: bool) -> None:
    """Apply other thresholds to DATASET's stored measurements; no network runs, nothing is deleted."""
    from redweb_builder import console

    with console.errors_for_people():
        console.refilter(dataset, settings, dry_run)


@main.command("train")
@click.option(
    "--model",
    type=click.Choice(["rednet", "eigen"]),
    default="rednet",
    show_default=True,
    help="rednet = relative depth (Xian et al. 2018); eigen = depth in metres (Eigen et al. 2014), coarse then fine.",
)
@click.option(
    "--backbone",
    help="eigen: this encoder in place of the paper's network, such as resnet50 or tu-NAME; then batch 8, 14 epochs.",
)
@click.option("--joint", is_flag=True, help="eigen: coarse and fine at once.")
@click.option(
    "--data",
    multiple=True,
    default=("redweb",),
    show_default=True,
    metavar="PATH[=WEIGHT]",
    help="Data set, repeatable: a built set, ReDWeb_V1, HRWSI, NYU Depth v2; weight = how often an epoch.",
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/last"), show_default=True)
@click.option(
    "--loss",
    type=click.Choice(["ranking", "improved-ranking", "structure-guided", "ssi", "ssi-trimmed", "l2"]),
    default="ranking",
    show_default=True,
)
@click.option("--encoder", default="resnet50", show_default=True, help="Of segmentation-models-pytorch; tu-NAME: timm.")
@click.option("--encoder-weights", default="auto", show_default=True, metavar="auto|none|FILE", help="ImageNet start.")
@click.option("--size", default=384, show_default=True, help="Side of the training crops, px.")
@click.option("--batch", type=int, help="Pictures an optimiser step, over all processes.  [default: 8; eigen 32]")
@click.option("--accumulate", default=1, show_default=True, help="Parts a batch is computed in, to save memory.")
@click.option("--epochs", type=int, help="Of eigen: of the coarse phase.  [default: 30; eigen 40]")
@click.option("--fine-epochs", type=int, help="eigen: of the fine phase, after that.  [default: 15]")
@click.option("--l2-epochs", default=0, show_default=True, help="Of L2 warm-up first, for random weights.")
@click.option(
    "--learning-rate",
    type=float,
    help="Of new layers, the encoder has a tenth; of eigen without backbone: a factor on the paper's rates.  "
    "[default: 1e-4; eigen 1; with backbone 1e-3]",
)
@click.option("--schedule", type=click.Choice(["cosine", "step"]), default="cosine", show_default=True)
@click.option("--validation", default=0.1, show_default=True, help="Share held out where a set has no split.")
@click.option("--freeze-batchnorm", is_flag=True, help="Leave the encoder's batch norms as pretrained.")
@click.option("--precision", type=click.Choice(["auto", "float32", "bf16", "fp16"]), default="auto", show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--workers", type=int, help="Processes that read pictures.  [default: up to 4]")
@click.option("--seed", default=0, show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace the run in --out.")
def train(model: str, backbone: str | None, data: tuple[str, ...], out: Path, overwrite: bool, **told: object) -> None:
    """Train a network: of relative depth, by default on ./redweb, what build-redweb makes; or of depth in metres.

    Interrupted, it goes on where it stopped when the same command is given again. Several GPUs or machines: start it
    with torchrun.
    """
    from trainer.commands.console import TrainDisplay, counting, print_training, trainer_errors_for_people

    with trainer_errors_for_people():
        from dataclasses import replace

        from redweb_builder.device import keep_freed_memory
        from trainer.config import preset, weighted_path
        from trainer.train import train_metric_depth, train_relative_depth

        keep_freed_memory()
        settings = {name: value for name, value in told.items() if value is not None}
        config = replace(preset(model, backbone), **settings)  # type: ignore[arg-type]
        sets = [weighted_path(one) for one in data]
        with TrainDisplay() as display:
            if model == "eigen":
                with counting("reading the frames") as tick:
                    summary = train_metric_depth(
                        sets, config, out, overwrite=overwrite, watch=display.show, reading=tick
                    )
            else:
                summary = train_relative_depth(sets, config, out, overwrite=overwrite, watch=display.show)
        if summary.leads:
            print_training(summary)


@main.command("train-segmenter")
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="KIND:FOLDER[=WEIGHT]",
    help="Repeatable; KIND is camvid, masks, stereo, photographs or no-sky (docs/segmenter.md).",
)
@click.option("--teacher", type=click.Path(path_type=Path, exists=True), help="Python file of an ADE20K network.")
@click.option("--teacher-weights", type=click.Path(path_type=Path, exists=True), help="Its weights.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/segmenter"), show_default=True)
@click.option("--fold", type=click.IntRange(0, 2), help="Third kept back to validate on.  [default: train on all]")
@click.option("--epochs", default=16, show_default=True)
@click.option("--size", default=192, show_default=True, help="Side of the training crops, px.")
@click.option("--batch", default=8, show_default=True, help="Pictures an optimiser step.")
@click.option("--learning-rate", default=7e-4, show_default=True, help="Of new layers; the encoder has a fifth.")
@click.option("--encoder-weights", default="auto", show_default=True, metavar="auto|none|FILE", help="ImageNet start.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--workers", default=0, show_default=True, help="Processes that read pictures.")
@click.option("--seed", default=0, show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace the run in --out.")
def train_segmenter(
    data: tuple[str, ...],
    teacher: Path | None,
    teacher_weights: Path | None,
    out: Path,
    fold: int | None,
    overwrite: bool,
    **settings: object,
) -> None:
    """Train the network of the built-in segmenter: sky and far field.

    Writes OUT/segmenter.safetensors and its checksum, the two files that the package ships. Interrupted, it goes on
    where it stopped when the same command is given again.
    """
    from trainer.commands.console import TrainDisplay, counting, trainer_errors_for_people

    with trainer_errors_for_people():
        from trainer.config import TrainConfig
        from trainer.segmenter import train as segmenter

        if (teacher is None) != (teacher_weights is None):
            raise click.ClickException("--teacher and --teacher-weights belong together: give both or none")
        config = TrainConfig(**settings, **segmenter.FIXED)  # type: ignore[arg-type]
        taught = (teacher, teacher_weights) if teacher and teacher_weights else None
        with counting("pictures prepared") as tick:
            sets = segmenter.prepared([segmenter.told_set(one) for one in data], taught, fold, out, tick)
        with TrainDisplay() as display:
            segmenter.train_segmenter(sets, config, out, overwrite=overwrite, watch=display.show)
    click.echo(f"{out / segmenter.SHIPPED} and its checksum: copy both into redweb_builder/ to ship them")


@main.command("evaluate")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "--on", "data", multiple=True, required=True, type=click.Path(path_type=Path), help="Data set or DIW CSV."
)
@click.option("--against", multiple=True, type=click.Path(path_type=Path), help="Another checkpoint, for comparison.")
@click.option(
    "--part",
    type=click.Choice(["auto", "all", "train", "val", "test"]),
    default="auto",
    show_default=True,
    help="auto = the set's own test or validation part, else all of it; val = also what training held out.",
)
@click.option("--validation", type=float, help="Share that training held out, for --part val.  [default: CHECKPOINT's]")
@click.option("--limit", type=click.IntRange(1), help="At most so many pictures of each set.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="For JSON and picture sheets.  [default: beside CHECKPOINT]"
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
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
        share = read_header(weights_file(checkpoint)).get("validation", 0.1) if validation is None else validation
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


@main.command("predict")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("depth"), show_default=True)
@click.option("--side-by-side", is_flag=True, help="The photograph left of the coloured depth.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
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
        size = int(read_header(weights_file(checkpoint)).get("size", 384))
        unread = 0
        for written in predict_files(network, source, out, size, where, side_by_side):
            if isinstance(written, DataError):
                click.echo(str(written), err=True)
                unread += 1
            else:
                click.echo(f"{written.depth}  {written.colour}")
        if unread:
            raise DataError(f"{unread} files could not be read; the others are done")


@main.command("convert-nyu")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def convert_nyu(source: Path, out: Path) -> None:
    """Write NYU Depth v2 in any form as OUT/rgb/*.png, OUT/depth/*.png (16 bit, millimetres) and OUT/split.csv."""
    from trainer.commands.console import counting, trainer_errors_for_people

    with trainer_errors_for_people():
        from trainer.data.nyu_convert import convert_nyu

        with counting(str(source)) as tick:
            click.echo(f"{out}: {convert_nyu(source, out, tick)} frames")


@main.command("export")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    required=True,
    type=click.Choice(["redweb-v1", "webdataset", "huggingface", "ply", "onnx", "torchscript", "safetensors"]),
    help="The first four are for a data set, the others for a trained network.",
)
@click.option("--out", type=click.Path(path_type=Path), help="New folder or file.  [default: beside PATH]")
@click.option("--keys", multiple=True, help="Only these samples of a data set (repeatable).")
def export(path: Path, form: str, out: Path | None, keys: tuple[str, ...]) -> None:
    """Write the data set or the trained network in PATH in a form that others read.

    A data set goes out as people left it; a network is checked against what was written.
    """
    if form in ("onnx", "torchscript", "safetensors"):
        from trainer.commands.console import trainer_errors_for_people

        with trainer_errors_for_people():
            from trainer.export import export_checkpoint

            click.echo(export_checkpoint(path, form, out))
        return
    from redweb_builder import console

    with console.errors_for_people():
        console.export(path, form, out or path.with_name(f"{path.resolve().name}-{form}"), keys)


if __name__ == "__main__":
    main()
