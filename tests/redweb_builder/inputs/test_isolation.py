"""Films and HEIC are decoded in processes of their own: a decoder that dies, hangs or swells costs its file only."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redweb_builder.errors import InputError
from redweb_builder.inputs import isolation
from redweb_builder.inputs.discover import discover
from redweb_builder.inputs.formats.films import film_layout
from redweb_builder.inputs.isolation import decoded
from redweb_builder.inputs.layout import Layout
from redweb_builder.inputs.messages import receive, send
from redweb_builder.inputs.read import _read_pair, read_pair
from redweb_builder.types import PairSource, StereoPair
from tests.redweb_builder.inputs.formats.test_films import moving, write
from tests.redweb_builder.inputs.test_discover import reasons, save, scene, side_by_side

pytest.importorskip("av", reason="needs the extra: pip install 'redweb-builder[film]'")
if os.name != "posix":
    pytest.skip("decoding stays in the process here", allow_module_level=True)


@pytest.fixture
def fresh() -> Iterator[None]:
    """No worker before, none left behind."""
    isolation._WORKERS.end()
    yield
    isolation._WORKERS.end()


def replace_in_worker(monkeypatch: pytest.MonkeyPatch, folder: Path, body: str) -> None:
    """Give the workers another function to look at films, by a module that Python loads at its start."""
    lines = ["import os, signal, time", "def film_layout(file):", *(f"    {line}" for line in body.splitlines())]
    lines += ["import redweb_builder.inputs.formats.films as films", "films.film_layout = film_layout"]
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("\n".join(lines))
    root = Path(isolation.__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{root}")


def a_film(path: Path) -> Path:
    return write(path, [side_by_side(*pair) for pair in moving(1, 1)])


def test_a_film_is_read_in_another_process_with_the_same_bytes(tmp_path: Path, fresh: None) -> None:
    a_film(tmp_path / "a-lr.mp4")
    (source,) = discover(tmp_path).sources
    (worker,) = isolation._WORKERS._idle
    apart, here = read_pair(source, 1000), _read_pair(source, 1000)
    assert [item is worker for item in isolation._WORKERS._idle] == [True]
    np.testing.assert_array_equal(apart.left, here.left)
    np.testing.assert_array_equal(apart.right, here.right)
    assert apart.left.flags.writeable
    assert (apart.digest, apart.crop, apart.source_size) == (here.digest, here.crop, here.source_size)


def test_a_photograph_starts_no_process(tmp_path: Path, fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    save(side_by_side(*scene()), tmp_path / "a-lr.jpg")
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
        (source,) = discover(tmp_path).sources
        here = read_pair(source, 1000)
    monkeypatch.setattr(isolation, "_isolate_all", True)
    assert discover(tmp_path).sources == [source]
    assert read_pair(source, 1000).digest == here.digest
    assert len(isolation._WORKERS._idle) == 1


@pytest.mark.parametrize(
    ("body", "reason", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "decoder-failed", "crashes"),
        ("os._exit(0)", "decoder-failed", "crashes"),
        ("time.sleep(600)", "decoder-failed", "was ended after 3 s"),
        ("return bytearray(40 << 30)", "decoder-failed", "GiB of memory"),
        ("os.write(os.open(file.with_name('x'), os.O_CREAT | os.O_WRONLY), b'x')", "unreadable", "too large"),
        ("return 1 / 0", "failed", "ZeroDivisionError"),
    ],
)
def test_a_decoder_that_fails_costs_its_file(
    tmp_path: Path, fresh: None, monkeypatch: pytest.MonkeyPatch, body: str, reason: str, words: str
) -> None:
    folder = tmp_path / "in"
    for eye, view in zip("LR", scene(), strict=True):
        save(view, folder / f"good_{eye}.png")
    a_film(folder / "bad.mp4")
    replace_in_worker(monkeypatch, tmp_path / "site", body)
    if "sleep" in body:
        monkeypatch.setattr(isolation, "SECONDS", 3.0)
    start = time.monotonic()
    discovery = discover(folder)
    assert [source.key.split("-")[0] for source in discovery.sources] == ["good"]
    assert reasons(discovery) == [("bad.mp4", reason)]
    assert words in discovery.left_out[0].detail + discovery.left_out[0].trace
    assert time.monotonic() - start < 60


def test_a_worker_that_somebody_ends_is_replaced(tmp_path: Path, fresh: None) -> None:
    file = a_film(tmp_path / "a-lr.mp4")
    for _ in range(2):
        assert decoded(film_layout, [file], file) == Layout("side-by-side", "name tag 'lr'")
        os.kill(isolation._WORKERS._idle[0]._process.pid, signal.SIGKILL)


def test_the_time_in_which_all_was_stopped_does_not_count(
    tmp_path: Path, fresh: None, monkeypatch: pytest.MonkeyPatch, python: str, project: Path
) -> None:
    """Ctrl-Z and later fg, a container that is paused: the films being read then were recorded as ones that hang."""
    file = a_film(tmp_path / "a-lr.mp4")
    body = "while time.process_time() < float(os.environ['CPU_SECONDS']):\n    pass"
    replace_in_worker(monkeypatch, tmp_path / "site", body)
    of_worker = os.environ["PYTHONPATH"]  # the process that asks has the real function
    monkeypatch.setenv("PYTHONPATH", str(project))
    monkeypatch.setenv("CPU_SECONDS", "6")
    script = (
        "import os, sys; from pathlib import Path; from redweb_builder.inputs import isolation\n"
        "from redweb_builder.inputs.formats.films import film_layout; os.environ['PYTHONPATH'] = sys.argv[2]\n"
        "worker = isolation._WORKERS.take(); isolation._WORKERS.give_back(worker); isolation.SECONDS = 15.0\n"
        "print('asks', flush=True); print(isolation.decoded(film_layout, [Path(sys.argv[1])], Path(sys.argv[1])))\n"
    )
    command = [python, "-c", script, str(file), of_worker]
    with subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"asks\n"
        os.killpg(process.pid, signal.SIGSTOP)
        time.sleep(16)
        os.killpg(process.pid, signal.SIGCONT)
        assert process.stdout.read() == b"None\n"


def test_relative_paths_count_from_the_folder_of_the_call(
    tmp_path: Path, fresh: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is used again may have been started where another command ran."""
    for name in ("a-lr.mp4", "b-lr.mp4"):
        folder = tmp_path / name[0]
        folder.mkdir()
        a_film(folder / name)
        monkeypatch.chdir(folder)
        assert isinstance(decoded(film_layout, [Path(name)], Path(name)), Layout)
    assert len(isolation._WORKERS._idle) == 1


def test_workers_have_limits_and_end_with_the_process_that_asks(
    tmp_path: Path, fresh: None, python: str, project: Path
) -> None:
    file = a_film(tmp_path / "a-lr.mp4")
    decoded(film_layout, [file], file)
    pid = isolation._WORKERS._idle[0]._process.pid
    assert resource.prlimit(pid, resource.RLIMIT_AS)[0] <= isolation.MEMORY
    assert resource.prlimit(pid, resource.RLIMIT_FSIZE)[0] == 0
    script = (
        "import os, signal, sys; from pathlib import Path; from redweb_builder.inputs import discover, isolation\n"
        "discover.discover(Path(sys.argv[1])); print(isolation._WORKERS._idle[0]._process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([python, "-c", script, tmp_path], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    for _ in range(100):
        if not Path(f"/proc/{done.stdout.strip()}").exists():
            return
        time.sleep(0.1)
    pytest.fail("the worker outlives the process that it works for")


@pytest.mark.parametrize(
    "value",
    [
        [None, True, 3, -0.5, "ü\udcff", {"a": [1, 2]}, (1, (2, "x")), Path("a/b")],
        PairSource("k", Path("l"), Path("r"), "files", "rule", crops=((1, 2, 3, 4), (5, 6, 7, 8)), time=0.5),
        Layout("mpo", "rule", guessed=True),
    ],
)
def test_values_pass_as_they_are(value: Any) -> None:
    here, there = Pipe()
    send(here, value)
    assert receive(there) == value


def test_arrays_pass_as_they_are() -> None:
    here, there = Pipe()
    pair = StereoPair("k", np.zeros((3, 4, 3), np.uint8), np.ones((3, 4, 3), np.uint8), True, (4, 3), "d")
    send(here, [pair, np.empty((0, 2), np.float32)])
    read, empty = receive(there)
    np.testing.assert_array_equal(read.right, pair.right)
    assert empty.shape == (0, 2)
    assert empty.dtype == np.float32


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04}",
        b"[" * 100_000,
        b'{"": "subprocess:Popen", "of": {"": "dict", "of": []}}',
        b'{"": "redweb_builder.process:keep_freed_memory", "of": {"": "dict", "of": []}}',
        b'{"": "redweb_builder.nothing:Nothing", "of": {"": "dict", "of": []}}',
        b'{"": "array", "of": ["|O", 3]}',
        b'{"": "array", "of": ["|u1", 9999999, 9999999]}',
        b'{"": "array", "of": ["|u1", -3]}',
    ],
)
def test_what_is_no_message_is_refused(content: bytes) -> None:
    here, there = Pipe()
    here.send_bytes(content)
    with pytest.raises(ValueError, match=r".+"):
        receive(there)


def test_errors_pass_with_their_reason(tmp_path: Path, fresh: None) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no film")
    with pytest.raises(InputError, match=r"a\.mp4") as caught:
        decoded(film_layout, [tmp_path / "a.mp4"], tmp_path / "a.mp4")
    assert caught.value.reason == "corrupt"
