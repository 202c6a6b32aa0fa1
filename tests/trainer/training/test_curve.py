"""What a run leaves to look at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.progress import Progress, Validation
from trainer.training.curve import Board, Curve


def test_a_number_that_is_not_finite_is_null_in_the_log(tmp_path: Path) -> None:
    def not_json(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    curve = Curve(tmp_path, 0)
    validation = Validation({"WKDR": float("nan"), "RMSE m": 0.5})
    curve.add(Progress(1, 1, "training", {"loss": float("inf"), "rate": 1e-3}, validation=validation))
    curve.close()
    lines = [json.loads(line, parse_constant=not_json) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == [
        {"step": 1, "kind": "train", "loss": None, "rate": 1e-3},
        {"step": 1, "kind": "validation", "WKDR": None, "RMSE m": 0.5},
    ]


def test_tensorboard_shows_a_continued_run_without_what_was_taken_back(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for number, (after, steps) in enumerate([(0, (1, 2, 3)), (2, (3, 4))]):
        board = Board(tmp_path, after)
        for step in steps:
            board.add_scalars("train", {"loss": number + step / 10}, step)
        board.add_image("validation", np.zeros((4, 6, 3), np.uint8), steps[-1])
        board.close()
    shown: Any = EventAccumulator(str(tmp_path))
    shown.Reload()
    assert [event.step for event in shown.Scalars("train/loss")] == [1, 2, 3, 4]
    assert [event.value for event in shown.Scalars("train/loss")] == pytest.approx([0.1, 0.2, 1.3, 1.4])
    assert (shown.Images("validation")[-1].width, shown.Images("validation")[-1].height) == (6, 4)
