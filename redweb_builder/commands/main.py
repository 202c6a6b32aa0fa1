"""The command `redweb`: the names of all commands, and where each is defined.

This file is the only one of the builder that knows of the trainer, and only by name. A command is imported when it is
run or listed; what it needs of networks it imports itself, when it runs.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from importlib import import_module
from io import TextIOWrapper
from typing import Any

import click

from redweb_builder.commands.errors import missing_packages_for_people
from redweb_builder.version import METHOD, __version__

COMMANDS = {  # name -> module:function, in the order of --help
    "build-redweb": "redweb_builder.commands.build:build_redweb",
    "depth": "redweb_builder.commands.depth:depth",
    "review": "redweb_builder.commands.dataset:review",
    "decisions": "redweb_builder.commands.dataset:decisions",
    "refilter": "redweb_builder.commands.dataset:refilter",
    "check": "redweb_builder.commands.check:check",
    "upgrade": "redweb_builder.commands.upgrade:upgrade",
    "status": "redweb_builder.commands.scale:status",
    "merge": "redweb_builder.commands.scale:merge",
    "restore": "redweb_builder.commands.dataset:restore",
    "grid": "redweb_builder.commands.dataset:grid",
    "report": "redweb_builder.commands.dataset:report",
    "train": "trainer.commands.train:train",
    "curate": "trainer.commands.curate:curate",
    "evaluate": "trainer.commands.evaluate:evaluate",
    "predict": "trainer.commands.evaluate:predict",
    "export": "trainer.commands.export:export",
    "convert-nyu": "trainer.commands.evaluate:convert_nyu",
    "train-segmenter": "trainer.commands.train:train_segmenter",
}
PREFIX = "REDWEB"  # REDWEB_TRAIN_BATCH stands for `train --batch`, below what is typed
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110, "auto_envvar_prefix": PREFIX}
ALIASES = {"build": "build-redweb"}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run as a program does. args, kwargs: as of click."""
        try:
            return super().__call__(*args, **kwargs)
        except SystemExit:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # what still waits for its workers would show a traceback
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. ctx: click's context."""
        try:
            with missing_packages_for_people():
                return super().invoke(ctx)
        except KeyboardInterrupt:  # what a command imports takes seconds; later errors_for_people says what is done
            raise _interrupted() from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands; aliases are not listed. ctx: click's context, not used."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name or an alias; None where there is none.

        cmd_name: as typed. ctx: click's context, not used.
        """
        place = COMMANDS.get(ALIASES.get(cmd_name, cmd_name))
        if place is None:
            return None
        module, _, function = place.partition(":")
        try:
            with missing_packages_for_people():
                command: click.Command = getattr(import_module(module), function)
        except KeyboardInterrupt:
            raise _interrupted() from None
        _name_variables(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As of click.Group; an alias counts as the command itself, also in the names of environment variables.

        ctx: click's context. args: what was typed.
        """
        name, command, rest = super().resolve_command(ctx, args)
        return command.name if command else name, command, rest


def _interrupted() -> SystemExit:
    """The end of an interrupted command of which click would say that it was aborted, with status 1."""
    click.echo("\nInterrupted. Nothing was done yet.", err=True)
    return SystemExit(128 + signal.SIGINT)


def _name_variables(command: click.Command) -> None:
    """Name the environment variables of a command's options after the options: click takes the function's arguments."""
    for option in command.params:
        if isinstance(option, click.Option):
            names = [f"{PREFIX}_{command.name}_{name.lstrip('-')}" for name in option.opts]
            option.envvar = [name.replace("-", "_").upper() for name in names]


def print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """What a report of a fault should name. context: of click. wanted: whether --version is there."""
    if wanted:
        from redweb_builder.version import FORMAT

        click.echo(f"redweb-builder {__version__} (data set format {FORMAT}, method {METHOD})")
        context.exit()


@click.group(cls=LazyGroup, context_settings=SETTINGS)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=print_version,
    help="Show the versions of the program, of the data set's format and of the method, then exit.",
)
def main() -> None:
    """Stereo photographs in, a relative-depth data set out; from that, networks that see depth in one photograph."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # names of files may hold letters that its encoding does not
            stream.reconfigure(errors="backslashreplace")
    # Of odd metadata in a file, with a line of Pillow's source: the pixels are read, or an error says why not.
    warnings.filterwarnings("ignore", module="PIL")
    # Arrow's own allocator gives memory back after each block of rows: a fifth of the time to read millions of them.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
