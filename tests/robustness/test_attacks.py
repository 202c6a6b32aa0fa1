"""Files of strangers, by the command line: nothing is started, fetched or waited for, and each is refused by its name.

Data sets that reach for the user's files: tests/redweb_builder/dataset/test_hostile.py.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import save_file

from cli import main
from redweb_builder.dataset.journal import MOST_LINE_BYTES, read_journal
from redweb_builder.dataset.manifest_file import read_manifest
from redweb_builder.dataset.reader import open_dataset
from trainer.checkpoint import FORMAT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="FIFOs, and programs that are scripts")

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 96 64\n%%EndComments\n(owned) (w) file\n%%EOF\n"
NETWORKS = ("--flow", "dis", "--segmenter", "builtin", "--mono", "none", "--device", "cpu")


@pytest.fixture(autouse=True)
def ghostscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A program of that name, which leaves a trace; there is none at the end of the test."""
    programs, trace = tmp_path / "programs", tmp_path / "trace"
    programs.mkdir()
    program = programs / "gs"
    program.write_text(f"#!/bin/sh\ntouch '{trace}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    yield
    assert not trace.exists()


def run(*arguments: object) -> tuple[int, str]:
    """A command's exit status and output; a bug fails the test."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code in (0, 1, 3), result.output
    assert "Traceback" not in result.output
    assert not result.output.rstrip().endswith(":")  # an error without words
    return result.exit_code, result.output


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    return folder


def test_postscript_is_no_photograph(photographs: Path, tmp_path: Path) -> None:
    """Pillow would start Ghostscript on it, whatever its name says."""
    for name in ("a_L.png", "a_R.png", "b-sbs.jpg"):
        (photographs / name).write_bytes(POSTSCRIPT)
    for command in (("--dry-run",), ("--out", tmp_path / "set", *NETWORKS)):
        _, output = run("build-redweb", photographs, *command)
        assert "not-an-image" in output
    for source in (photographs, photographs / "b-sbs.jpg"):
        assert "b-sbs" in run("predict", source, "--out", tmp_path / "depth", "--device", "cpu")[1]
    status, output = run("depth", photographs / "b-sbs.jpg", "--out", tmp_path / "depth", "--device", "cpu")
    assert (status, "b-sbs.jpg" in output) == (1, True)
    data = tmp_path / "data"
    for name in ("rgb", "depth"):
        (data / name).mkdir(parents=True)
        (data / name / "0.png").write_bytes(POSTSCRIPT)
    status, output = run("train", "--data", data, "--out", tmp_path / "run", "--device", "cpu")
    assert (status, "0.png" in output) == (1, True), output


@pytest.mark.parametrize("kind", ["Imgs", "RDs", "previews"])
def test_postscript_in_a_data_set_is_named(built: Any, tmp_path: Path, kind: str) -> None:
    dataset = shutil.copytree(built.out, tmp_path / "set")
    key = open_dataset(dataset).keys[0]
    next((dataset / kind).glob(f"{key}.*")).write_bytes(POSTSCRIPT)
    readers = [("check", dataset, "--read-data", "100%"), ("grid", dataset), ("report", dataset)]
    if kind != "previews":
        readers = [
            ("check", dataset),
            ("export", dataset, "--format", "ply", "--out", tmp_path / "ply"),
            ("evaluate", "builtin", "--on", dataset, "--part", "all", "--out", tmp_path / "figures", "--device", "cpu"),
        ]
    if kind == "RDs":
        readers.append(("grid", dataset))
    outputs = {str(reader[0]): run(*reader)[1] for reader in readers}
    for name in outputs.keys() & {"export", "evaluate", "check"}:
        assert key in outputs[name]


@pytest.mark.parametrize(("width", "reason"), [(19_000, "corrupt"), (21_000, "too-large")])
def test_a_picture_beyond_the_limits_of_pillow_costs_itself(
    photographs: Path, tmp_path: Path, width: int, reason: str
) -> None:
    """Pillow raises an error of its own at 179 megapixels: one TIFF of 190 ended the whole run."""
    for side in "LR":
        Image.new("1", (width, 10_000)).save(photographs / f"large_{side}.tif", compression="group4")
        Image.effect_noise((128, 96), 50).convert("RGB").save(photographs / f"good_{side}.png")
    out = tmp_path / "set"
    assert "good" in run("build-redweb", photographs, "--dry-run")[1]
    run("build-redweb", photographs, "--out", out, *NETWORKS)
    rows = {row["left"]: (row["stage"], row["reason"]) for row in read_manifest(out).rows}
    assert rows["large_L.tif"] == ("read", reason)
    assert rows["good_L.png"][0] != "read"


def test_a_checkpoint_asks_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *address, **_: calls.append(address))
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: calls.append(address))
    model = json.dumps({"name": "rednet", "encoder": "tu-hf-hub:x/y", "channels": 8})
    file, photograph = tmp_path / "best.safetensors", tmp_path / "a.png"
    save_file({"weight": torch.zeros(1)}, file, {"format": FORMAT, "model": model, "size": "64", "step": "1"})
    Image.new("RGB", (96, 64)).save(photograph)
    for command in (
        ("predict", file, photograph),
        ("evaluate", file, "--on", tmp_path),
        ("export", file, "--format", "onnx"),
    ):
        status, output = run(*command, "--out", tmp_path / "out")
        assert (status, "have none of this name" in output) == (1, True), output
    assert calls == []


@pytest.mark.timeout(60)
def test_nobody_waits_for_a_fifo(photographs: Path, tmp_path: Path) -> None:
    for name in ("a_L.png", "a_R.png", "b-sbs.jpg", "film-sbs.mp4", "calib.txt"):
        os.mkfifo(photographs / name)
    run("build-redweb", photographs, "--dry-run")
    run("build-redweb", photographs, "--out", tmp_path / "set", *NETWORKS)
    for name in ("", "b-sbs.jpg", "film-sbs.mp4"):
        run("predict", photographs / name, "--out", tmp_path / "out", "--device", "cpu")
    data = tmp_path / "data"
    for name in ("rgb/0.png", "depth/0.png", "depth.json", "split.csv"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(data / name)
    assert run("train", "--data", data, "--out", tmp_path / "run", "--device", "cpu")[0] == 1


def test_what_a_calibration_makes_the_program_quote_does_not_cost_the_pair(photographs: Path, tmp_path: Path) -> None:
    """No row may hold a NUL, and no line of the journal may be endless."""
    for side in "LR":
        Image.effect_noise((96, 72), 60).convert("RGB").save(photographs / f"x_{side}.png")
    model = b"OP\0" + b"[" * 20_000
    (photographs / "cameras.txt").write_bytes(b"0 " + model + b" 96 72 90 90 47.5 35.5 0 0 0 0\n")
    (photographs / "images.txt").write_text("1 1 0 0 0 0 0 0 0 x_L.png\n\n2 1 0 0 0 -0.1 0 0 0 x_R.png\n\n")
    run("build-redweb", photographs, "--out", tmp_path / "set", *NETWORKS)
    assert run("check", tmp_path / "set")[0] == 0
    (row,) = read_manifest(tmp_path / "set").rows
    assert row["calibration_note"].startswith("calibration not used: cameras.txt")
    assert len(row["calibration_note"]) < 500


def test_nothing_takes_the_place_of_what_is_read(photographs: Path) -> None:
    """The depth of a.png is a.png: in the same folder it was the end of the photograph."""
    Image.effect_noise((256, 96), 50).convert("RGB").save(photographs / "a.png")
    before = (photographs / "a.png").read_bytes()
    networks = ("--out", photographs, "--device", "cpu")
    for command in (
        ("depth", photographs / "a.png", "--flow", "dis", *networks),
        ("predict", photographs / "a.png", *networks),
        ("predict", photographs, *networks),
        ("convert-nyu", photographs, photographs),
    ):
        result = CliRunner().invoke(main, [str(word) for word in command])
        assert (result.exit_code, "choose another" in result.output) == (2, True), result.output
    assert [(file.name, file.read_bytes()) for file in photographs.iterdir()] == [("a.png", before)]


# --- damaged labels -----------------------------------------------------------------------------------------------


def damage_label(dataset: Path, key: str, damage: str) -> None:
    """As another program might write it, or a stranger."""
    label, mask = dataset / "RDs" / f"{key}.png", dataset / "masks" / f"{key}.png"
    with Image.open(label) as opened:
        values, text = opened.copy(), dict(opened.text)  # type: ignore[attr-defined]
    if damage == "no scale":
        del text["scale"]
    elif damage == "NaN":
        text["offset"] = "nan"
    elif damage == "another size":
        values = values.crop((0, 0, values.width - 1, values.height))
    else:
        Image.new("L", values.size, 77).save(mask)
    words = PngInfo()
    for name, value in text.items():
        words.add_text(name, value)
    values.save(label, pnginfo=words)


@pytest.mark.parametrize("damage", ["no scale", "NaN", "another size", "mask value 77"])
def test_damaged_labels_are_named_by_all_that_read_them(built: Any, tmp_path: Path, damage: str) -> None:
    dataset = shutil.copytree(built.out, tmp_path / "set")
    (dataset / "journal.jsonl").unlink()  # which has the checksums: sets from elsewhere may come without
    keys = open_dataset(dataset).keys
    for key in keys:
        damage_label(dataset, key, damage)
    for command in (
        ("check", dataset, "--read-data", "100%"),
        ("export", dataset, "--format", "ply", "--out", tmp_path / "ply"),
        ("train", "--data", dataset, "--out", tmp_path / "run", "--device", "cpu"),
        ("evaluate", "builtin", "--on", dataset, "--part", "all", "--out", tmp_path / "figures", "--device", "cpu"),
    ):
        status, output = run(*command)
        assert (status, any(f"{key}.png" in output for key in keys)) == (1, True), output
    assert run("report", dataset)[0] == 0  # it leads to the files, which the browser decodes


# --- files that claim to be large ---------------------------------------------------------------------------------


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("file", "command"),
    [
        ("set/decisions.jsonl", "grid SET"),
        ("set/RDs/KEY.png", "export SET --format redweb-v1 --out OUT"),
        ("set/Imgs/KEY.png", "export SET --format redweb-v1 --out OUT"),
        ("shards/train-000000.parquet", "export SHARDS --format ply --out OUT"),
        ("rgbd/depth.json", "train --data DATA --out OUT"),
        ("rgbd/split.csv", "train --data DATA --out OUT"),
        ("rgbd/annotations.json", "evaluate builtin --on DATA --out OUT"),
    ],
)
def test_a_sparse_file_is_not_read_into_memory(built: Any, tmp_path: Path, file: str, command: str) -> None:
    dataset = shutil.copytree(built.out, tmp_path / "set")
    key = next(key for key in open_dataset(dataset).keys if (dataset / "Imgs" / f"{key}.png").exists())
    for name in ("rgb", "depth"):
        (tmp_path / "rgbd" / name).mkdir(parents=True)
        Image.new("L", (96, 64), 9).save(tmp_path / "rgbd" / name / "0.png")
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "train-000000.tar").touch()
    large = tmp_path / file.replace("KEY", key)
    large.touch()
    os.truncate(large, 1 << 40)
    paths = {"SET": dataset, "SHARDS": tmp_path / "shards", "DATA": tmp_path / "rgbd", "OUT": tmp_path / "out"}
    status, output = run(*(paths.get(word, word) for word in command.split()))
    assert (status, large.name in output, "bytes" in output) == (1, True, True), output


def test_a_line_without_end_is_not_read_into_memory(built: Any, tmp_path: Path) -> None:
    dataset = shutil.copytree(built.out, tmp_path / "set")
    lines = (dataset / "journal.jsonl").read_bytes()
    (dataset / "journal.jsonl").write_bytes(bytes(3 * MOST_LINE_BYTES) + b"\n" + lines)
    journal = read_journal(dataset)
    assert len(journal.damaged) == 3
    assert len(journal.records) == lines.count(b"\n")


# --- JSON and TOML that are nested too deep -----------------------------------------------------------------------

DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    ("file", "content", "command", "words"),
    [
        ("set/build.json", DEEP, "refilter SET --set max_vertical=0.3", "build.json"),
        ("set/build.json", DEEP, "build-redweb PHOTOGRAPHS --config FILE", "build.json"),
        ("set/decisions.jsonl", DEEP, "decisions SET", "passed over: 1 damaged line ("),
        ("set/sources.jsonl", DEEP, "restore SET --from PHOTOGRAPHS", "sources.jsonl, line 1"),
        ("build.toml", b"flow = " + DEEP, "build-redweb PHOTOGRAPHS --config FILE", "build.toml"),
        ("rgbd/depth.json", DEEP, "train --data DATA --out OUT", "depth.json"),
        ("rgbd/annotations.json", DEEP, "evaluate builtin --on DATA --out OUT", "annotations.json"),
    ],
)
def test_what_is_nested_too_deep_is_one_sentence(
    built: Any, tmp_path: Path, file: str, content: bytes, command: str, words: str
) -> None:
    dataset = shutil.copytree(built.out, tmp_path / "set")
    for name in ("rgb", "depth"):
        (tmp_path / "rgbd" / name).mkdir(parents=True)
        Image.new("L", (96, 64), 9).save(tmp_path / "rgbd" / name / "0.png")
    (tmp_path / file).write_bytes(content)
    paths = {"SET": dataset, "PHOTOGRAPHS": built.source, "FILE": tmp_path / file, "DATA": tmp_path / "rgbd"}
    paths["OUT"] = tmp_path / "out"
    result = CliRunner().invoke(main, [str(paths.get(word, word)) for word in command.split()])
    assert result.exit_code in (0, 1, 2), result.output
    assert words in result.output
    assert "Traceback" not in result.output
    assert len(result.output) < 2000
