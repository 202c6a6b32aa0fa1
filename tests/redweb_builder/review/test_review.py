"""The review page: who may ask, what it answers, and a reviewer's keys in a real browser."""

from __future__ import annotations

import _socket
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from http.client import HTTPConnection
from itertools import cycle
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from urllib.parse import quote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image

from cli import main
from redweb_builder import open_dataset
from redweb_builder.dataset.curation import NAME as CURATION
from redweb_builder.dataset.curation import Curation, write_curation
from redweb_builder.dataset.decisions import FILE, append_decisions, decide, read_decisions
from redweb_builder.dataset.manifest import SCHEMA
from redweb_builder.dataset.source_views import aligned_views
from redweb_builder.dataset.unknown import from_runs
from redweb_builder.errors import StoreError
from redweb_builder.export.dataset import export_dataset
from redweb_builder.inputs.read import read_pair
from redweb_builder.review.session import Session
from redweb_builder.types import Mask, PairSource

pytest.importorskip("flask", reason="the review extra is not installed")
pytest.importorskip("waitress", reason="the review extra is not installed")

TOKEN = "the-token"
HERE = "http://localhost"  # at port 80, which browsers leave out
HOSTILE = '<img src=x onerror="window.hit=1">\'</script>'


@dataclass
class Desk:
    """A data set under review: its folder, the web client of a reviewer who is let in, and keys by name."""

    folder: Path
    client: Any
    keys: dict[str, str]

    def decide(self, name: str, decision: str, reason: str | None = None) -> Any:
        wish = {"key": self.keys[name], "decision": decision, "reason": reason}
        return self.client.post("/api/decide", json=wish, headers={"Origin": HERE})

    def picture(self, path: str) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return np.asarray(Image.open(io.BytesIO(answer.data)))


def app_of(folder: Path, reviewer: str = "ana") -> Any:
    from redweb_builder.review.server import create_app

    return create_app(Session(folder, reviewer), TOKEN)


def enter(folder: Path, reviewer: str = "ana") -> Any:
    client = app_of(folder, reviewer).test_client()
    assert client.get(f"/?token={TOKEN}").status_code == 302
    return client


Review = Callable[[Callable[[Any], None]], str]


@pytest.fixture
def review(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Review:
    """review(visit): give the command `review` as ana, who does `visit` with her client and ends it; what it prints."""
    from redweb_builder.review import server

    create_app = server.create_app

    def review(visit: Callable[[Any], None]) -> str:
        def create_and_enter(session: Session, token: str, port: int, host: str) -> Any:
            app = create_app(session, token, port, host)
            app.config["SERVER_NAME"] = f"localhost:{port}"  # which the client asks
            client = app.test_client()

            def run() -> None:
                assert client.get(f"/?token={token}").status_code == 302
                visit(client)

            monkeypatch.setattr(server, "create_server", lambda *_, **__: Mock(run=run))
            return app

        monkeypatch.setattr(server, "create_app", create_and_enter)
        result = CliRunner().invoke(
            main, ["review", str(folder), "--reviewer", "ana", "--no-browser"], catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        return result.output

    return review


@pytest.fixture
def folder(built: Any, tmp_path: Path) -> Path:
    copy: Path = shutil.copytree(built.out, tmp_path / "set")
    return copy


@pytest.fixture
def desk(built: Any, folder: Path) -> Desk:
    return Desk(folder, enter(folder), {name: row["key"] for name, row in built.rows.items()})


# --- who may ask -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:81", "127.0.0.1.evil.example:80", "localhost@evil", ""])
def test_a_foreign_host_is_refused(desk: Desk, host: str) -> None:
    for path in ("/", f"/?token={TOKEN}", "/api/samples", f"/photo/{desk.keys['good-hut']}"):
        assert desk.client.get(path, headers={"Host": host}).status_code == 403


def test_the_token_lets_in_again_and_nothing_else_does(folder: Path) -> None:
    app = app_of(folder)
    stranger, first, second = (app.test_client() for _ in range(3))
    for path in ("/", "/api/samples", "/page/review.js", "/?token=wrong", "/?token="):
        assert stranger.get(path).status_code == 403
    assert "Open the link" in stranger.get("/api/samples").get_json()["error"]  # a page of an earlier review says so
    welcome = first.get(f"/?token={TOKEN}")
    assert welcome.status_code == 302
    assert welcome.headers["Location"] == "/"
    cookie = welcome.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert first.get("/").status_code == 200
    for again in (first, second):  # a reload; the tablet of the same person
        assert again.get(f"/?token={TOKEN}").status_code == 302
        assert again.get("/").status_code == 200


def test_another_address_answers_to_its_own_name_only(folder: Path) -> None:
    from redweb_builder.review.server import create_app

    client = create_app(Session(folder, "ana"), TOKEN, 8080, "192.168.1.20").test_client()
    for host, status in (("192.168.1.20:8080", 302), ("127.0.0.1:8080", 403), ("evil.example:8080", 403)):
        assert client.get(f"/?token={TOKEN}", headers={"Host": host}).status_code == status


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "my-laptop", "", "192.168.1.999"])
def test_only_one_address_is_listened_at(desk: Desk, host: str) -> None:
    result = CliRunner().invoke(main, ["review", str(desk.folder), "--no-browser", "--host", host or " "])
    assert result.exit_code == 1
    assert "name one address" in result.output


def test_another_device_gets_a_link_and_a_code(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    segno = pytest.importorskip("segno", reason="segno is not installed")
    made: list[str] = []
    make = segno.make

    def remember(text: str, **options: Any) -> Any:
        made.append(text)
        return make(text, **options)

    monkeypatch.setattr(segno, "make", remember)
    monkeypatch.setattr("redweb_builder.review.server.create_server", lambda *_, **__: Mock())
    result = CliRunner().invoke(main, ["review", str(desk.folder), "--host", "127.0.0.2"])
    assert result.exit_code == 0, result.output
    assert made[0] in result.output
    assert re.match(r"http://127\.0\.0\.2:\d+/\?token=", made[0])
    assert "not encrypted" in result.output


@pytest.mark.parametrize("origin", [None, "http://evil.example", "http://127.0.0.1:8081", "null", "https://localhost"])
def test_another_page_cannot_decide(desk: Desk, origin: str | None) -> None:
    wish = {"key": desk.keys["good-hut"], "decision": "reject"}
    headers = {} if origin is None else {"Origin": origin}
    assert desk.client.post("/api/decide", json=wish, headers=headers).status_code == 403
    assert desk.client.post("/api/undo", json={}, headers=headers).status_code == 403
    form = desk.client.post("/api/decide", data=json.dumps(wish), headers={"Origin": HERE})
    assert form.status_code == 403  # what a form of another site could send
    assert not (desk.folder / FILE).exists()


def test_answers_keep_other_sites_out(desk: Desk) -> None:
    answer = desk.client.get("/")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("key", ["../build", "..%2f..%2fbuild.json", "%2e%2e", "..\\build", "a%00b", "/etc/passwd"])
def test_no_path_leads_out_of_the_data_set(desk: Desk, key: str) -> None:
    for kind in ("photo", "preview", "picture/depth", "picture/right", "points", "api/order"):
        assert desk.client.get(f"/{kind}/{key}?ax=1&ay=1&bx=2&by=2").status_code in (404, 308)
    assert desk.client.get("/page/../session.py").status_code == 404


def test_a_manifest_or_a_link_cannot_lead_out_either(desk: Desk, tmp_path: Path) -> None:
    Image.new("RGB", (240, 176)).save(tmp_path / "secret.png")
    (tmp_path / "RDs").mkdir()
    hut = desk.keys["good-hut"]
    shutil.copy(desk.folder / "RDs" / f"{hut}.png", tmp_path / "RDs" / "stolen.png")
    rows = pq.read_table(desk.folder / "manifest.parquet").to_pylist()
    next(row for row in rows if row["key"] == desk.keys["good-room"])["key"] = "../RDs/stolen"
    next(row for row in rows if row["key"] == hut)["left"] = "../../secret.png"
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), desk.folder / "manifest.parquet")
    meadow = desk.keys["good-meadow"]
    for kind in ("RDs", "Imgs"):
        (desk.folder / kind / f"{meadow}.png").unlink()
        (desk.folder / kind / f"{meadow}.png").symlink_to(tmp_path / "secret.png")
    client = enter(desk.folder)
    assert client.get("/picture/depth/..%2FRDs%2Fstolen").status_code == 404
    assert client.get(f"/photo/{meadow}").status_code == 404
    assert "no pair" in client.get(f"/picture/right/{hut}").json["error"]


# --- what it answers ---------------------------------------------------------------------------------------------


def test_pictures_are_those_of_the_label(desk: Desk) -> None:
    key = desk.keys["good-meadow"]
    sample = open_dataset(desk.folder)[key]
    np.testing.assert_array_equal(desk.picture(f"/photo/{key}"), sample.image)
    near = desk.picture(f"/picture/parallax/{key}")
    assert near.shape == sample.mask.shape
    known = np.isfinite(sample.disparity) & (sample.mask != Mask.SKY)
    assert np.corrcoef(near[known], sample.disparity[known])[0, 1] > 0.99
    assert (near[sample.mask == Mask.SKY] == 0).all()
    mask = desk.picture(f"/picture/mask/{key}")
    assert len(np.unique(mask.reshape(-1, 3), axis=0)) == len(np.unique(sample.mask))
    np.testing.assert_array_equal(desk.picture(f"/picture/confidence-values/{key}"), sample.confidence)
    assert desk.picture(f"/picture/confidence/{key}").shape == sample.image.shape
    assert desk.client.get(f"/points/{key}").data.startswith(b"ply\n")


@pytest.mark.parametrize("key", ["東-1c0f6702", "Übersee-é", 'a"b; c'])
def test_a_download_is_named_after_its_key(key: str) -> None:
    from werkzeug.http import parse_options_header

    from redweb_builder.review.server import create_app

    client = create_app(Mock(points=Mock(return_value=b"ply\n")), TOKEN).test_client()
    client.get(f"/?token={TOKEN}")
    header = client.get(f"/points/{quote(key)}").headers["Content-Disposition"]
    assert parse_options_header(header.encode("latin-1").decode()) == ("attachment", {"filename": f"{key}.ply"})


def test_the_right_view_is_what_the_label_was_made_from(built: Any, desk: Desk) -> None:
    key = desk.keys["good-hut"]
    row = built.rows["good-hut"]
    source = PairSource(key, built.source / row["left"], built.source / row["right"], row["layout"], row["rule"])
    shown = desk.picture(f"/picture/right/{key}").astype(float)
    assert np.abs(shown - read_pair(source, 768).right).mean() < 4  # a JPEG of it
    swapped = built.rows["swapped"]
    left_file = built.source / swapped["left"]  # the eyes were exchanged: what was left is right
    with Image.open(left_file) as image:
        assert np.abs(desk.picture(f"/picture/right/{swapped['key']}") - np.asarray(image, float)).mean() < 4
    # Aligned: matches lie in the row of the left view again, where they were 12 px off.
    raised = built.rows["raised"]
    assert raised["aligned"]
    sample = open_dataset(desk.folder)[raised["key"]]
    right = desk.picture(f"/picture/right/{raised['key']}").astype(float).mean(2)
    left = sample.image.astype(float).mean(2)
    rows = slice(40, 140)
    off = {dy: np.abs(left[rows].mean(1) - np.roll(right, dy, 0)[rows].mean(1)).mean() for dy in (-12, 0, 12)}
    assert min(off, key=lambda dy: off[dy]) == 0
    # By the homography of the build, not by another estimate: of a frame of a film that would be another.
    lower = raised | {"homography": json.dumps([1, 0, 0, 0, 1, 30, 0, 0, 1])}
    unmoved = aligned_views(desk.folder, raised | {"aligned": False}, built.source).right
    np.testing.assert_array_equal(aligned_views(desk.folder, lower, built.source).right[60:100], unmoved[30:70])
    estimated = aligned_views(
        desk.folder, raised | {"homography": None}, built.source
    ).right  # a set from before the column
    np.testing.assert_array_equal(estimated, aligned_views(desk.folder, raised, built.source).right)


def test_a_right_view_that_is_gone_or_changed_is_reported(desk: Desk, built: Any, tmp_path: Path) -> None:
    source = shutil.copytree(built.source, tmp_path / "photos")
    key = desk.keys["good-meadow"]
    changed = json.loads((desk.folder / "build.json").read_text()) | {"input": str(source)}
    (desk.folder / "build.json").write_text(json.dumps(changed))
    shutil.copy(source / "good-room_L.png", source / "good-meadow_L.png")
    assert "changed" in enter(desk.folder).get(f"/picture/right/{key}").json["error"]
    shutil.rmtree(source)
    answer = enter(desk.folder).get(f"/picture/right/{key}")
    assert answer.status_code == 404
    assert "--source" in answer.json["error"]
    moved = Session(desk.folder, "ana", built.source)
    assert moved.picture("right", key).startswith(b"\xff\xd8")
    assert enter(desk.folder).get(f"/picture/right/{key}").status_code == 200  # kept since


def test_two_pixels_are_put_in_order(desk: Desk) -> None:
    key = desk.keys["good-meadow"]
    sample = open_dataset(desk.folder)[key]
    measured = np.argwhere(sample.mask == Mask.MEASURED)
    ordered = measured[np.argsort(sample.disparity[tuple(measured.T)])]
    (fy, fx), (ny, nx) = ordered[0], ordered[-1]

    def ask(a: tuple[int, int], b: tuple[int, int]) -> Any:
        return desk.client.get(f"/api/order/{key}?ax={a[0]}&ay={a[1]}&bx={b[0]}&by={b[1]}")

    answer = ask((nx, ny), (fx, fy)).json
    assert answer["text"].startswith("A is nearer, by ")
    difference = float(sample.disparity[ny, nx] - sample.disparity[fy, fx])
    assert float(re.findall(r"[\d.]+", answer["text"])[0]) == pytest.approx(difference, abs=0.01)
    assert answer["points"][0]["basis"] == "measured"
    assert ask((fx, fy), (nx, ny)).json["text"].startswith("B is nearer")
    sky_y, sky_x = np.argwhere(sample.mask == Mask.SKY)[0]
    assert ask((sky_x, sky_y), (fx, fy)).json["text"] == "B is nearer: A is sky"
    assert ask((fx, fy), (fx, fy)).json["text"] == "A and B are equally far"
    for wrong in ((-1, 0), (240, 0), (0, 176)):
        assert ask(wrong, (0, 0)).status_code == 400
    assert desk.client.get(f"/api/order/{key}?ax=x").status_code == 400


def test_what_is_brushed_is_unknown_for_readers_and_exports_and_the_label_stays(desk: Desk, tmp_path: Path) -> None:
    key = desk.keys["good-meadow"]
    before, address = open_dataset(desk.folder)[key], f"/api/unknown/{key}"
    stored_label = {file: file.read_bytes() for file in desk.folder.rglob(f"*/{key}.png")}
    height, width = before.mask.shape
    assert desk.client.get(address).get_json() == {"runs": [height * width]}
    runs = [10 * width + 20, 30, height * width - 10 * width - 50]  # a line in row 10
    answer = desk.client.post(address, json={"runs": runs}, headers={"Origin": HERE})
    assert answer.get_json() == {"share": pytest.approx(30 / (height * width))}
    assert desk.client.get(address).get_json() == {"runs": runs}
    after = open_dataset(desk.folder)[key]
    wrong = np.zeros((height, width), bool)
    wrong[10, 20:50] = True
    assert np.isnan(after.disparity[wrong]).all()
    assert (after.mask[wrong] == Mask.UNKNOWN).all()
    assert not after.confidence[wrong].any()
    np.testing.assert_array_equal(after.disparity[~wrong], before.disparity[~wrong])
    assert {file: file.read_bytes() for file in stored_label} == stored_label
    export_dataset(desk.folder, "redweb-v1", tmp_path / "out", [key])
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / "masks" / f"{key}.png")), after.mask)
    desk.client.post(address, json={"runs": [height * width]}, headers={"Origin": HERE})  # erased
    np.testing.assert_array_equal(open_dataset(desk.folder)[key].mask, before.mask)
    assert not list((desk.folder / "unknown").iterdir())


def test_two_people_at_one_page_have_names_of_their_own(desk: Desk) -> None:
    key = desk.keys["good-meadow"]
    height, width = open_dataset(desk.folder)[key].mask.shape
    size = height * width

    def send(path: str, **body: Any) -> Any:
        return desk.client.post(path, json=body, headers={"Origin": HERE})

    strokes = {"ana": [0, 5, size - 5], "ben": [size - 9, 9]}
    for name, runs in strokes.items():
        assert send(f"/api/unknown/{key}", runs=runs, reviewer=name).status_code == 200
    lines = [json.loads(line) for line in (desk.folder / "marks.jsonl").read_text().splitlines()]
    assert [(line["key"], line["reviewer"], line["runs"]) for line in lines] == [
        (key, name, runs) for name, runs in strokes.items()
    ]
    assert desk.client.get(f"/api/unknown/{key}").get_json() == {"runs": strokes["ben"]}  # the last
    send("/api/decide", key=key, decision="reject", reviewer="ana")
    answer = send("/api/decide", key=key, decision="accept", reviewer=" ben ").get_json()["now"]
    assert (answer["verdict"], answer["disputed"]) == ("accept", True)
    answer = send("/api/undo", reviewer="ben").get_json()["now"]
    assert [verdict[:2] for verdict in answer["verdicts"]] == [["ana", "reject"]]
    for wrong in ("", "  ", "x" * 61, 7, ["ana"]):
        assert send("/api/decide", key=key, decision="accept", reviewer=wrong).status_code == 400


@pytest.mark.parametrize("runs", [None, [], [-1, 5], [1.5], ["9"], [True], [10**9], [1] * 20_001, {}])
def test_a_stroke_that_is_none_is_refused(desk: Desk, runs: Any) -> None:
    address = f"/api/unknown/{desk.keys['good-meadow']}"
    assert desk.client.post(address, json={"runs": runs}, headers={"Origin": HERE}).status_code == 400
    assert desk.client.post(address, json={"runs": runs}).status_code == 403
    assert not (desk.folder / "unknown").exists()


def test_a_row_without_a_height_is_refused(desk: Desk) -> None:
    table = pq.read_table(desk.folder / "manifest.parquet")
    place = table.column_names.index("height")
    nulls = pa.nulls(len(table), table.schema.field("height").type)
    pq.write_table(table.set_column(place, "height", nulls), desk.folder / "manifest.parquet")
    client, address = enter(desk.folder), f"/api/unknown/{desk.keys['good-meadow']}"
    assert client.get(address).status_code == 404
    assert client.post(address, json={"runs": [0, 1]}, headers={"Origin": HERE}).status_code == 404


@pytest.mark.parametrize("content", [b"[" * 60_000, b"{", b"\xff\xfe", b""])
def test_what_is_no_json_is_refused(desk: Desk, content: bytes) -> None:
    answer = desk.client.post("/api/decide", data=content, content_type="application/json", headers={"Origin": HERE})
    assert answer.status_code == 400
    assert answer.get_json()["error"]


def test_marks_are_not_written_or_read_through_links(desk: Desk, tmp_path: Path) -> None:
    key = desk.keys["good-meadow"]
    (tmp_path / "elsewhere").mkdir()
    (desk.folder / "unknown").symlink_to(tmp_path / "elsewhere")
    size = open_dataset(desk.folder)[key].mask.size
    answer = desk.client.post(f"/api/unknown/{key}", json={"runs": [0, size]}, headers={"Origin": HERE})
    assert answer.status_code == 507
    assert not list((tmp_path / "elsewhere").iterdir())
    Image.new("L", (240, 176), 255).save(tmp_path / "elsewhere" / f"{key}.png")
    with pytest.raises(StoreError):
        open_dataset(desk.folder)[key]


def test_decisions_are_kept_undone_and_found_again(desk: Desk) -> None:
    now = desk.decide("good-hut", "reject", "wrong-sky").json["now"]
    assert now["verdict"] == "reject"
    assert now["verdicts"][0][:3] == ["ana", "reject", "wrong-sky"]
    desk.decide("torn", "accept")
    desk.decide("good-room", "skip")
    later = enter(desk.folder)
    decided = later.get("/api/decisions").json
    assert {key: decision["verdict"] for key, decision in decided.items()} == {
        desk.keys["good-hut"]: "reject",
        desk.keys["torn"]: "accept",
        desk.keys["good-room"]: None,
    }
    undone = [later.post("/api/undo", json={}, headers={"Origin": HERE}).json for _ in range(4)]
    assert [decision and decision["key"] for decision in undone] == [
        desk.keys[n] for n in ("good-room", "torn", "good-hut")
    ] + [None]
    assert later.get("/api/decisions").json == {}
    assert len(read_decisions(desk.folder / FILE)[0]) == 6  # nothing was taken out of the file


def test_a_skip_leaves_the_verdict_and_is_what_undo_takes_back_first(desk: Desk) -> None:
    desk.decide("good-hut", "reject", "wrong-sky")
    assert desk.decide("good-hut", "skip").json["now"]["verdict"] == "reject"
    undone = [desk.client.post("/api/undo", json={}, headers={"Origin": HERE}).json["now"] for _ in range(2)]
    assert [decision["verdict"] for decision in undone] == ["reject", None]


def test_a_machine_without_a_user_name_asks_for_one(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found: 54321")

    monkeypatch.setattr("getpass.getuser", unknown)
    result = CliRunner().invoke(main, ["review", str(desk.folder), "--no-browser"])
    assert result.exit_code == 1
    assert "--reviewer" in result.output


@pytest.mark.parametrize("name", ["x" * 61, "  "])
def test_a_name_that_no_decision_can_have_is_refused_at_the_start(desk: Desk, name: str) -> None:
    result = CliRunner().invoke(main, ["review", str(desk.folder), "--no-browser", "--reviewer", name])
    assert result.exit_code == 2
    assert "--reviewer: a reviewer's name has 1 to 60 letters" in result.output


def test_reviewers_see_each_other_and_undo_their_own(desk: Desk) -> None:
    eve = enter(desk.folder, "eve")
    desk.decide("good-hut", "accept")
    wish = {"key": desk.keys["good-hut"], "decision": "reject", "reason": "x"}
    now = eve.post("/api/decide", json=wish, headers={"Origin": HERE}).json["now"]
    assert now["disputed"]
    undone = desk.client.post("/api/undo", json={}, headers={"Origin": HERE}).json["now"]
    assert [reviewer for reviewer, *_ in undone["verdicts"]] == ["eve"]
    append_decisions(desk.folder, [decide(desk.keys["torn"], "accept", "from elsewhere")])
    assert desk.keys["torn"] in desk.client.get("/api/decisions").json


@pytest.mark.parametrize(
    "wish",
    [{"key": "nothing", "decision": "accept"}, {"decision": "accept"}, {"key": "x", "decision": "undo"}, [], "x", {}],
)
def test_what_is_no_decision_is_refused(desk: Desk, wish: Any) -> None:
    answer = desk.client.post("/api/decide", json=wish, headers={"Origin": HERE})
    assert answer.status_code in (400, 404)
    assert answer.json["error"]
    assert not (desk.folder / FILE).exists()


def test_what_has_no_label_cannot_be_rescued(desk: Desk) -> None:
    answer = desk.decide("broken", "accept")
    assert answer.status_code == 404
    assert "no label" in answer.json["error"]
    assert desk.decide("broken", "reject", "unsuitable").status_code == 200


def test_a_decision_that_cannot_be_written_is_reported(desk: Desk) -> None:
    (desk.folder / FILE).mkdir()  # stands for a disk that is full or read-only
    answer = desk.decide("good-hut", "accept")
    assert answer.status_code == 507
    assert answer.json["error"].startswith("not saved")


def test_no_folder_is_made_for_decisions_about_a_set_that_was_moved(desk: Desk) -> None:
    assert desk.decide("good-hut", "reject").status_code == 200
    moved = desk.folder.rename(desk.folder.with_name("moved"))
    answer = desk.decide("good-hut", "reject")
    assert (answer.status_code, answer.json) == (507, {"error": "not saved: No such file or directory"})
    assert not desk.folder.exists()
    assert len(read_decisions(moved / FILE)[0]) == 1


def test_the_end_of_a_review_does_not_deny_decisions_that_were_moved_away(desk: Desk, review: Review) -> None:
    def visit(client: Any) -> None:
        wish = {"key": desk.keys["good-hut"], "decision": "reject"}
        url = f"http://{client.application.config['SERVER_NAME']}"
        assert client.post("/api/decide", json=wish, headers={"Origin": url}).status_code == 200
        desk.folder.rename(desk.folder.with_name("moved"))

    ending = review(visit)
    assert "Nothing was decided" not in ending
    assert f"{desk.folder} is no longer there" in ending.replace("\n", " ")


def test_a_page_that_is_loaded_again_has_what_was_curated_meanwhile(desk: Desk) -> None:
    assert "cross_agreement" not in desk.client.get("/api/samples").json["columns"]
    write_curation(desk.folder, Curation({}, {desk.keys["good-hut"]: 0.25}))
    table = desk.client.get("/api/samples").json
    agreement = {row[0]: row[table["columns"].index("cross_agreement")] for row in table["rows"]}
    assert agreement[desk.keys["good-hut"]] == 0.25


def test_a_damaged_curation_costs_its_figures_and_not_the_review(desk: Desk) -> None:
    (desk.folder / CURATION).write_text("{")
    table = desk.client.get("/api/samples").json
    assert "cross_agreement" not in table["columns"]
    assert f"{desk.folder / CURATION} cannot be used" in str(Session(desk.folder, "ana").refusal)


@pytest.mark.parametrize("kind", ["link", "hard link", "dangling link", "loop", "fifo"])
def test_decisions_are_not_written_through_what_is_no_plain_file(desk: Desk, tmp_path: Path, kind: str) -> None:
    startup, file = tmp_path / ".bashrc", desk.folder / FILE
    startup.write_text("alias ll='ls -l'\n")
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "hard link":
        os.link(startup, file)
    else:
        file.symlink_to({"link": startup, "dangling link": tmp_path / "new", "loop": file}[kind])
    client = enter(desk.folder)
    assert client.get("/api/decisions").json == {}
    answer = desk.decide("good-hut", "reject", "$(touch owned)")
    assert answer.status_code == 507
    assert answer.json["error"].startswith("not saved: ")
    assert startup.read_text() == "alias ll='ls -l'\n"
    assert not (tmp_path / "new").exists()


def test_what_keeps_the_review_from_starting_is_reported(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(main, ["review", str(desk.folder), "--no-browser", "--port", port])
    assert result.exit_code == 1
    assert f"port {port}" in result.output
    monkeypatch.setitem(sys.modules, "flask", None)
    monkeypatch.delitem(sys.modules, "redweb_builder.review.server")
    result = CliRunner().invoke(main, ["review", str(desk.folder), "--no-browser"])
    assert result.exit_code == 1
    assert "pip install 'redweb-builder[review]'" in result.output


def test_a_picture_of_a_changed_label_is_made_anew(desk: Desk) -> None:
    key = desk.keys["good-meadow"]
    before = desk.client.get(f"/picture/mask/{key}").data
    label = desk.folder / "RDs" / f"{key}.png"
    shutil.copy(desk.folder / "masks" / f"{desk.keys['good-room']}.png", desk.folder / "masks" / f"{key}.png")
    os.utime(label, ns=(1, 1))
    assert desk.client.get(f"/picture/mask/{key}").data != before


def test_a_linked_picture_cache_is_left_alone(
    review: Review, folder: Path, built: Any, tmp_path: Path, snapshot: Callable[[Path], dict[str, bytes]]
) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    for name in ("letter", f"{1:032x}", f".redweb-{1:016x}.part"):  # the last two as the cache calls its files
        (documents / name).write_text("the only copy")
    before = snapshot(documents)
    (folder / ".review").symlink_to(documents, target_is_directory=True)

    def look(client: Any) -> None:
        assert client.get(f"/picture/mask/{built.rows['good-hut']['key']}").status_code == 200

    assert ".review is a link" in review(look)
    assert snapshot(documents) == before


def test_a_clock_that_was_ahead_does_not_make_later_verdicts_void(
    review: Review, folder: Path, built: Any, tmp_path: Path
) -> None:
    """Theirs was a year ahead when they decided; Ana rejects the pair now."""
    key, theirs = built.rows["good-hut"]["key"], tmp_path / "theirs.jsonl"
    ahead = decide(key, "accept", "eve")
    ahead = replace(ahead, time=f"{int(ahead.time[:4]) + 1}-06-30{ahead.time[10:]}")
    theirs.write_text(json.dumps(asdict(ahead)) + "\n")

    def called(*arguments: object) -> str:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    def reject(client: Any) -> None:
        wish, origin = {"key": key, "decision": "reject", "reason": "dark"}, client.get("/").request.host_url
        assert client.post("/api/decide", json=wish, headers={"Origin": origin}).status_code == 200

    called("decisions", folder, theirs)
    review(reject)
    assert f"{key}: eve accept, ana reject" in called("decisions", folder)
    called("refilter", folder)
    assert key not in open_dataset(folder).keys
    called("report", folder)
    assert "ana" in (folder / "report.html").read_text()


# --- over the network --------------------------------------------------------------------------------------------


def connected(address: str) -> socket.socket:
    """A connection to the server of this machine; the tests' ban on networks is in the Python class alone."""
    place = urlsplit(address)
    opened = socket.socket()
    opened.settimeout(20)
    _socket.socket.connect(opened, (place.hostname, place.port))
    return opened


def test_half_sent_requests_do_not_keep_others_out(served: Callable[[], str]) -> None:
    address = served()
    half_sent = [connected(address) for _ in range(300)]
    halves = (b"GET / HTTP/1.1\r\nHost", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n{")
    for opened, half in zip(half_sent, cycle(halves), strict=False):
        opened.sendall(half)
    client = HTTPConnection(urlsplit(address).netloc)
    client.sock = connected(address)
    client.request("GET", urlsplit(address).path + "?" + urlsplit(address).query)
    assert client.getresponse().status == 302
    for waiting in half_sent:
        waiting.close()
    client.close()


# --- in a browser ------------------------------------------------------------------------------------------------


@pytest.fixture
def served(folder: Path, python: str, project: Path) -> Iterator[Callable[[], str]]:
    """served(): start the command on the folder as a reviewer would; the address that it prints."""
    started: list[subprocess.Popen[str]] = []

    def start() -> str:
        arguments = [python, "cli.py", "review", str(folder), "--reviewer", "ana", "--no-browser"]
        started.append(subprocess.Popen(arguments, cwd=project, stdout=subprocess.PIPE, text=True, env=plain))
        assert started[-1].stdout is not None
        for line in started[-1].stdout:
            if line.startswith("http://127.0.0.1:"):
                return line.strip()
        raise AssertionError("the server did not start")

    plain = {**os.environ, "PYTHONUNBUFFERED": "1"}
    yield start
    for server in started:
        server.kill()
        server.communicate()


def title(page: Any) -> str:
    return str(page.locator("#verdict h2").text_content())


def test_browser_decide_by_keys_and_find_it_again(
    served: Callable[[], str], folder: Path, built: Any, watched: Callable[..., Any]
) -> None:
    visit = watched()
    page = visit.page
    page.goto(served())
    page.wait_for_selector("body[data-ready]")
    assert "token" not in page.url
    keys = sorted(row["key"] for row in built.rows.values())
    assert title(page) == keys[0]
    visit.until("[...document.querySelectorAll('.sheet img')].every((image) => image.naturalWidth === 240)")

    page.keyboard.press("n")
    page.keyboard.type("ben")
    page.keyboard.press("Enter")
    visit.until("document.querySelector('#progress-text').textContent.includes('by ben')")
    page.keyboard.press("a")
    visit.until("(key) => document.querySelector('#verdict h2').textContent === key", keys[1])
    page.keyboard.press("u")
    visit.until("(key) => document.querySelector('#verdict h2').textContent === key", keys[0])
    page.keyboard.press("n")
    page.keyboard.type("ana")
    page.keyboard.press("Enter")
    page.keyboard.press("a")
    visit.until("(key) => document.querySelector('#verdict h2').textContent === key", keys[1])
    page.keyboard.press("r")
    page.keyboard.press("3")  # the third reason
    visit.until("(key) => document.querySelector('#verdict h2').textContent === key", keys[2])
    page.keyboard.press("x")
    visit.until("(key) => document.querySelector('#verdict h2').textContent === key", keys[3])
    page.keyboard.press("s")
    visit.until("(key) => document.querySelector('#verdict h2').textContent === key", keys[4])
    page.keyboard.press("u")
    visit.until("(key) => document.querySelector('#verdict h2').textContent === key", keys[3])
    made, damaged = read_decisions(folder / FILE)
    assert [d.reviewer for d in made[:2]] == ["ben", "ben"]
    assert {d.reviewer for d in made[2:]} == {"ana"}
    assert [(d.key, d.decision, d.reason) for d in made] == [
        (keys[0], "accept", None),
        (keys[0], "undo", None),
        (keys[0], "accept", None),
        (keys[1], "reject", "wrong-sky"),
        (keys[2], "reject", "eyes-swapped"),
        (keys[3], "skip", None),
        (keys[3], "undo", None),
    ]
    assert damaged == 0

    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert title(page) == keys[3]  # goes on where it was
    assert "3 of 14 by ana" in page.locator("#progress-text").text_content()
    page.keyboard.press("ArrowLeft")
    assert title(page) == keys[2]
    assert "eyes-swapped" in page.locator("#about").text_content()

    page.select_option("#queue", "mine")
    assert page.locator("#film button").count() == 3
    page.select_option("#queue", "all")
    page.select_option("#sort", "-agreement")
    best = max(built.rows.values(), key=lambda row: row["agreement"] or 0)["key"]
    page.keyboard.press("Home")
    assert title(page) == best
    assert visit.problems == []
    assert all(url.startswith((page.url, "data:")) for url in visit.requests)


def test_browser_looks(served: Callable[[], str], built: Any, watched: Callable[..., Any]) -> None:
    visit = watched()
    page = visit.page
    page.goto(served())
    page.wait_for_selector("body[data-ready]")
    page.fill("#search", "good-meadow")
    page.keyboard.press("Escape")
    page.locator("#search").blur()
    for key in "1234567893":
        page.keyboard.press(key)
        visit.until("[...document.querySelectorAll('.sheet img')].every((image) => image.naturalWidth > 0)")
    sample = open_dataset(built.out)[built.rows["good-meadow"]["key"]]
    page.locator("#least").fill("200")
    stays = round(100 * (sample.confidence >= 200).mean())
    visit.until(f"document.querySelector('#least-text').textContent === '200: {stays} % of the pixels stay'")
    assert page.locator("canvas.unsure").count() == 1
    page.locator("#least").fill("0")
    visit.until("!document.querySelector('canvas.unsure')")
    page.keyboard.press("3")
    page.keyboard.press("b")
    page.wait_for_selector("canvas.marked")
    sheet = page.locator(".sheet").first.bounding_box()
    page.mouse.move(sheet["x"] + sheet["width"] / 2, sheet["y"] + sheet["height"] / 2)
    page.mouse.down()
    page.mouse.move(sheet["x"] + sheet["width"] * 0.8, sheet["y"] + sheet["height"] / 2, steps=1)  # fast
    page.mouse.up()
    visit.until("document.querySelector('#message').textContent.includes('marked as unknown')")
    height, width = sample.mask.shape
    runs = page.evaluate("fetch('/api/unknown/' + sample().key).then((answer) => answer.json())")["runs"]
    assert from_runs(runs, height, width)[height // 2, width // 2 : round(0.78 * width)].all()  # no gap
    page.keyboard.press("b")
    left = page.evaluate("document.querySelector('#least').getBoundingClientRect().x")
    page.locator("#least").fill("128")
    visit.until("document.querySelector('#least-text').textContent.includes('stay')")
    assert page.evaluate("document.querySelector('#least').getBoundingClientRect().x") == left  # under the pointer
    page.locator("#least").focus()
    page.keyboard.press("Home")
    visit.until("document.querySelector('#least-text').textContent === 'off'")
    page.locator("#least").blur()
    page.keyboard.press("b")
    page.keyboard.press("b")
    page.keyboard.press("8")
    page.wait_for_selector(".sheet canvas")
    page.keyboard.press("d")
    box = page.locator("#stage").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.12)
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.92)
    visit.until("document.querySelector('#order').textContent.startsWith('B is nearer')")
    page.keyboard.press("z")
    assert "scale(2)" in page.locator(".sheet").first.get_attribute("style")
    page.keyboard.press("z")
    page.keyboard.press("f")
    visit.until("document.querySelector('#stage-status').textContent === 'right'")
    visit.until("document.querySelector('#stage-status').textContent === 'left'")
    page.keyboard.press("f")
    assert page.locator("#flicker").get_attribute("aria-pressed") == "false"
    page.keyboard.press("?")
    assert page.locator("#help").evaluate("(dialog) => dialog.open")
    assert visit.problems == []


def test_browser_hostile_names_are_text_and_phones_fit(
    served: Callable[[], str], folder: Path, watched: Callable[..., Any]
) -> None:
    rows = pq.read_table(folder / "manifest.parquet").to_pylist()
    for row in rows:
        row |= {"left": HOSTILE, "rule": HOSTILE, "detail": HOSTILE}
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "manifest.parquet")
    append_decisions(folder, [decide(rows[0]["key"], "reject", HOSTILE, HOSTILE)])
    visit = watched(width=390, height=800, theme="dark")
    visit.page.goto(served())
    visit.page.wait_for_selector("body[data-ready]")
    for _ in rows:
        assert HOSTILE in visit.page.locator("#about").text_content()
        visit.page.keyboard.press("ArrowRight")
    assert visit.page.evaluate("window.hit") is None
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert visit.problems == []


def test_browser_a_key_may_be_what_every_object_has(
    served: Callable[[], str], folder: Path, watched: Callable[..., Any]
) -> None:
    """One pair called `constructor` kept the whole set from being shown."""
    rows = pq.read_table(folder / "manifest.parquet").to_pylist()
    next(row for row in rows if row["key"] and not row["width"])["key"] = "constructor"
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "manifest.parquet")
    visit = watched()
    visit.page.goto(served())
    visit.page.wait_for_selector("body[data-ready]")
    visit.page.fill("#search", "constructor")
    visit.page.evaluate("document.activeElement.blur()")
    visit.page.keyboard.press("x")
    visit.until("document.querySelector('#progress-text').textContent.includes('1 of 14 by ana')")
    assert "eyes-swapped" in visit.page.locator("#about").text_content()
    assert visit.problems == []


def test_browser_long_words_of_people_fit_phones(
    desk: Desk, served: Callable[[], str], watched: Callable[..., Any]
) -> None:
    rejected = sorted(desk.keys.values())[0]
    append_decisions(desk.folder, [decide(rejected, "reject", "w" * 60, "w" * 120)])
    page = watched(width=320, height=640).page
    page.goto(served())
    page.wait_for_selector("body[data-ready]")
    page.evaluate("takeName('w'.repeat(60))")
    page.evaluate("go(0)")
    assert "w" * 120 in page.locator("#about").text_content()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert page.locator("#progress-text bdi").text_content() == "w" * 60  # a name from right to left leaves the rest


@pytest.fixture
def brushed(served: Callable[[], str], watched: Callable[..., Any]) -> Any:
    """The review page with the brush in hand, at its first pair that has a label."""
    visit = watched()
    visit.page.goto(served())
    visit.page.wait_for_selector("body[data-ready]")
    visit.page.select_option("#queue", "kept")
    visit.page.keyboard.press("3")
    visit.page.keyboard.press("b")
    visit.until("brush.key === sample().key")
    return visit


def begin_stroke(page: Any, across: float) -> None:
    """Paint a line and hold the button. page: with the brush in hand. across: where it begins, of the width."""
    sheet = page.locator(".sheet").first.bounding_box()
    x, y = sheet["x"] + across * sheet["width"], sheet["y"] + sheet["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 0.1 * sheet["width"], y, steps=4)


def marked(folder: Path, key: str, across: float) -> bool:
    """Whether a pixel in the middle row is marked. folder: the data set. key: of the pair. across: of the width."""
    with Image.open(folder / "unknown" / f"{key}.png") as picture:
        return bool(picture.getpixel((int(across * picture.width), picture.height // 2)))


def test_browser_a_stroke_stays_with_its_pair(brushed: Any, folder: Path) -> None:
    page, first = brushed.page, title(brushed.page)
    on_disk = "(key) => fetch(`/api/unknown/${key}`).then((answer) => answer.json()).then(({ runs }) => runs[1])"
    begin_stroke(page, 0.2)
    page.keyboard.press("ArrowRight")  # the button is still held
    brushed.until("(key) => brush.key && brush.key !== key", first)
    second = title(page)
    begin = page.locator(".sheet").first.bounding_box()
    page.mouse.move(begin["x"] + 40, begin["y"] + 40, steps=4)
    page.mouse.up()
    brushed.until(on_disk, first)
    assert marked(folder, first, 0.25)
    assert not (folder / "unknown" / f"{second}.png").exists()
    begin_stroke(page, 0.6)
    page.reload()
    brushed.until(on_disk, second)
    assert marked(folder, second, 0.65)


def test_browser_a_slow_stroke_takes_no_later_one_back(brushed: Any, folder: Path) -> None:
    page, key = brushed.page, title(brushed.page)
    held: list[Any] = []

    def hold(route: Any) -> None:
        if route.request.method == "GET" or held:
            route.continue_()
        else:
            held.append(route)

    page.route("**/api/unknown/*", hold)
    for across in (0.2, 0.6):
        begin_stroke(page, across)
        page.mouse.up()
    page.wait_for_timeout(500)
    held[0].continue_()
    brushed.until("saved.then(() => true)")
    assert marked(folder, key, 0.65)


def test_browser_marks_of_a_large_label_are_kept(brushed: Any, folder: Path) -> None:
    """Five strokes from top to bottom of 1800 rows have 70 KB, which neither the browser nor the server took."""
    key = title(brushed.page)
    brushed.page.evaluate("brush.wrong.fill(1, 0, brush.wrong.length / 2)")
    wish = "(key) => ask(`/api/unknown/${key}`, { runs: runsOf(brush.wrong), like_runs: 'x'.repeat(160000) })"
    assert brushed.page.evaluate(wish, key) == {"share": 0.5}
    assert (folder / "unknown" / f"{key}.png").is_file()


def test_browser_marks_that_could_not_be_read_stay(brushed: Any, folder: Path) -> None:
    page, key = brushed.page, title(brushed.page)
    begin_stroke(page, 0.2)
    page.mouse.up()
    brushed.until("document.querySelector('#message').textContent.includes('marked as unknown')")
    page.keyboard.press("ArrowRight")
    brushed.until("brush.key === sample().key")
    page.route("**/api/unknown/*", lambda route: route.abort())
    page.keyboard.press("ArrowLeft")
    brushed.until("document.querySelector('#message').textContent.startsWith('Nothing can be marked')")
    page.unroute("**/api/unknown/*")
    begin_stroke(page, 0.6)
    page.mouse.up()
    page.keyboard.press("3")  # asks again
    brushed.until("brush.key === sample().key")
    begin_stroke(page, 0.6)
    page.mouse.up()
    brushed.until("saved.then(() => true)")
    assert marked(folder, key, 0.25)
    assert marked(folder, key, 0.65)


def test_browser_a_palm_beside_the_pen_paints_nothing(brushed: Any, folder: Path) -> None:
    page, key = brushed.page, title(brushed.page)
    sheet = page.locator(".sheet").first.bounding_box()
    touches = page.context.new_cdp_session(page)

    def touch(kind: str, *places: float) -> None:
        middle = sheet["y"] + sheet["height"] / 2
        points = [{"id": n, "x": sheet["x"] + x * sheet["width"], "y": middle} for n, x in enumerate(places)]
        touches.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 0.1)
    touch("touchStart", 0.1, 0.9)
    touch("touchMove", 0.12, 0.88)
    touch("touchMove", 0.14, 0.86)
    touch("touchEnd")
    brushed.until("document.querySelector('#message').textContent.includes('marked as unknown')")
    assert marked(folder, key, 0.12)
    assert not any(marked(folder, key, across) for across in (0.5, 0.88))


def test_browser_decisions_on_a_slow_network_are_of_the_pair_that_was_seen(
    served: Callable[[], str], folder: Path, watched: Callable[..., Any]
) -> None:
    visit = watched()
    page = visit.page
    page.goto(served())
    page.wait_for_selector("body[data-ready]")
    first, second = page.evaluate("queue.slice(0, 2).map((pair) => pair.key)")
    held: list[Any] = []
    page.route("**/api/decide", lambda route: held.append(route))
    page.keyboard.press("s")
    visit.until("busy")
    page.keyboard.press("r")
    assert not page.locator("#reasons").evaluate("(dialog) => dialog.open")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("s")
    assert page.locator("#message").text_content().startswith("Not done")
    held[0].continue_()
    visit.until("!busy")
    assert title(page) == second  # not passed over
    assert [d.key for d in read_decisions(folder / FILE)[0]] == [first]
    page.keyboard.press("s")
    visit.until("busy")
    held[1].abort()
    visit.until("!busy")
    assert page.locator("#message").text_content() == "Not saved: the review does not answer; was it ended?"


def test_browser_why_a_picture_is_missing_is_not_said_of_the_next(
    served: Callable[[], str], watched: Callable[..., Any]
) -> None:
    visit = watched()
    page = visit.page
    page.goto(served())
    page.wait_for_selector("body[data-ready]")
    page.select_option("#queue", "kept")
    refused = {"status": 404, "json": {"error": "there is no right eye"}}
    held: list[Any] = []

    def refuse(route: Any) -> None:
        if route.request.resource_type == "image" or not held:
            route.fulfill(**refused)
        if route.request.resource_type != "image":
            held.append(route)

    page.route("**/picture/right/*", refuse)
    page.keyboard.press("6")
    visit.until("$('stage-status').textContent === 'there is no right eye'")
    page.keyboard.press("3")
    page.keyboard.press("6")
    while len(held) < 2:
        page.wait_for_timeout(20)
    page.keyboard.press("3")  # while the page still asks why
    held[1].fulfill(**refused)
    page.wait_for_timeout(200)
    assert page.locator("#stage-status").text_content() == ""


def test_browser_keys_work_beside_and_within_the_controls(
    served: Callable[[], str], watched: Callable[..., Any]
) -> None:
    visit = watched()
    page = visit.page
    page.goto(served())
    page.wait_for_selector("body[data-ready]")
    page.keyboard.press("b")
    page.click("#brush-erase")
    first = title(page)
    page.keyboard.press("ArrowRight")
    assert title(page) != first
    page.keyboard.press("Shift+Tab")
    page.focus("#sort")
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.id") == "sort"
    assert page.evaluate("$('sort').selectedIndex") == 2
    neighbour = page.locator("#film button").nth(3)
    chosen = neighbour.get_attribute("title")
    neighbour.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.title") == title(page) == chosen
    page.fill("#search", "no such name")
    page.locator("#search").blur()
    for key in "z+fbp":
        page.keyboard.press(key)
    assert visit.problems == []


def test_browser_a_finger_moves_the_enlarged_picture(served: Callable[[], str], watched: Callable[..., Any]) -> None:
    visit = watched(width=390, height=800)
    page = visit.page
    page.goto(served())
    page.wait_for_selector("body[data-ready]")
    page.click("#fit")
    box, before = page.locator("#stage").bounding_box(), page.evaluate("zoom.y")
    touches = page.context.new_cdp_session(page)
    for step in range(12):
        point = {"x": box["x"] + 100, "y": box["y"] + 150 - 5 * step}
        kind = "touchMove" if step else "touchStart"
        touches.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    touches.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    visit.until("(before) => zoom.y === before - 55", before)
    assert page.evaluate("scrollY") == 0


def test_browser_the_page_waits_for_its_last_script(served: Callable[[], str], watched: Callable[..., Any]) -> None:
    visit = watched()

    def late(route: Any) -> None:
        visit.page.wait_for_timeout(1000)
        route.continue_()

    visit.page.route("**/page/brush.js", late)
    visit.page.goto(served())
    visit.page.wait_for_selector("body[data-ready]")
    assert visit.problems == []


@pytest.mark.parametrize("width", [390, 1100])  # on a phone one finger scrolls the page
def test_browser_two_fingers_enlarge_what_is_between_them(
    width: int, served: Callable[[], str], watched: Callable[..., Any]
) -> None:
    visit = watched(width=width, height=800)
    page = visit.page
    page.goto(served())
    page.wait_for_selector("body[data-ready]")
    page.keyboard.press("3")
    box = page.locator("#stage").bounding_box()
    x, y = box["x"] + 0.5 * box["width"], box["y"] + 0.4 * box["height"]
    place = "([x, y], { left, top, width, height }) => [(x - left) / width, (y - top) / height]"
    seen = f"(at) => ({place})(at, sheets()[0].getBoundingClientRect())"
    before = page.evaluate(seen, [x, y])
    touches = page.context.new_cdp_session(page)

    def touch(kind: str, *apart: float) -> None:
        points = [{"id": n, "x": x, "y": y + px} for n, px in enumerate(apart)]
        touches.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", -20)
    touch("touchStart", -20, 20)
    for step in range(1, 6):
        touch("touchMove", -20 - 16 * step, 20)
    visit.until("zoom.scale > 2.9")
    touch("touchEnd", -100)
    touch("touchMove", -130)  # the finger that is left makes no jump and sets no point
    touch("touchEnd")
    assert page.evaluate("zoom.scale") == pytest.approx(3, abs=0.05)
    assert page.evaluate(seen, [x, y - 40]) == pytest.approx(before, abs=0.02)
    assert page.evaluate("[scrollY, points.length]") == [0, 0]
    assert visit.problems == []


def test_browser_a_pair_is_printed_whole(served: Callable[[], str], watched: Callable[..., Any]) -> None:
    visit = watched()
    page = visit.page
    page.goto(served())
    page.wait_for_selector("body[data-ready]")
    page.keyboard.press("z")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 700, "height": 990})
    box = "((element) => element.getBoundingClientRect())"
    visit.until(f"sheets().every((sheet) => {box}(sheet).width > 300 && {box}(sheet).right <= 700)")
    for sheet in page.locator(".sheet").all():
        assert sheet.evaluate(f"(sheet) => {box}(sheet).width / {box}(sheet).height") == pytest.approx(
            page.evaluate("sample().width / sample().height"), abs=0.02
        )
    assert page.evaluate(f"{box}($('stage')).bottom <= {box}($('about')).top")
    assert page.locator("#verdict h2").is_visible()
    assert not any(page.locator(name).is_visible() for name in ("#accept", "#film", "#views", ".theme"))
