"""Errors and interrupts as people and scripts get them: one line, an exit status, no traceback."""

from __future__ import annotations

import errno
import os
import signal
import tempfile
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from redweb_builder.commands.terminal import echo, printable
from redweb_builder.errors import SettingsError, UserError

GOES_ON = "The same command goes on from here."
BUG = 70  # EX_SOFTWARE of sysexits.h
REQUIRED = {  # module -> package, as in `dependencies` of pyproject.toml
    "click": "click",
    "cv2": "opencv-python",
    "filelock": "filelock",
    "imagehash": "ImageHash",
    "jinja2": "jinja2",
    "kornia": "kornia",
    "numpy": "numpy",
    "PIL": "pillow",
    "pyarrow": "pyarrow",
    "rich": "rich",
    "safetensors": "safetensors",
    "segmentation_models_pytorch": "segmentation-models-pytorch",
    "tomli": "tomli",
    "torch": "torch",
    "torchvision": "torchvision",
    "yaml": "pyyaml",
}


class WrongOption(click.ClickException):
    """A value of an option that cannot be used: the same exit status as click's own."""

    exit_code = 2


@contextmanager
def errors_for_people() -> Iterator[None]:
    """Errors that are for people become one line and exit status 1, or 2 where an option has a wrong value.

    An interrupt ends with status 130, SIGTERM with 143, and both say what is done already. Anything else is a bug: its
    traceback goes to a file, which is named, and the exit status is 70.
    """
    received = [signal.SIGINT]
    try:
        with _gentle_end(received), missing_packages_for_people():
            yield
    except KeyboardInterrupt as interrupt:  # whoever raises it on may say what is done already
        click.echo(err=True)
        echo(f"Interrupted. {str(interrupt) or GOES_ON}", err=True)
        raise SystemExit(128 + received[-1]) from None
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except SettingsError as error:
        raise WrongOption(printable(str(error))) from error
    except UserError as error:
        raise click.ClickException(printable(str(error))) from error
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _is_output_closed():  # `| head`: click ends without a word
            raise
        name = error.filename2 or error.filename  # of a rename its target: the other is a temporary file
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            what = f" (it was for {name})" if name else ""
            message = f"no space left on the disk; free some and give the same command again{what}"
        elif error.errno == errno.EFBIG:
            message = f"{name or 'a file'} would be larger than a file may be here (`ulimit -f`, or the file system)"
        else:
            message = ": ".join(str(part) for part in (error.strerror or error, name) if part)
        raise click.ClickException(printable(message)) from error
    except MemoryError as error:
        raise click.ClickException("not enough memory; the same command goes on where there is more") from error
    except Exception as error:
        echo(
            f"Error: a bug in redweb-builder ({type(error).__name__}: {error}). Its traceback is in {_bug_log()}; "
            "please report it with the command that you gave.",
            err=True,
        )
        raise SystemExit(BUG) from error


@contextmanager
def missing_packages_for_people() -> Iterator[None]:
    """A package that is required and not installed becomes one line, which says what to do."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = REQUIRED.get((error.name or "").partition(".")[0])
        if package is None:
            raise
        raise click.ClickException(
            f"the package {package}, which redweb-builder requires, is not installed: pip install {package} (or, for "
            "all that it requires, pip install . in the folder of redweb-builder)"
        ) from error


@contextmanager
def _gentle_end(received: list[signal.Signals]) -> Iterator[None]:
    """SIGTERM (`kill`, a container that is stopped, a scheduler) ends what runs inside as Ctrl-C does.

    received: gets the signal. Only the main thread receives signals. A process forked from this one ends at once. The
    signal often goes to all processes of a command (`timeout`, systemd, schedulers): what fails because those that read
    for this one have ended is no fault.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    process = os.getpid()

    def interrupt(number: int, _: FrameType | None) -> None:
        if os.getpid() != process:
            os._exit(128 + number)
        received.append(signal.Signals(number))
        if hasattr(signal, "SIGCHLD"):  # PyTorch's raises for every process of a DataLoader that was ended
            signal.signal(signal.SIGCHLD, lambda *_: None)  # one that is pending already must find a function
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except Exception as error:
        if signal.SIGTERM in received:
            raise KeyboardInterrupt from error
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _is_output_closed() -> bool:
    """Whether what is printed reaches nobody any more: an empty line is tried."""
    try:
        click.echo()
    except BrokenPipeError:
        return True
    return False


def _bug_log() -> Path:
    """A new file in the system's folder for temporary files, with the traceback of the error that is handled."""
    with tempfile.NamedTemporaryFile("wb", prefix="redweb-bug-", suffix=".log", delete=False) as file:
        file.write(traceback.format_exc().encode(errors="backslashreplace"))
    return Path(file.name)
