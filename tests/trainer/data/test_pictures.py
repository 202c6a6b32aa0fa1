"""Reading the picture files of a set."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from redweb_builder.inputs import isolation
from redweb_builder.inputs.picture import read_picture
from trainer.data.pictures import read_grey, read_rgb


@pytest.mark.parametrize("most", [100, 255, 2047, 10_000, 65535])
def test_a_pgm_has_the_numbers_that_it_stores(tmp_path: Path, most: int) -> None:
    """Pillow stretches them from the largest that the head states."""
    file, rows = tmp_path / "a.pgm", np.linspace(0, most, 6).astype(np.uint16).reshape(2, 3)
    stored = rows.astype(np.uint8 if most < 256 else ">u2").tobytes()
    for head, numbers in (("P5", stored), ("P2", " ".join(map(str, rows.ravel().tolist())).encode())):
        file.write_bytes(f"{head}\n3 2\n{most}\n".encode() + numbers)
        np.testing.assert_array_equal(read_grey(file), rows)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no limits for processes")
def test_heic_is_decoded_in_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which a forked process, such as one that loads training data, does not share."""
    heif = pytest.importorskip("pillow_heif", reason="needs the extra: pip install 'redweb-builder[heic]'")
    file = tmp_path / "a.heic"
    heif.from_pillow(Image.fromarray(np.arange(96 * 96 * 3, dtype=np.uint8).reshape(96, 96, 3))).save(file)
    workers = isolation._Workers()
    monkeypatch.setattr(isolation, "_WORKERS", workers)
    np.testing.assert_array_equal(read_rgb(file), read_picture(file))
    assert len(workers._idle) == 1
    workers.end()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_has_workers_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation._WORKERS, "_idle", [object()])
    child = os.fork()
    if child == 0:
        os._exit(len(isolation._WORKERS._idle))
    assert os.waitpid(child, 0)[1] == 0
    assert len(isolation._WORKERS._idle) == 1
