"""What a run leaves to look at: log.jsonl, and TensorBoard where that is installed."""

from __future__ import annotations

import json
import math
import os
import socket
import time
from collections.abc import Mapping
from importlib.util import find_spec
from io import BufferedWriter
from pathlib import Path
from typing import Any

from redweb_builder.files import open_to_append, parse_json, read_text, write_atomic
from redweb_builder.types import Picture
from trainer.progress import Progress


class Curve:
    """The curve of a run, continued at a step: what an interrupted run wrote beyond it is taken back."""

    def __init__(self, out: Path, step: int) -> None:
        """Open the log of a run in `out` to go on after `step` steps."""
        file = out / "log.jsonl"
        if file.is_file():
            lines = read_text(file).split("\n")[:-1]  # a line torn by a crash has no end
            kept = [line for line in lines if _step_of(line) <= step]
            write_atomic(file, "".join(line + "\n" for line in kept).encode())
        self._log = open_to_append(file)
        self._board: Board | None = None
        if find_spec("tensorboard") is not None:
            self._board = Board(out, step)

    def add(self, progress: Progress) -> None:
        """A step: the numbers of its training; figures and picture of its validation, where it had one.

        progress: of the step. A number that is not finite is null in log.jsonl.
        """
        validation = progress.validation
        for kind, values in (("train", progress.numbers), ("validation", validation.figures if validation else {})):
            if values:
                known = {name: value if math.isfinite(value) else None for name, value in values.items()}
                self._log.write((json.dumps({"step": progress.step, "kind": kind, **known}) + "\n").encode())
            if self._board is not None:
                self._board.add_scalars(kind, values, progress.step)
        if self._board is not None and validation and validation.sheet is not None:
            self._board.add_image("validation", validation.sheet, progress.step)

    def close(self) -> None:
        """Flush."""
        self._log.close()
        if self._board is not None:
            self._board.close()


class Board:
    """TensorBoard's events of a run, written as they are made.

    SummaryWriter writes in a thread of its own, where a full disk ends in a traceback and in no error for the caller.
    """

    def __init__(self, out: Path, step: int) -> None:
        """Begin a file of events in the folder `out`; TensorBoard hides what earlier files have beyond `step`."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        name = f"events.out.tfevents.{int(time.time()):010}.{socket.gethostname()}.{os.getpid()}"
        self._file = BufferedWriter(open_to_append(out / name))
        self._records = RecordWriter(self._file)
        self._event = Event
        self._add(step=step + 1, file_version="brain.Event:2")
        self._add(step=step + 1, session_log=SessionLog(status=SessionLog.START))

    def add_scalars(self, kind: str, values: Mapping[str, float], step: int) -> None:
        """Add the values of a step as `kind/name`."""
        from torch.utils.tensorboard.summary import scalar

        for name, value in values.items():
            self._add(step=step, summary=scalar(f"{kind}/{name}", value))  # type: ignore[no-untyped-call]

    def add_image(self, name: str, picture: Picture, step: int) -> None:
        """Add a picture. name: its tag. picture: HxWx3 uint8 RGB. step: of the run."""
        from torch.utils.tensorboard.summary import image

        self._add(step=step, summary=image(name, picture, dataformats="HWC"))  # type: ignore[no-untyped-call]

    def _add(self, **content: Any) -> None:
        self._records.write(self._event(wall_time=time.time(), **content).SerializeToString())
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _step_of(line: str) -> float:
    """The step of a line of the log; beyond every step where the line is damaged."""
    try:
        return float(parse_json(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
