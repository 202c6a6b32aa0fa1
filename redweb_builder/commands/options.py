"""What the options of several commands share."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from redweb_builder.config import EXPORTED_FLOWS, FLOW_CHOICES, PRECISIONS, BuildConfig, check_device
from redweb_builder.errors import SettingsError, UserError
from redweb_builder.inputs.remote import require_folder

Function = Callable[..., Any]
Decorator = Callable[[Function], Function]  # adds an option to the function of a command

PATH = click.Path(path_type=Path)
EXISTING = click.Path(path_type=Path, exists=True)
COPY_INSTEAD = "write to a disk and copy it, or a data set with `export --format webdataset`"
# The writers of export/dataset.py.
DATA_SET_FORMATS = (
    "redweb-v1",
    "webdataset",
    "huggingface",
    "ply",
    "rectified",
    "labels-only",
    "fiftyone",
    "rerun",
)
STEREO_LAYOUTS = ("middlebury", "kitti", "sceneflow")  # of export/stereo_layouts.py
# option of export -> the formats that have it
WITH_OPTION = {"layout": ("rectified",), "source": ("rectified", "labels-only", "rerun"), "push": ("huggingface",)}


class Written(click.Path):
    """A path on this machine, to be written. Of an address it would make folders of that name."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """Raise click.BadParameter on an address of remote storage. value, param, ctx: as click passes them."""
        try:
            require_folder(value, COPY_INSTEAD)
        except UserError as error:
            self.fail(str(error), param, ctx)
        return super().convert(value, param, ctx)


WRITTEN = Written(path_type=Path)


class Part(click.ParamType[tuple[int, int]]):
    """A part of a build, such as 3/16, as (3, 16)."""

    name = "K/N"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Raise click.BadParameter on everything that is no part. value, param, ctx: as click passes them."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d{1,5})/(\d{1,5})", str(value))
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            self.fail(f"{value!r} is no part, such as 3/16", param, ctx)
        return int(match[1]), int(match[2])


def choice(name: str, choices: Sequence[str], default: str, help: str) -> Decorator:
    """An option that takes one of several words, and shows its default.

    name: with its dashes. choices: the words allowed. default: one of them. help: a sentence.
    """
    return click.option(name, type=click.Choice(choices), default=default, show_default=True, help=help)


def flow() -> Decorator:
    """--flow."""
    return click.option(
        "--flow",
        default=BuildConfig.flow,
        show_default=True,
        metavar="|".join((*FLOW_CHOICES, *(f"{form}:FILE" for form in EXPORTED_FLOWS))),
        help="Optical flow; auto = RAFT where its weights can be had, else DIS, which needs none. FILE is any two-view "
        "network, with a .toml file beside it (docs/matchers.md).",
    )


def precision() -> Decorator:
    """--precision."""
    return choice(
        "--precision",
        PRECISIONS,
        BuildConfig.precision,
        "Of RAFT; auto = bf16 on CUDA, else float32. Processors with AMX are faster in bf16. Name it where machines "
        "with and without GPU build one set.",
    )


def device() -> Decorator:
    """--device."""
    return click.option(
        "--device",
        default=BuildConfig.device,
        show_default=True,
        metavar="auto|cpu|cuda|cuda:N",
        callback=_checked_device,
        help="Where networks run; auto = CUDA where there is one, else the CPU.",
    )


def _checked_device(context: click.Context, option: click.Parameter, value: str) -> str:
    try:
        check_device(value)
    except SettingsError as error:
        raise click.BadParameter(str(error), context, option) from error
    return value


def overwrite(what: str) -> Decorator:
    """--overwrite. what: the thing in --out that is replaced."""
    return click.option("--overwrite", is_flag=True, help=f"Replace the {what} in --out.")


def out(default: str, help: str) -> Decorator:
    """--out, a path. default: where it is not given. help: what it is for."""
    return click.option("--out", type=WRITTEN, default=Path(default), show_default=True, help=help)


def seed(default: int) -> Decorator:
    """--seed with this default."""
    return click.option("--seed", default=default, show_default=True, help="Of everything that is drawn at random.")


class CommandWithAdvanced(click.Command):
    """A command whose help lists some options in a section of their own, below the others."""

    def __init__(self, *arguments: Any, advanced: Sequence[str] = (), **settings: Any) -> None:
        """arguments, settings: of click.Command. advanced: the options, by the names of the function's arguments."""
        super().__init__(*arguments, **settings)
        self.advanced = frozenset(advanced)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write both sections of the help. ctx: click's context. formatter: what is written to."""
        ordinary: list[tuple[str, str]] = []
        advanced: list[tuple[str, str]] = []
        for option in self.get_params(ctx):
            record = option.get_help_record(ctx)
            if record is not None:
                (advanced if option.name in self.advanced else ordinary).append(record)
        for title, records in (("Options", ordinary), ("Advanced options", advanced)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
