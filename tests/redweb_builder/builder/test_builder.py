"""A folder of stereo photographs becomes a data set: the good kept, every fault rejected for its own reason."""

from __future__ import annotations

import errno
import json
import os
import struct
import weakref
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from hashlib import sha256
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from redweb_builder import BuildConfig, Thresholds, build, open_dataset
from redweb_builder import pipeline as pipeline_module
from redweb_builder.builder import engines as engines_module
from redweb_builder.builder.summary import Summary
from redweb_builder.commands.console import NOTHING_KEPT, exit_code
from redweb_builder.commands.dry_run import print_dry_run
from redweb_builder.config import PRESETS, InputOptions
from redweb_builder.dataset import heartbeat
from redweb_builder.dataset.integrity import check_dataset
from redweb_builder.dataset.manifest import SCHEMA, table_of
from redweb_builder.dataset.paths import read_build
from redweb_builder.dataset.reader import Dataset
from redweb_builder.dataset.source_views import source_views
from redweb_builder.dataset.verdicts import compare
from redweb_builder.errors import InputError, StoreError
from redweb_builder.filters.checks import Check, checks, judge, margin
from redweb_builder.inputs.read import read_pair
from redweb_builder.matching import dis
from redweb_builder.pipeline import Outcome, Prepared, infer, prepare
from redweb_builder.progress import PAIRS, Progress
from redweb_builder.rectification import eye_order
from redweb_builder.types import Mask, PairSource, Picture
from samples.scenes import Scene

Render = Callable[..., Scene]
SavePair = Callable[..., None]
Snapshot = Callable[[Path], dict[str, bytes]]
QUICK: dict[str, Any] = {"flow": "dis", "segmenter": "builtin", "device": "cpu"}
GOOD = {"good-meadow", "good-hut", "good-room", "good-firs-sbs", "swapped", "raised"}


def quick(**changes: Any) -> BuildConfig:
    return BuildConfig(**{**QUICK, **changes})


def rows_of(out: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(out / "manifest.parquet").to_pylist()
    return rows


def names(dataset: Dataset) -> set[str]:
    return {key.rsplit("-", 1)[0] for key in dataset.keys}


# --- what comes out ----------------------------------------------------------------------------------------------


def test_the_good_are_kept(built: Any) -> None:
    assert {name for name, row in built.rows.items() if row["status"] == "kept"} == GOOD
    for name in GOOD:
        row = built.rows[name]
        assert row["stage"] is None
        assert row["reason"] is None


@pytest.mark.parametrize(
    ("name", "stage", "reason"),
    [
        ("twice", "filter", "no-parallax"),
        ("unrelated", "filter", "not-stereo"),
        ("torn", "filter", "vertical"),
        ("textureless", "filter", "textureless"),
        ("blurred", "filter", "blurred-eye"),
        ("dark", "filter", "exposure"),
        ("a-copy-of-meadow", "duplicate", "duplicate"),
        ("broken", "read", "corrupt"),
    ],
)
def test_every_fault_has_its_reason(built: Any, name: str, stage: str, reason: str) -> None:
    row = built.rows[name]
    assert (row["status"], row["stage"], row["reason"]) == ("rejected", stage, reason)
    if stage == "filter":
        check = next(check for check in checks(Thresholds()) if check.reason == reason)
        assert row["threshold"] == check.limit
        assert row["value"] == row[check.measurement]
        assert (row["value"] < check.limit) == check.at_least
        assert row["value"] != check.limit


def test_of_duplicates_the_better_one_is_kept(built: Any) -> None:
    """The spoilt copy comes first by key, and loses."""
    copy, meadow = built.rows["a-copy-of-meadow"], built.rows["good-meadow"]
    assert copy["key"] < meadow["key"]
    assert copy["quality"] < meadow["quality"]
    assert meadow["key"] in copy["detail"]
    assert copy["value"] <= copy["threshold"] == 4
    assert (built.out / "rejected" / "RDs" / f"{copy['key']}.png").exists()
    assert not (built.out / "RDs" / f"{copy['key']}.png").exists()


def test_swapped_eyes_are_put_right(built: Any, rendered: Render) -> None:
    row = built.rows["swapped"]
    assert row["eyes_exchanged"] is True
    assert row["eye_order"] > 0.2
    scene, sample = rendered(6), open_dataset(built.out)[row["key"]]
    assert np.array_equal(sample.image, scene.left)
    measured = sample.mask == Mask.MEASURED
    assert np.median(np.abs(sample.disparity - scene.disparity)[measured]) < 0.3
    assert not any(built.rows[name]["eyes_exchanged"] for name in GOOD - {"swapped"})


def test_a_raised_eye_is_brought_into_line(built: Any) -> None:
    row = built.rows["raised"]
    assert row["aligned"] is True
    assert row["align_shift_px"] == pytest.approx(12, abs=0.2)
    assert row["align_before_px"] == pytest.approx(12, abs=0.5)
    assert row["align_after_px"] < 0.3
    assert not built.rows["good-meadow"]["aligned"]


@pytest.mark.parametrize(
    ("name", "seed", "kind", "convergence"),
    [("good-meadow", 0, "outdoor", 0), ("good-room", 3, "indoor", 10), ("good-firs-sbs", 2, "outdoor", 0)],
)
def test_labels_are_the_true_disparity(
    built: Any, rendered: Render, name: str, seed: int, kind: str, convergence: float
) -> None:
    scene = rendered(seed, kind, convergence=convergence)
    sample = open_dataset(built.out)[built.rows[name]["key"]]
    assert np.array_equal(sample.image, scene.left)
    measured = sample.mask == Mask.MEASURED
    assert measured[~scene.sky & ~scene.occluded].mean() > 0.9
    error = np.abs(sample.disparity - scene.disparity)
    assert np.median(error[measured]) < 0.3
    assert (error[measured & ~scene.sky] > 2).mean() < 0.1
    assert np.array_equal(np.isnan(sample.disparity), sample.mask == Mask.UNKNOWN)
    if convergence:
        assert (sample.disparity[measured] < -1).any()
        assert (sample.disparity[measured] > 1).any()
    if scene.sky.any():
        sky = sample.mask == Mask.SKY
        assert (sky & scene.sky).sum() / (sky | scene.sky).sum() > 0.7
        assert sample.disparity[sky].max() < np.nanmin(sample.disparity[~sky])
    else:
        assert not (sample.mask == Mask.SKY).any()


def test_manifest_is_complete(built: Any) -> None:
    rows = rows_of(built.out)
    keys = [row["key"] for row in rows if row["key"] is not None]
    assert keys == sorted(keys)
    assert len(set(keys)) == 14
    assert set(built.left_out) == {"widow_L.png"}
    widow = built.left_out["widow_L.png"]
    assert (widow["status"], widow["stage"], widow["reason"]) == ("left-out", "discover", "one-eye")
    assert "right" in widow["detail"]
    limited = {check.measurement for check in checks(Thresholds())}
    for name, row in built.rows.items():
        assert (built.source / row["left"]).is_file()
        assert (built.source / row["right"]).is_file()
        assert (row["flow"], row["segmenter"]) == ("dis", "builtin")
        assert row["layout"] == ("side-by-side" if name.endswith("sbs") else "files")
        assert row["rule"]
        if name == "broken":
            assert "broken_L.jpg" in row["detail"]
            assert row["width"] is None
            continue
        assert (row["width"], row["height"], row["source_width"], row["source_height"]) == (240, 176, 240, 176)
        always = {"texture", "agreement", "range_px", "sharpness", "eye_order"}
        assert all(row[measurement] is not None for measurement in always)
        assert limited <= set(row)
        assert 0 <= row["quality"] <= 1
        home = built.out if row["status"] == "kept" else built.out / "rejected"
        for folder in ("RDs", "masks", "confidence"):
            with Image.open(home / folder / f"{row['key']}.png") as image:
                assert image.size == (240, 176)
        suffix = ".jpg" if name == "good-hut" else ".png"
        assert (home / "Imgs" / (row["key"] + suffix)).is_file()
        assert (built.out / "previews" / f"{row['key']}.jpg").is_file()
    digest = sha256()
    for eye in ("L", "R"):
        digest.update((built.source / f"good-meadow_{eye}.png").read_bytes())
    assert built.rows["good-meadow"]["source_sha256"] == digest.hexdigest()
    recorded = [json.loads(line) for line in (built.out / "journal.jsonl").read_text().splitlines()]
    of_clips = {"clip_min_px", "clip_max_px", "flicker_px"}  # measured over the frames of a film
    assert set().union(*recorded) - {"file_states", "files", "input"} == set(SCHEMA.names) - of_clips


def test_nothing_lies_about(built: Any) -> None:
    files = {file.relative_to(built.out).as_posix() for file in built.out.rglob("*") if file.is_file()}
    labelled = [row for row in built.rows.values() if row["width"]]
    assert (
        len(files - {".lock", ".unchanged.json", ".eye_orders.jsonl"}) == 5 * len(labelled) + 5
    )  # journal, manifest, build.json, grid, report
    assert not [file for file in files if file.endswith(".part")]
    assert "errors.log" not in files


def test_build_json(built: Any) -> None:
    build_json = json.loads((built.out / "build.json").read_text())
    assert build_json["format"] == "redweb-builder/1"
    assert build_json["finished"] is True
    assert build_json["counts"] == {"kept": 6, "left-out": 1, "rejected": 8}
    identity = build_json["identity"]
    assert (identity["flow"], identity["segmenter"]) == ("dis", "builtin")
    assert identity["flow_weights_sha256"] is None
    assert identity["max_side"] == 768
    assert identity["thresholds"] == {limit.name: getattr(Thresholds(), limit.name) for limit in fields(Thresholds)}
    assert "DIS" in build_json["flow"]
    assert "built-in" in build_json["segmentation"]
    assert build_json["input"] == str(built.source)
    assert len(build_json["input_fingerprint"]) == 64
    assert build_json["seconds_of_this_run"] > 0
    assert {"python", "torch", "opencv-python", "numpy", "pillow"} <= set(build_json["versions"])
    assert build_json["versions"]["numpy"] == np.__version__


def test_grid_shows_every_pair(built: Any) -> None:
    with Image.open(built.out / "grid.png") as image:
        assert image.format == "PNG"
        picture = np.asarray(image.convert("RGB"))
    preview = np.asarray(Image.open(built.out / "previews" / f"{built.rows['good-meadow']['key']}.jpg"))
    assert picture.shape[1] >= preview.shape[1]
    assert picture.shape[0] > 13 * preview.shape[0]
    assert picture.std() > 20


def test_summary(built: Any) -> None:
    summary: Summary = built.summary
    assert (summary.kept, summary.rejected, summary.failed) == (6, 8, [])
    assert summary.reasons == {
        "duplicate": 1, "blurred-eye": 1, "corrupt": 1, "exposure": 1, "textureless": 1, "vertical": 1,
        "no-parallax": 1, "not-stereo": 1,
    }  # fmt: skip
    assert summary.left_out == {"one-eye": 1}
    assert exit_code(summary) == 0
    assert exit_code(Summary(built.out, 0, 3, 0, {}, {}, [], "dis", "none", 1.0)) == NOTHING_KEPT == 3
    assert exit_code(Summary(built.out, 5, 3, 0, {}, {}, ["one"], "dis", "none", 1.0)) == 1


def test_dataset_of_a_build(built: Any) -> None:
    dataset = open_dataset(built.out)
    assert len(dataset) == 6
    assert names(dataset) == GOOD
    assert len(dataset.rejected) == 7  # all but the unreadable one
    for sample in dataset:
        assert sample.image.shape == (176, 240, 3)
        assert sample.disparity.shape == sample.mask.shape == (176, 240)
        assert sample.record["key"] == sample.key


# --- going on, refusing, limiting --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory, rendered: Render, save_pair: SavePair) -> Path:
    """Three good pairs; not to be written to."""
    folder = tmp_path_factory.mktemp("few")
    for name, seed in (("a", 0), ("b", 4), ("c", 2)):
        scene = rendered(seed)
        save_pair(folder, name, scene.left, scene.right)
    return folder


@pytest.fixture
def own(few: Path, tmp_path: Path) -> Path:
    """A copy of `few` to be changed."""
    return copytree(few, tmp_path / "in")


@pytest.fixture(scope="module")
def undisturbed(few: Path, tmp_path_factory: pytest.TempPathFactory, snapshot: Snapshot) -> dict[str, bytes]:
    """The files of a build of `few` that nothing came between."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    assert build(few, out, quick()).kept == 3
    return snapshot(out)


def assert_same(there: dict[str, bytes], here: dict[str, bytes]) -> None:
    """All but the times and the order in which pairs were done."""
    assert set(there) == set(here)
    assert {name for name in here if here[name] != there[name]} <= {"build.json", "journal.jsonl"}
    assert sorted(there["journal.jsonl"].splitlines()) == sorted(here["journal.jsonl"].splitlines())


def test_a_second_run_does_nothing_and_changes_nothing(
    built: Any, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(built.out)

    def never(*_: object) -> Any:
        raise AssertionError("done pairs must not be read again")

    monkeypatch.setattr(engines_module, "prepare", never)
    seen: list[Progress] = []
    summary = build(built.source, built.out, quick(), watch=seen.append)
    assert (summary.kept, summary.rejected, summary.failed) == (6, 8, [])
    assert seen[0].resumed == seen[0].done == seen[0].total == 14
    after = snapshot(built.out)
    assert set(before) == set(after)
    assert [name for name in before if before[name] != after[name]] in ([], ["build.json"])


@pytest.mark.usefixtures("remembered")
def test_limit_and_then_all(few: Path, tmp_path: Path, undisturbed: dict[str, bytes], snapshot: Snapshot) -> None:
    """A limit is no setting of the method: the rest can be done later, into the same folder, to the same bytes."""
    out = tmp_path / "out"
    assert build(few, out, quick(limit=1)).kept == 1
    assert names(open_dataset(out)) == {"a"}
    assert read_build(out)["limit"] == 1
    assert build(few, out, quick(limit=2)).kept == 2
    assert build(few, out, quick()).kept == 3
    assert_same(snapshot(out), undisturbed)


def test_other_settings_are_refused(built: Any, snapshot: Snapshot) -> None:
    before = snapshot(built.out)
    for changes, message in (
        ({"max_side": 512}, "max_side: 768 there, 512 now"),
        ({"segmenter": "none"}, "segmenter: builtin there, none now"),
        ({"eyes": "as-is"}, "eyes: auto there, as-is now"),
        ({"thresholds": PRESETS["midas"]}, "thresholds.min_range_px"),
    ):
        with pytest.raises(StoreError, match=message):
            build(built.source, built.out, quick(**changes))
    assert snapshot(built.out) == before


@pytest.mark.usefixtures("remembered")
def test_overwrite_starts_anew(few: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(few, out, quick(limit=2))
    summary = build(few, out, quick(limit=1, max_side=128), overwrite=True)
    assert summary.kept + summary.rejected == 1
    [row] = rows_of(out)
    assert (row["width"], row["source_width"]) == (128, 240)
    assert len(list((out / "previews").iterdir())) == 1


@pytest.mark.usefixtures("remembered")
def test_a_bad_setting_loses_nothing_even_with_overwrite(few: Path, tmp_path: Path, snapshot: Snapshot) -> None:
    out, empty = tmp_path / "out", tmp_path / "empty"
    empty.mkdir()
    build(few, out, quick(limit=1))
    before = snapshot(out)
    with pytest.raises(StoreError, match="no stereo pair"):
        build(empty, out, quick(), overwrite=True)
    from redweb_builder.errors import WeightsUnavailable

    with pytest.raises(WeightsUnavailable):
        build(few, out, quick(flow="raft-small", flow_weights=tmp_path / "none.pth"), overwrite=True)
    assert snapshot(out) == before


def test_eyes_as_is_rejects_swapped_eyes(tmp_path: Path, rendered: Render, save_pair: SavePair) -> None:
    scene = rendered(6)
    save_pair(tmp_path / "in", "swapped", scene.right, scene.left)
    summary = build(tmp_path / "in", tmp_path / "out", quick(eyes="as-is"))
    assert (summary.kept, summary.reasons) == (0, {"eyes-swapped": 1})
    [row] = rows_of(tmp_path / "out")
    assert (row["stage"], row["eyes_exchanged"], row["threshold"]) == ("filter", False, Thresholds().min_eye_order)
    assert row["eye_order"] < -0.2
    [sample] = open_dataset(tmp_path / "out").rejected
    assert np.array_equal(sample.image, scene.right)


def test_preset_none_keeps_every_labelled_pair(stereo: Path, tmp_path: Path, save_pair: SavePair) -> None:
    for name in ("twice", "torn"):
        for eye in ("L", "R"):
            (tmp_path / "in").mkdir(exist_ok=True)
            (tmp_path / "in" / f"{name}_{eye}.png").write_bytes((stereo / f"{name}_{eye}.png").read_bytes())
    summary = build(tmp_path / "in", tmp_path / "out", quick(thresholds=PRESETS["none"]))
    assert (summary.kept, summary.rejected) == (2, 0)


def test_everything_bad_is_reported(tmp_path: Path, rendered: Render, save_pair: SavePair) -> None:
    save_pair(tmp_path / "in", "twice", rendered(0).left, rendered(0).left)
    summary = build(tmp_path / "in", tmp_path / "out", quick())
    assert (summary.kept, summary.rejected) == (0, 1)
    assert exit_code(summary) == 3
    assert len(open_dataset(tmp_path / "out")) == 0
    assert (tmp_path / "out" / "grid.png").is_file()


def test_nothing_found_is_a_clear_error(tmp_path: Path, rendered: Render, save: Callable[..., Path]) -> None:
    (tmp_path / "empty").mkdir()
    save(rendered(7).left, tmp_path / "single" / "widow_L.png")
    with pytest.raises(StoreError, match=r"no stereo pair found in .*empty .no picture files at all"):
        build(tmp_path / "empty", tmp_path / "out", quick())
    with pytest.raises(StoreError, match=r"no stereo pair found in .*single .1 one-eye.*--dry-run"):
        build(tmp_path / "single", tmp_path / "out", quick())
    with pytest.raises(FileNotFoundError, match="nowhere"):
        build(tmp_path / "nowhere", tmp_path / "out", quick())
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("remembered")
def test_an_output_folder_within_the_input_is_no_input(own: Path, snapshot: Snapshot) -> None:
    """`build-redweb . --out redweb`, given twice: the pictures of the data set are not read as photographs."""
    out = own / "redweb"
    build(own, out, quick(limit=2))
    assert build(own, out, quick()).left_out == {}
    before = snapshot(out)
    assert build(own, out, quick()).kept == 3
    changed = snapshot(out)
    assert [name for name in before if before[name] != changed[name]] in ([], ["build.json"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flow": "raft-huge"}, "raft-huge.*raft-large"),
        ({"max_side": 64}, "max_side 64.*128"),
        ({"max_side": 5000}, "max_side 5000"),
        ({"limit": 0}, "limit 0"),
        ({"eyes": "left"}, "eyes 'left'"),
        ({"device": "tpu"}, "device 'tpu'"),
    ],
)
def test_settings_are_checked(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quick(**changes)


def test_thresholds_are_checked() -> None:
    with pytest.raises(ValueError, match="max_vertical"):
        Thresholds(max_vertical=-0.1)
    assert Thresholds(min_eye_order=-0.5).min_eye_order == -0.5


# --- filters -----------------------------------------------------------------------------------------------------


def test_every_limit_judges_its_measurement() -> None:
    """Just on the right side of every limit: kept; just beyond one: rejected for that one."""
    limits = checks(Thresholds())
    assert len(limits) == len(fields(Thresholds)) - 1  # all but the duplicates'
    nudge = 1e-6
    fine = {check.measurement: check.limit + (nudge if check.at_least else -nudge) for check in limits}
    assert judge(fine, Thresholds()) is None
    assert judge({check.measurement: check.limit for check in limits}, Thresholds()) is None
    for check in limits:
        worse = {**fine, check.measurement: check.limit + (-nudge if check.at_least else nudge)}
        verdict = judge(worse, Thresholds())
        assert verdict is not None
        assert (verdict.stage, verdict.reason) == ("filter", check.reason)
        assert verdict.value == worse[check.measurement]
        assert verdict.threshold == check.limit
        assert judge({**fine, check.measurement: float("nan")}, Thresholds()) is None
        assert judge(worse, PRESETS["none"]) is None
    assert margin(fine, Thresholds()) < 1e-3
    assert margin(fine, PRESETS["none"]) == float("inf")


def test_checks_of_either_kind_are_as_far_off_alike() -> None:
    needed, allowed = Check("a", "x", 2.0, at_least=True), Check("b", "y", 2.0, at_least=False)
    assert needed.slack(1.0) == allowed.slack(4.0) == -0.5
    assert needed.slack(4.0) == allowed.slack(1.0) == 0.5
    assert needed.slack(0.0) == -1
    assert -1 <= allowed.slack(1e9) < -0.99


def test_published_presets() -> None:
    """Ranftl et al. 2019 (10 px, 70 %, 10 % above 2 px), Wang et al. 2023 (15 px)."""
    for name, range_px in (("midas", 10), ("vdw", 15)):
        on = {check.measurement: check.limit for check in checks(PRESETS[name])}
        assert on == {"agreement": 0.7, "range_px": range_px, "vertical": 0.1}


def duplicate_row(key: str, bits: int, quality: float, status: str = "kept") -> dict[str, Any]:
    return {"key": key, "status": status, "quality": quality, "perceptual_hash": f"{bits:016x}"}


def test_duplicates_are_judged_by_bits_and_quality() -> None:
    rows = [
        duplicate_row("a", 0b0000, 0.5),
        duplicate_row("b", 0b1111, 0.9),  # 4 bits from a: the better of the two
        duplicate_row("c", 0b11111 << 40, 0.4),  # 5 bits from a: another picture
        duplicate_row("d", 0b1111, 0.9),  # the same as b, as good: the earlier key stays
        duplicate_row("e", 0b1111, 1.0, "rejected"),  # rejected already: takes no part
        duplicate_row("f", 0xFFFF_FFFF_FFFF_FFFF, 0.1),
    ]
    rows = compare([table_of(rows)], 4).applied(table_of(rows)).to_pylist()
    assert [row["status"] for row in rows] == ["rejected", "kept", "kept", "rejected", "rejected", "kept"]
    assert rows[0]["detail"] == rows[3]["detail"] == "looks like b"
    assert (rows[0]["value"], rows[3]["value"]) == (4, 0)
    assert rows[4]["detail"] is None
    off = table_of([duplicate_row("a", 1, 0.5), duplicate_row("b", 1, 0.5)])
    assert compare([off], None).applied(off)["status"].to_pylist() == ["kept", "kept"]


# --- bad input ---------------------------------------------------------------------------------------------------


def png_of_size(width: int, height: int) -> bytes:
    """A PNG header that promises a picture, and next to no data."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def as_16_bit(picture: Picture) -> Image.Image:
    return Image.fromarray(picture[..., 1].astype(np.uint16) * 257)


HANDLED: dict[str, Callable[[Picture], Image.Image]] = {
    "grey": lambda view: Image.fromarray(view).convert("L"),
    "rgba": lambda view: Image.fromarray(view).convert("RGBA"),
    "palette": lambda view: Image.fromarray(view).quantize(256),
    "bits16": as_16_bit,
}


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory, rendered: Render) -> Path:
    """Every bad input of the list, and pictures of unusual kinds that can be read; one pair each."""
    folder = tmp_path_factory.mktemp("bad")
    scene = rendered(0)
    left, right = Image.fromarray(scene.left), Image.fromarray(scene.right)

    def put(name: str, first: Image.Image | bytes, second: Image.Image | bytes, extension: str = "png") -> None:
        for eye, view in (("L", first), ("R", second)):
            file = folder / f"{name}_{eye}.{extension}"
            if isinstance(view, bytes):
                file.write_bytes(view)
            else:
                view.save(file)

    left.save(folder / "whole.jpg", quality=92)
    whole = (folder / "whole.jpg").read_bytes()
    (folder / "whole.jpg").unlink()
    broken = bytearray(whole)
    broken[400:2400] = bytes(2000)
    put("corrupt", bytes(broken), right, "jpg")
    put("truncated", left, whole[: len(whole) // 2], "jpg")
    put("empty", b"", right)
    put("hundred-megapixel", png_of_size(20_000, 10_001), right)
    put("one-pixel", Image.new("RGB", (1, 1)), Image.new("RGB", (1, 1)))
    put("words", b"no picture at all, only words", right)
    put("sizes", left, right.resize((120, 120)))
    for name, convert in HANDLED.items():
        put(name, convert(scene.left), convert(scene.right))
    put("cmyk", left.convert("CMYK"), right.convert("CMYK"), "jpg")
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    for eye, view in (("L", left), ("R", right)):
        view.transpose(Image.Transpose.ROTATE_90).save(folder / f"rotated_{eye}.jpg", quality=95, exif=exif)
    put("ein Ausflug zum See · 日本", left, right)
    left.save(folder / "only-one_L.png")
    (folder / "folder_L.png").mkdir()
    (folder / "dangling_L.png").symlink_to(folder / "not there.png")
    return folder


@pytest.fixture(scope="module")
def bad_built(bad: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from tests.conftest import Built

    config = quick(thresholds=Thresholds(duplicate_bits=None))
    return Built.of(bad, build(bad, tmp_path_factory.mktemp("bad built") / "out", config))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("corrupt", "corrupt"),
        ("truncated", "corrupt"),
        ("empty", "empty-file"),
        ("hundred-megapixel", "too-large"),
        ("one-pixel", "too-small"),
        ("words", "not-an-image"),
        ("sizes", "size-mismatch"),
    ],
)
def test_bad_files_have_their_reason(bad_built: Any, name: str, reason: str) -> None:
    row = bad_built.rows[name]
    assert (row["status"], row["stage"], row["reason"]) == ("rejected", "read", reason)
    assert f"{name}_" in row["detail"]


@pytest.mark.parametrize("name", [*HANDLED, "cmyk", "rotated", "ein-Ausflug-zum-See-日本"])
def test_unusual_pictures_are_read(bad_built: Any, rendered: Render, name: str) -> None:
    row = bad_built.rows[name]
    assert row["status"] == "kept", row["detail"]
    assert (row["width"], row["height"]) == (240, 176)
    sample = open_dataset(bad_built.out)[row["key"]]
    truth = rendered(0)
    measured = (sample.mask == Mask.MEASURED) & ~truth.sky
    assert measured.mean() > 0.5
    assert np.median(np.abs(sample.disparity - truth.disparity)[measured]) < 0.5


def test_what_is_no_pair_is_listed(bad_built: Any) -> None:
    assert {name: row["reason"] for name, row in bad_built.left_out.items()} == {
        "only-one_L.png": "one-eye",
        "dangling_L.png": "unreadable",
    }
    assert bad_built.summary.failed == []
    assert bad_built.summary.kept == 7
    assert exit_code(bad_built.summary) == 0
    assert not (bad_built.out / "errors.log").exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_no_permission(own: Path, tmp_path: Path) -> None:
    (own / "b_L.png").chmod(0)
    summary = build(own, tmp_path / "out", quick())
    assert (summary.kept, summary.reasons) == (2, {"unreadable": 1})


def test_an_unreadable_file_costs_one_pair(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As test_no_permission, also for the superuser."""
    opened = os.open

    def closed(file: Any, *rest: Any, **more: Any) -> int:
        if Path(str(file)).name == "b_L.png":
            raise PermissionError(errno.EACCES, "Permission denied", str(file))
        return opened(file, *rest, **more)

    monkeypatch.setattr(os, "open", closed)
    summary = build(few, tmp_path / "out", quick())
    assert (summary.kept, summary.failed) == (2, [])
    assert summary.reasons == {"unreadable": 1}


# --- what nobody foresaw -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["prepare", "label_pair"])
def test_an_unforeseen_error_costs_one_pair_and_is_tried_again(
    few: Path,
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    remembered: None,
    snapshot: Snapshot,
    where: str,
) -> None:
    out = tmp_path / "out"
    plain = getattr(engines_module, where)

    def faulty(inferred: Any, *rest: Any) -> Any:
        source: PairSource = inferred if isinstance(inferred, PairSource) else inferred.prepared.source
        if source.key.startswith("b-"):
            raise ZeroDivisionError("nobody foresaw this")
        return plain(inferred, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines_module, where, faulty)
        summary = build(few, out, quick())
    assert summary.kept == 2
    assert [key.rsplit("-", 1)[0] for key in summary.failed] == ["b"]
    assert exit_code(summary) == 1
    log = (out / "errors.log").read_text()
    assert summary.failed[0] in log
    assert "ZeroDivisionError: nobody foresaw this" in log
    assert "Traceback" in log
    assert all(not row["key"].startswith("b-") for row in rows_of(out))
    again = build(few, out, quick())
    assert (again.kept, again.failed, exit_code(again)) == (3, [], 0)
    assert not (out / "errors.log").exists()
    assert_same(snapshot(out), undisturbed)


@pytest.mark.parametrize("where", ["one_file.open_picture", "films.open_film"])
def test_an_unforeseen_error_while_files_are_listed_costs_one_file(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """It is recorded, logged as a bug, and the run goes on."""
    name = "odd\udcff.jpg" if where == "one_file.open_picture" else "odd.mp4"  # a byte that is no UTF-8
    (own / name).write_bytes(b"anything")

    monkeypatch.setattr("redweb_builder.inputs.isolation._AVAILABLE", False)  # or the patch would not reach the worker

    def faulty(file: Path, *_: Any) -> None:
        raise ZeroDivisionError(f"nobody foresaw this: {file}")

    monkeypatch.setattr(f"redweb_builder.inputs.formats.{where}", faulty)
    summary = build(own, tmp_path / "out", quick())
    name = name.replace("\udcff", r"\xff")
    assert (summary.kept, summary.left_out, summary.failed) == (3, {"failed": 1}, [name])
    log = (tmp_path / "out" / "errors.log").read_text()
    assert name in log
    assert "ZeroDivisionError: nobody foresaw this" in log
    assert exit_code(summary) == 1
    print_dry_run(own, InputOptions())


def test_overwrite_given_again_after_a_failure_tries_only_what_failed(
    few: Path, tmp_path: Path, remembered: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, plain, done = tmp_path / "out", vars(engines_module)["label_pair"], list[str]()

    def faulty(seen: Any, *rest: Any) -> Any:
        done.append(seen.prepared.source.key[0])
        if seen.prepared.source.key.startswith("b-") and done.count("b") == 1:
            raise ZeroDivisionError("once")
        return plain(seen, *rest)

    monkeypatch.setattr(engines_module, "label_pair", faulty)
    assert build(few, out, quick(), overwrite=True).kept == 2
    assert build(few, out, quick(), overwrite=True).kept == 3
    assert sorted(done) == ["a", "b", "b", "c"]


@pytest.mark.parametrize("at", [1, 2, 4, 6, 9, 16, 17, 18, 19])
def test_no_space_left(
    few: Path, undisturbed: dict[str, bytes], tmp_path: Path, remembered: None, snapshot: Snapshot, at: int
) -> None:
    """The disk is full at one write: the build stops with that error; with space again it goes on to the same bytes."""
    out = tmp_path / "out"
    plain = os.fsync
    calls: Iterator[int] = iter(range(1, 10_000))

    def full(descriptor: int) -> None:
        if next(calls) >= at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left") as caught:
            build(few, out, quick())
    assert caught.value.errno == errno.ENOSPC
    assert not list(out.rglob("*.part"))
    summary = build(few, out, quick())
    assert (summary.kept, summary.failed) == (3, [])
    assert_same(snapshot(out), undisturbed)


@pytest.mark.usefixtures("remembered")
def test_progress_is_reported_pair_by_pair(few: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int, int]] = []
    stages: dict[str, list[str]] = {}
    notes: list[str] = []

    def watch(progress: Progress) -> None:
        stages.setdefault(progress.stage, []).append(progress.item)
        notes[:] = progress.notes
        if progress.stage == PAIRS:
            seen.append((progress.done, progress.total, progress.counts["kept"]))
            assert progress.done <= progress.position <= progress.total

    build(few, tmp_path / "out", quick(), watch=watch)
    assert list(dict.fromkeys(seen)) == [(0, 3, 0), (1, 3, 1), (2, 3, 2), (3, 3, 3)]
    assert any("DIS" in note for note in notes)
    assert list(stages) == [
        "finding pairs", "loading the networks", "comparing the eye orders", PAIRS,
        "comparing pictures for duplicates", "writing the manifest", "drawing the grid and the report",
    ]  # fmt: skip
    steps = Counter(item.split()[0] for item in dict.fromkeys(stages[PAIRS]) if item)
    assert steps == {"reading": 3, "matching": 3, "labelling": 3}


def test_auto_without_weights_is_named_in_the_record(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is at hand and nothing can be fetched: the built-ins do it, on screen and in build.json."""
    notes: list[str] = []
    config = BuildConfig(device="cpu", limit=1)
    summary = build(few, tmp_path / "out", config, watch=lambda progress: notes.extend(progress.notes))
    assert (summary.flow, summary.segmenter, summary.kept) == ("dis", "builtin", 1)
    record = json.loads((tmp_path / "out" / "build.json").read_text())
    for message in (record["flow"], notes[0]):
        assert "no RAFT weights could be had" in message
    for message in (record["segmentation"], notes[1]):
        assert "no other could be had" in message


def test_outcomes_are_what_the_engine_says_they_are(own: Path) -> None:
    """An unreadable source is an Outcome with its reason; a good one is Prepared, equal in size."""
    from redweb_builder.inputs.discover import discover

    (own / "c_L.png").write_bytes(b"")
    good, _, empty = (prepare(source, quick()) for source in discover(own).sources)
    assert isinstance(good, Prepared)
    assert good.pair.left.shape == good.pair.right.shape == (176, 240, 3)
    assert good.right_valid.all()
    assert isinstance(empty, Outcome)
    assert empty.rejection is not None
    assert (empty.rejection.stage, empty.rejection.reason) == ("read", "empty-file")


def test_a_failing_network_call_costs_only_the_pair_that_fails(
    few: Path, tmp_path: Path, remembered: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of memory on a batch: its pairs are tried one by one; the one that does not fit is named and kept open."""
    plain = infer

    def full(batch: Any, models: Any) -> Any:
        if len(batch) > 1 or any(inferred.source.key.startswith("b-") for inferred in batch):
            raise RuntimeError("out of memory")
        return plain(batch, models)

    monkeypatch.setattr(engines_module, "infer", full)
    summary = build(few, tmp_path / "out", quick())
    assert summary.kept == 2
    assert [key.rsplit("-", 1)[0] for key in summary.failed] == ["b"]
    assert "out of memory" in (tmp_path / "out" / "errors.log").read_text()


def test_what_a_failed_batch_held_is_free_before_its_pairs_are_tried_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[weakref.ref[Any]] = []

    def full(batch: Any, models: Any) -> Any:
        if len(batch) == 1:
            return [held[0]() is None]
        tensors = {1, 2, 3}
        held.append(weakref.ref(tensors))
        raise RuntimeError("out of memory")

    monkeypatch.setattr(engines_module, "infer", full)
    see_pairs: Any = vars(engines_module)["_infer"]
    assert see_pairs(["one", "other"], None) == [True, True]


def test_an_unreadable_file_is_tried_again(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that was away during a build is no verdict on the photographs."""
    plain = read_pair

    def away(source: PairSource, max_side: int) -> Any:
        if source.key.startswith("b-"):
            raise InputError("unreadable", f"{source.left}: cannot be opened (Input/output error)")
        return plain(source, max_side)

    with monkeypatch.context() as patch:
        patch.setattr(pipeline_module, "read_pair", away)
        first = build(few, tmp_path / "out", quick())
    assert (first.kept, first.reasons) == (2, {"unreadable": 1})
    row = next(row for row in rows_of(tmp_path / "out") if row["reason"] == "unreadable")
    assert str(few) not in row["detail"]
    assert build(few, tmp_path / "out", quick()).kept == 3


def test_a_photograph_that_was_replaced_leaves_no_label_of_the_old_one(own: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(own, out, quick())
    views = [own / f"b_{eye}.png" for eye in "LR"]
    before = [view.read_bytes() for view in views]
    for view in views:
        picture = Image.open(view)
        picture.putpixel((0, 0), (1, 2, 3))
        picture.save(view)
    for _ in range(2):
        assert build(own, out, quick()).kept == 3
        rows = [row for row in rows_of(out) if row["left"] == "b_L.png"]
        assert sorted((row["status"], row["reason"]) for row in rows) == [("kept", None), ("rejected", "replaced")]
        assert rows[0]["detail"] is None or rows[1]["key"] in rows[0]["detail"]
        assert check_dataset(out).faults == []
        old = next(row["key"] for row in rows if row["reason"] == "replaced")
        (out / "RDs" / f"{old}.png").write_bytes(b"what a killed build has left")
    for view, content in zip(views, before, strict=True):
        view.write_bytes(content)
    assert build(own, out, quick()).kept == 3
    assert check_dataset(out).faults == []


def test_another_folder_with_the_same_names_replaces_nothing(own: Path, tmp_path: Path) -> None:
    """Cameras begin again at 0001: folders of one camera, built one after the other into one set."""
    other = copytree(own, tmp_path / "other")
    for view in (other / "b_L.png", other / "b_R.png"):
        picture = Image.open(view)
        picture.putpixel((0, 0), (1, 2, 3))
        picture.save(view)
    out = tmp_path / "out"
    for folder in (own, other, other):
        build(folder, out, replace(quick(), thresholds=Thresholds(duplicate_bits=None)))
    rows = [row for row in rows_of(out) if row["left"] == "b_L.png"]
    assert [row["status"] for row in rows] == ["kept", "kept"]


def test_names_that_are_no_text_or_hold_odd_line_ends(
    tmp_path: Path, rendered: Render, remembered: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Latin-1 bytes, U+0085 and U+2028 in names: built, in the manifest, and resumed; folders name the rule, too."""
    monkeypatch.setattr(heartbeat, "EVERY_S", 0.0)
    photos = tmp_path / "photos"
    scene = rendered(0)
    for name in (b"\xe9t\xe9_%b", "a\u0085b_%b".encode(), "c\u2028d_%b".encode(), b"\xe9_%b/1"):
        for eye, view in ((b"L", scene.left), (b"R", scene.right)):
            Image.fromarray(view).save(tmp_path / "view.png")
            file = Path(os.fsdecode(os.fsencode(photos) + b"/" + name % eye + b".png"))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes((tmp_path / "view.png").read_bytes())
    for _ in range(2):
        summary = build(photos, tmp_path / "out", quick())
        assert summary.failed == []
        assert sum(row["status"] in ("kept", "rejected") for row in rows_of(tmp_path / "out")) == 4
    assert [row["rule"] for row in rows_of(tmp_path / "out")].count(r"folders \xe9_L/ + \xe9_R/") == 1
    for row in rows_of(tmp_path / "out"):
        assert source_views(tmp_path / "out", row, photos).left.shape == scene.left.shape


def test_jobs_are_all_that_a_large_machine_gives(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels, their flow and the eye orders before them; what is prepared ahead does not grow with its cores either."""
    asked = set()

    class Pool(ThreadPoolExecutor):
        def __init__(self, workers: int | None = None, *_: Any, **__: Any) -> None:
            asked.add(workers)
            super().__init__(workers)

    for module in (dis, engines_module, eye_order):
        monkeypatch.setattr(module, "available_cores", lambda: 64, raising=False)
        monkeypatch.setattr(module, "ThreadPoolExecutor", Pool)
    assert build(few, tmp_path / "out", quick(jobs=2)).kept == 3
    assert asked == {2}
    assert (dis.Dis(2).batch, dis.Dis().batch) == (1, 32)


def test_overwrite_given_again_after_an_interrupt_goes_on(few: Path, tmp_path: Path, remembered: None) -> None:
    out = tmp_path / "out"
    build(few, out, quick())
    seen = []

    def note(progress: Any) -> None:
        if progress.stage == PAIRS:
            seen.append(progress.done)

    def stop(progress: Any) -> None:
        note(progress)
        if progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(few, out, quick(), overwrite=True, watch=stop)
    assert seen[0] == 0
    seen.clear()
    assert build(few, out, quick(), overwrite=True, watch=note).kept == 3
    assert seen[0] == 2
