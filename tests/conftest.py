"""What the tests share: no network, small rendered scenes, one built data set."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks.robustness.without_times import without_times
from samples.scenes import Kind, Scene, render

os.environ["HF_HUB_OFFLINE"] = "1"  # read by huggingface_hub when it is first imported

LOOPBACK = "127.0.0.1"
SIZE = (240, 176)
MAX_DISPARITY = 20.0
Array = NDArray[np.uint8]
Render = Callable[..., Scene]


@pytest.fixture
def torch_threads() -> Iterator[Callable[[int], None]]:
    """Set PyTorch's number of threads for one test."""
    import torch

    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="session")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Empty weight caches and no network but this machine itself, here and in child processes."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TORCH_HOME", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
            patch.setenv(name, str(home / name.lower()))
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            patch.delenv(name, raising=False)
        plain, plain_look_up = socket.socket.connect, socket.getaddrinfo

        def connect(connection: socket.socket, address: Any) -> None:
            if connection.family != socket.AF_UNIX and address[0] != LOOPBACK:
                raise ConnectionRefusedError(f"tests reach no network: {address}")
            plain(connection, address)

        def look_up(host: Any, *more: Any, **options: Any) -> Any:
            if host == LOOPBACK:
                return plain_look_up(host, *more, **options)
            raise socket.gaierror("tests reach no network")

        patch.setattr(socket.socket, "connect", connect)
        patch.setattr(socket, "getaddrinfo", look_up)
        yield


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """SIGINT interrupts, also where a shell has started the tests in the background, which makes it ignored."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def one_opencv_thread() -> None:
    """OpenCV's DIS depends on its thread count; engines.py keeps it at one, and so do the tests of single steps."""
    cv2.setNumThreads(1)


@cache
def _rendered(seed: int, kind: Kind, convergence: float, height: int, max_disparity: float, sky: bool) -> Scene:
    return render(seed, SIZE[0], height, sky=sky, convergence=convergence, max_disparity=max_disparity, kind=kind)


@pytest.fixture(scope="session")
def rendered() -> Render:
    """rendered(seed, kind="outdoor", ...): a scene of 240 px width, made once."""

    def make(
        seed: int,
        kind: Kind = "outdoor",
        *,
        convergence: float = 0.0,
        height: int = SIZE[1],
        max_disparity: float = MAX_DISPARITY,
        sky: bool = True,
    ) -> Scene:
        return _rendered(seed, kind, convergence, height, max_disparity, sky)

    return make


def _save(picture: Array, path: Path, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jpg":
        options = {"quality": 92, **options}
    Image.fromarray(np.ascontiguousarray(picture)).save(path, **options)
    return path


def _save_pair(folder: Path, name: str, left: Array, right: Array, extension: str = "png") -> None:
    _save(left, folder / f"{name}_L.{extension}")
    _save(right, folder / f"{name}_R.{extension}")


@pytest.fixture(scope="session")
def save() -> Callable[..., Path]:
    """save(picture, path, **options of Pillow)."""
    return _save


@pytest.fixture(scope="session")
def save_pair() -> Callable[..., None]:
    """save_pair(folder, name, left, right, extension="png"): NAME_L and NAME_R."""
    return _save_pair


@dataclass(frozen=True)
class Built:
    """A built data set, what it was built from, and its manifest by the pairs' names (the key without its hash)."""

    source: Path
    out: Path
    summary: Any
    rows: dict[str, dict[str, Any]]
    left_out: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, source: Path, summary: Any) -> Built:
        """Read the manifest."""
        every = pq.read_table(summary.out / "manifest.parquet").to_pylist()
        pairs = {row["key"].rsplit("-", 1)[0]: row for row in every if row["key"] is not None}
        others = {row["left"]: row for row in every if row["key"] is None}
        assert len(pairs) + len(others) == len(every)
        return cls(source, summary.out, summary, pairs, others)


@pytest.fixture(scope="session")
def stereo(tmp_path_factory: pytest.TempPathFactory, rendered: Render) -> Path:
    """A folder with good pairs and with one of each fault, named after what they are."""
    folder = tmp_path_factory.mktemp("stereo input")
    meadow, hut, firs, room = rendered(0), rendered(4), rendered(2), rendered(3, "indoor", convergence=10)
    _save_pair(folder, "good-meadow", meadow.left, meadow.right)
    _save_pair(folder, "good-hut", hut.left, hut.right, "jpg")
    _save_pair(folder, "good-room", room.left, room.right)
    _save(np.hstack([firs.left, firs.right]), folder / "good-firs-sbs.png")
    # The same view again, its right view spoilt in a tenth of the picture: a duplicate that is not as good.
    spoilt = meadow.right.copy()
    spoilt[100:140, 60:160] = np.random.default_rng(0).integers(0, 256, (40, 100, 3), dtype=np.uint8)
    _save_pair(folder, "a-copy-of-meadow", meadow.left, spoilt)
    other = rendered(6)
    _save_pair(folder, "unrelated", rendered(3).left, other.left)
    _save_pair(folder, "twice", other.left, other.left)
    tall = rendered(6, height=216)
    torn = np.hstack([tall.right[:176, :120], tall.right[40:, 120:]])
    _save_pair(folder, "torn", tall.left[:176], torn)
    flat = np.full((176, 240, 3), 120, np.uint8)
    flat[80:90, 100:110] = 90
    _save_pair(folder, "textureless", flat, np.roll(flat, -5, axis=1))
    sofa = rendered(1, "indoor")
    _save_pair(folder, "blurred", sofa.left, cv2.GaussianBlur(sofa.right, (0, 0), 1.5))
    table = rendered(2, "indoor")
    _save_pair(folder, "dark", table.left, (table.right * 0.3).astype(np.uint8))
    _save_pair(folder, "swapped", other.right, other.left)
    shelf = rendered(5, "indoor", height=188)
    _save_pair(folder, "raised", shelf.left[:176], shelf.right[12:])
    _save(rendered(7).left, folder / "widow_L.png")
    (folder / "broken_L.jpg").write_bytes((folder / "good-hut_L.jpg").read_bytes()[:3000])
    _save(hut.right, folder / "broken_R.jpg")
    return folder


@pytest.fixture(scope="session")
def built(stereo: Path, tmp_path_factory: pytest.TempPathFactory, offline: None) -> Built:
    """`stereo` built once, with what needs no weights."""
    from redweb_builder import BuildConfig, build

    out = tmp_path_factory.mktemp("built") / "data set"
    config = BuildConfig(flow="dis", segmenter="builtin", device="cpu")
    return Built.of(stereo, build(stereo, out, config))


_SEEN: dict[Any, Any] = {}


@pytest.fixture
def remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipeline works on a pair once in a session: for tests of everything that happens around it."""
    from redweb_builder.builder import engines
    from redweb_builder.pipeline import Inferred, Prepared, infer, label_pair, prepare

    def key(step: str, source: Any, config: Any) -> Any:
        networks = config.flow, config.segmenter, config.mono
        return step, source, config.method()["eyes"], config.max_side, networks, config.thresholds

    def prepare_once(source: Any, config: Any, *network: Any) -> Any:
        name = key("prepare", source, config)
        if name not in _SEEN:
            _SEEN[name] = prepare(source, config, *network)
            if isinstance(_SEEN[name], Prepared):
                _SEEN["config", source] = config
        return _SEEN[name]

    def infer_once(batch: Any, models: Any) -> Any:
        keys = [key("label", prepared.source, _SEEN["config", prepared.source]) for prepared in batch]
        if all(name in _SEEN for name in keys):
            nothing: Any = None
            return [Inferred(prepared, nothing) for prepared in batch]
        return infer(batch, models)

    def label_once(inferred: Any, *rest: Any) -> Any:
        name = key("label", inferred.prepared.source, rest[-1])
        if name not in _SEEN:
            _SEEN[name] = label_pair(inferred, *rest)
        return _SEEN[name]

    monkeypatch.setattr(engines, "prepare", prepare_once)
    monkeypatch.setattr(engines, "infer", infer_once)
    monkeypatch.setattr(engines, "label_pair", label_once)


@pytest.fixture(scope="session")
def snapshot() -> Callable[[Path], dict[str, bytes]]:
    """snapshot(folder): every file below it by its relative path, less the seconds of pairs; the lock left out."""

    def read(folder: Path) -> dict[str, bytes]:
        return {
            file.relative_to(folder).as_posix(): without_times(file.name, file.read_bytes())
            for file in sorted(folder.rglob("*"))
            if file.is_file() and file.name not in (".lock", ".unchanged.json", ".eye_orders.jsonl")
        }

    return read


@pytest.fixture(scope="session")
def project() -> Path:
    """The folder of cli.py."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def python() -> str:
    """The interpreter the tests run under."""
    return sys.executable


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium, Debian's or the one on the path; skips with the reason where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as tool:
        started = tool.chromium.launch(executable_path=chromium, args=sandbox)
        yield started
        started.close()


@dataclass
class Watched:
    """A page, what went wrong on it, and every address that it asked for."""

    page: Any
    problems: list[str]
    requests: list[str]

    def until(self, expression: str, argument: Any = None) -> None:
        """Wait until a JavaScript expression is true. (Playwright's own way needs eval, which the pages forbid.)"""
        for _ in range(200):
            if self.page.evaluate(expression, argument):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"never true: {expression}, {argument}")


@pytest.fixture
def watched(browser: Any) -> Iterator[Callable[..., Watched]]:
    """watched(width, height, theme): a fresh page whose console errors, exceptions and requests are noted."""
    contexts = []

    def make(width: int = 1280, height: int = 860, theme: str = "light") -> Watched:
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
        contexts.append(context)
        context.set_default_timeout(20_000)
        watched = Watched(context.new_page(), [], [])
        watched.page.on(
            "console", lambda message: watched.problems.append(message.text) if message.type == "error" else None
        )
        watched.page.on("pageerror", lambda error: watched.problems.append(str(error)))

        def failed(request: Any) -> None:
            if request.failure != "net::ERR_ABORTED":  # the page was left before the answer came
                watched.problems.append(f"{request.url}: {request.failure}")

        watched.page.on("requestfailed", failed)
        watched.page.on("request", lambda request: watched.requests.append(request.url))
        return watched

    yield make
    for context in contexts:
        context.close()
