"""What a run leaves to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.training.curve import Board


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
