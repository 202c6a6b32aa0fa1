"""What a run leaves to look at: log.jsonl, and TensorBoard where that is installed."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from redweb_builder.files import open_to_append, write_atomic
from trainer.progress import Progress


class Curve:
    """The curve of a run, continued at a step: what an interrupted run wrote beyond it is taken back."""

    def __init__(self, out: Path, step: int) -> None:
        """Open the log of a run in `out` to go on after `step` steps."""
        file = out / "log.jsonl"
        if file.is_file():
            lines = file.read_text().split("\n")[:-1]  # a line torn by a crash has no end
            kept = [line for line in lines if json.loads(line)["step"] <= step]
            write_atomic(file, "".join(line + "\n" for line in kept).encode())
        self._log = open_to_append(file)
        self._board: Any = None
        if find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(out), purge_step=step + 1)

    def add(self, progress: Progress) -> None:
        """A step: the numbers of its training; figures and picture of its validation, where it had one."""
        validation = progress.validation
        for kind, values in (("train", progress.numbers), ("validation", validation.figures if validation else {})):
            if values:
                line = json.dumps({"step": progress.step, "kind": kind, **values}) + "\n"
                self._log.write(line.encode())
            if self._board is not None:
                for name, value in values.items():
                    self._board.add_scalar(f"{kind}/{name}", value, progress.step)
        if self._board is not None and validation and validation.sheet is not None:
            self._board.add_image("validation", validation.sheet, progress.step, dataformats="HWC")

    def close(self) -> None:
        """Flush."""
        self._log.close()
        if self._board is not None:
            self._board.close()
