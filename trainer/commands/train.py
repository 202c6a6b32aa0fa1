"""`redweb train` and `redweb train-segmenter`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from redweb_builder.commands import options
from redweb_builder.commands.terminal import echo
from trainer.config import (
    AUGMENTATIONS,
    CHECKS,
    FOLDS,
    LOSS_NAMES,
    MODELS,
    PRECISIONS,
    RECIPES,
    REGION_KINDS,
    SCHEDULES,
    SEGMENTER,
    TrainConfig,
    preset,
    weighted_path,
)

if TYPE_CHECKING:
    from trainer.progress import Summary

RELATIVE, PAPER, BACKBONE = preset("rednet"), preset("eigen"), preset("eigen", "any")
ADVANCED = (
    "joint",
    "fine_epochs",
    "l2_epochs",
    "freeze_epochs",
    "accumulate",
    "schedule",
    "warmup",
    "weight_decay",
    "clip",
    "ema",
    "augment",
    "weigh_by_pixels",
    "threads",
    "min_confidence",
    "measured_only",
    "weigh_by_confidence",
    "balance",
    "freeze_batchnorm",
    "precision",
)


def encoder_weights(command: options.Function) -> options.Function:
    """--encoder-weights. command: gets the option."""
    option = click.option(
        "--encoder-weights",
        default=TrainConfig.encoder_weights,
        show_default=True,
        metavar="auto|none|FILE",
        help="ImageNet weights to start from; auto = wherever they can be had.",
    )
    return option(command)


def depth_scale(command: options.Function) -> options.Function:
    """--depth-scale, of train, evaluate and convert-nyu. command: gets the option."""
    option = click.option(
        "--depth-scale",
        metavar="N|metres|inverse[:N]",
        help="What a metre is stored as in depth files (1000, 5000, 256) where their set does not say.",
    )
    return option(command)


def setting(name: str, help: str, of: TrainConfig = RELATIVE) -> options.Decorator:
    """An option for a setting, with the default that it has in a config.

    name: with its dashes. help: its line of the help. of: the config.
    """
    default = getattr(of, name.removeprefix("--").replace("-", "_"))
    return click.option(name, default=default, show_default=True, help=help)


@click.command("train", cls=options.CommandWithAdvanced, advanced=ADVANCED)
@options.choice(
    "--model",
    MODELS,
    TrainConfig.model,
    "rednet = relative depth (Xian et al. 2018); eigen = depth in metres (Eigen et al. 2014), coarse then fine.",
)
@click.option(
    "--backbone",
    help="eigen: this encoder in place of the paper's network, such as resnet50 or tu-NAME; then batch "
    f"{BACKBONE.batch}, {BACKBONE.epochs} epochs.",
)
@click.option(
    "--data",
    multiple=True,
    default=("redweb",),
    show_default=True,
    metavar="PATH[=WEIGHT]",
    help="Data set, repeatable: a built set, ReDWeb_V1, RGB-D, ... (docs/training.md); weight = how often an epoch.",
)
@options.out("runs/last", "Folder of the run: weights, log, settings.")
@click.option(
    "--recipe",
    type=click.Choice(list(RECIPES)),
    help="All settings as the paper has them, with its --model; other options given go before.",
)
@options.choice("--loss", LOSS_NAMES, TrainConfig.loss, "Loss of relative depth; eigen has one of its own.")
@setting("--encoder", "Of segmentation-models-pytorch; tu-NAME: timm.")
@encoder_weights
@click.option(
    "--init",
    metavar="CHECKPOINT",
    help="Start from a run, or from the encoder in somebody's .pth or .safetensors file, instead of ImageNet.",
)
@setting("--size", "Side of the training crops, px.")
@click.option(
    "--batch",
    type=int,
    help=f"Pictures an optimiser step, over all processes.  [default: {RELATIVE.batch}; eigen {PAPER.batch}]",
)
@click.option(
    "--epochs",
    type=int,
    help=f"Of eigen: of the coarse phase.  [default: {RELATIVE.epochs}; eigen {PAPER.epochs}]",
)
@click.option(
    "--learning-rate",
    type=float,
    help="Of new layers, the encoder has a tenth; of eigen without backbone: a factor on the paper's rates.  "
    f"[default: {RELATIVE.learning_rate:g}; eigen {PAPER.learning_rate:g}; with backbone {BACKBONE.learning_rate:g}]",
)
@depth_scale
@setting("--validation", "Share held out where a set has no split.")
@setting("--test", "Share that is neither trained nor validated on, for evaluate --part test.")
@options.device()
@click.option("--workers", type=int, help="Processes that read pictures.  [default: up to 4]")
@options.seed(TrainConfig.seed)
@options.overwrite("run")
@options.choice(
    "--check",
    CHECKS,
    CHECKS[0],
    "Of the data before the first step: headers and sizes of all files, or everything; none also takes labels that "
    "look upside down.",
)
@click.option("--joint", is_flag=True, help="eigen: coarse and fine at once.")
@click.option(
    "--fine-epochs",
    type=int,
    help=f"eigen: of the fine phase, after the coarse one.  [default: {PAPER.fine_epochs}]",
)
@setting("--l2-epochs", "Of L2 warm-up first, for random weights.")
@setting("--freeze-epochs", "Before all others, with the encoder as it starts.")
@setting("--accumulate", "Parts a batch is computed in, to save memory.")
@options.choice(
    "--schedule", SCHEDULES, TrainConfig.schedule, "Learning rate: half a cosine to 0, steps of a tenth, or constant."
)
@setting("--warmup", "Share of a phase in which the learning rate rises.")
@setting("--weight-decay", "Of AdamW; 0 = Adam. eigen without backbone has the paper's.")
@setting("--clip", "Largest norm of the gradient; 0 = none.")
@setting("--ema", "Decay of the running mean of the weights, which is what is kept; 0 = none.")
@options.choice(
    "--augment", AUGMENTATIONS, TrainConfig.augment, "Of the training pictures; eigen has the paper's, or none."
)
@click.option("--threads", type=int, help="Of the CPU's computations.  [default: the cores that it may use]")
@setting("--min-confidence", "Of built sets: labels below it are not learned from, 0 to 255.")
@click.option("--measured-only", is_flag=True, help="Of built sets: filled pixels are not learned from.")
@click.option("--weigh-by-confidence", is_flag=True, help="Of built sets: labels count by their confidence.")
@click.option("--balance", is_flag=True, help="Draw every set equally often, times its weight, whatever their sizes.")
@click.option("--weigh-by-pixels", is_flag=True, help="eigen: a picture counts by the square of its known pixels.")
@click.option("--freeze-batchnorm", is_flag=True, help="Leave the encoder's batch norms as pretrained.")
@options.choice(
    "--precision",
    PRECISIONS,
    TrainConfig.precision,
    "Of the forward pass; auto = bf16 where a short measurement says that it is faster.",
)
def train(
    model: str,
    backbone: str | None,
    data: tuple[str, ...],
    out: Path,
    overwrite: bool,
    check: str,
    recipe: str | None,
    **settings: Any,
) -> None:
    """Train a network: of relative depth, by default on ./redweb, what build-redweb makes; or of depth in metres.

    Interrupted, it goes on where it stopped when the same command is given again. Several GPUs or machines: start it
    with torchrun.
    """
    from trainer.commands.console import print_training, trainer_errors_for_people

    with trainer_errors_for_people():
        from redweb_builder.process import keep_freed_memory

        keep_freed_memory()
        given = {name: value for name, value in settings.items() if not _is_default(name)}
        start = preset(model, backbone)
        if recipe:
            start = RECIPES[recipe]
            if not _is_default("model") or backbone:
                raise click.UsageError("--recipe has its own network: give it without --model and --backbone")
        if given.get("init") and start.model == "rednet" and "encoder" not in given:
            from trainer.training.initial import encoder_settings

            given |= encoder_settings(Path(given["init"]))
        config = replace(start, **given)
        summary = _train([weighted_path(text) for text in data], config, out, overwrite, check)
        if summary.is_main:
            print_training(summary)


def _is_default(name: str) -> bool:
    """Whether an option of the running command was not given."""
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.DEFAULT


def _train(data: list[tuple[Path, float]], config: TrainConfig, out: Path, overwrite: bool, check: str) -> Summary:
    """Train the model of a config, with a progress display."""
    from trainer.commands.console import TrainDisplay
    from trainer.train import train_metric_depth, train_relative_depth

    metric = config.model == "eigen"
    train_model = train_metric_depth if metric else train_relative_depth
    with TrainDisplay("reading the frames" if metric else "checking the files") as display:
        return train_model(
            data, config, out, overwrite=overwrite, check=check, watch=display.show, reading=display.read
        )


@click.command("train-segmenter")
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="KIND:FOLDER[=WEIGHT]",
    help=f"Repeatable; KIND is one of {', '.join(REGION_KINDS)} (docs/segmenter.md).",
)
@click.option("--teacher", type=options.EXISTING, help="Python file of an ADE20K network.")
@click.option("--teacher-weights", type=options.EXISTING, help="Weight file of that network.")
@options.out("runs/segmenter", "Folder of the run: weights, log, prepared pictures.")
@click.option(
    "--fold", type=click.IntRange(0, FOLDS - 1), help="Third kept back to validate on.  [default: train on all]"
)
@setting("--epochs", "Of as many whole batches as the pictures, times their weights, fill.", SEGMENTER)
@setting("--size", "Side of the training crops, px.", SEGMENTER)
@setting("--batch", "Pictures an optimiser step.", SEGMENTER)
@setting("--learning-rate", "Of new layers; the encoder has a fifth.", SEGMENTER)
@encoder_weights
@options.device()
@setting("--workers", "Processes that read pictures.", SEGMENTER)
@options.seed(SEGMENTER.seed)
@options.overwrite("run")
def train_segmenter(
    data: tuple[str, ...],
    teacher: Path | None,
    teacher_weights: Path | None,
    out: Path,
    fold: int | None,
    overwrite: bool,
    **settings: Any,
) -> None:
    """Train the network of the built-in segmenter: sky and far field.

    Writes OUT/segmenter.safetensors and its checksum, the two files that the package ships. Interrupted, it goes on
    where it stopped when the same command is given again.
    """
    from trainer.commands.console import TrainDisplay, counting, trainer_errors_for_people

    with trainer_errors_for_people():
        from trainer.segmenter import train as segmenter

        if (teacher is None) != (teacher_weights is None):
            raise click.ClickException("--teacher and --teacher-weights belong together: give both or none")
        config = segmenter.segmenter_config(**settings)
        files = (teacher, teacher_weights) if teacher and teacher_weights else None
        stated = [segmenter.parse_set(text) for text in data]
        with counting("pictures prepared") as tick:
            sets = segmenter.prepared(stated, files, fold, out, tick)
        with TrainDisplay() as display:
            segmenter.train_segmenter(sets, config, out, overwrite=overwrite, watch=display.show)
    echo(f"{out / segmenter.SHIPPED} and its checksum: copy both into redweb_builder/segmentation/ to ship them")
