"""Eye orders are asked once for each data set, whatever happens to the build or to the file that keeps them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from redweb_builder import BuildConfig, build
from redweb_builder.builder import build as build_module
from redweb_builder.builder import eye_orders
from redweb_builder.builder.eye_orders import EyeOrders
from redweb_builder.dataset.paths import EYE_ORDERS
from redweb_builder.types import PairSource
from samples.scenes import Scene

CONFIG = BuildConfig(flow="dis", segmenter="none", mono="none", device="cpu", max_side=128)
PAIR = PairSource("pair-1234", Path("l.png"), Path("r.png"), "files", "")
SCORE = -1 / 3  # no short decimal


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the pairs that were asked; each answers SCORE."""
    keys: list[str] = []

    def ask(source: PairSource, max_side: int, network: object) -> float:
        keys.append(f"{source.key} {source.offset} {max_side}")
        return SCORE

    monkeypatch.setattr(eye_orders, "asked_order", ask)
    return keys


def test_a_pair_is_asked_once(tmp_path: Path, asked: list[str]) -> None:
    """By what decides its answer: the key, the offset of its films, the size at which it is read."""
    for _ in range(2):
        orders = EyeOrders(tmp_path, None)
        for source, side in ((PAIR, 448), (PAIR, 768), (replace(PAIR, offset=0.5), 448), (PAIR, 448)):
            assert orders(source, side) == SCORE
    assert asked == ["pair-1234 0.0 448", "pair-1234 0.0 768", "pair-1234 0.5 448"]


@pytest.mark.parametrize(
    "line",
    [
        b"", b"\0\0", b"[", b"7", b'"abcd"', b'["pair-1234", 0.0, 448]', b'["pair-1234", [], 448, 0.5]',
        b'["pair-1234", 0.0, 448, NaN]', b'["pair-1234", 0.0, 448, "0.5"]', b'["pair-1234", 0.0, 448, 0.5',
    ],
)  # fmt: skip
def test_a_spoilt_line_is_asked_again(tmp_path: Path, asked: list[str], line: bytes) -> None:
    (tmp_path / EYE_ORDERS).write_bytes(line)
    assert EyeOrders(tmp_path, None)(PAIR, 448) == SCORE
    assert EyeOrders(tmp_path, None)(PAIR, 448) == SCORE  # behind the spoilt line
    assert len(asked) == 1


def test_nothing_is_written_through_a_link(tmp_path: Path, asked: list[str]) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    out.mkdir()
    other.write_text("of somebody else")
    (out / EYE_ORDERS).symlink_to(other)
    assert EyeOrders(out, None)(PAIR, 448) == SCORE
    assert (other.read_text(), len(asked)) == ("of somebody else", 1)


def test_a_full_disk_takes_no_vote_away(tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(eye_orders, "append", full)
    assert EyeOrders(tmp_path, None)(PAIR, 448) == SCORE


def test_a_build_goes_on_without_asking_again(
    tmp_path: Path,
    rendered: Callable[..., Scene],
    save_pair: Callable[..., None],
    snapshot: Callable[[Path], dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Interrupted behind the questions; its labels are those of a build that nothing came between."""
    photos, out = tmp_path / "photos", tmp_path / "interrupted" / "out"
    for number in range(3):
        save_pair(photos, f"pair{number}", rendered(number).left, rendered(number).right)

    def interrupted(*_: object, **__: object) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(build_module, "_label_pairs", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build(photos, out, CONFIG)
    assert len((out / EYE_ORDERS).read_text().splitlines()) == 3

    def never(*_: object) -> Any:
        raise AssertionError("asked again")

    with monkeypatch.context() as patch:
        patch.setattr(eye_orders, "asked_order", never)
        assert build(photos, out, CONFIG).kept == 3
    assert build(photos, tmp_path / "undisturbed" / "out", CONFIG).kept == 3
    there, here = snapshot(tmp_path / "undisturbed" / "out"), snapshot(out)
    assert {name for name in there | here if there.get(name) != here.get(name)} <= {"build.json", "journal.jsonl"}
    (out / EYE_ORDERS).write_text(json.dumps(["pair0", 0.0, 128, 9.0]) + "\n")
    build(photos, out, CONFIG, overwrite=True)
    assert '"pair0"' not in (out / EYE_ORDERS).read_text()
