"""The report: its figures against the manifest's, hostile names as text, and the page itself in a real browser."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from redweb_builder import open_dataset
from redweb_builder.dataset.curation import Curation, write_curation
from redweb_builder.dataset.decisions import append_decisions, decide
from redweb_builder.dataset.manifest import SCHEMA
from redweb_builder.filters.checks import Check
from redweb_builder.inspect.histogram import HEIGHT, WIDTH, histogram
from redweb_builder.inspect.report import funnel, write_report
from redweb_builder.inspect.table import is_borderline

HOSTILE = '<img src=x onerror="window.hit=1">\'&amp;</script><script>window.hit=1</script>/a/b/ключ %2e'


class Page(HTMLParser):
    """Tags with their attributes, and the text of scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture
def folder(built: Any, tmp_path: Path) -> Path:
    copy: Path = shutil.copytree(built.out, tmp_path / "set")
    write_report(copy)
    return copy


@pytest.fixture
def hostile(folder: Path) -> Path:
    """The set with a manifest that somebody made to break the page: names, reasons and details of markup."""
    rows = pq.read_table(folder / "manifest.parquet").to_pylist()
    for row in rows[::2]:
        row |= {"left": HOSTILE, "detail": HOSTILE, "rule": HOSTILE}
        if row["status"] == "rejected":
            row["reason"] = HOSTILE
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "manifest.parquet")
    write_report(folder)
    return folder


def data_of(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(max(page.texts, key=lambda text: len(text) if text.startswith("{") else 0))
    return found


def add_rejected(folder: Path, count: int) -> None:
    """Write so many more rejected pairs without a label into the manifest, so that the gallery is long."""
    rows = pq.read_table(folder / "manifest.parquet").to_pylist()
    rejected = next(row for row in rows if row["status"] == "rejected" and row["width"] is None)
    rows += [rejected | {"key": f"more-{number:08x}"} for number in range(count)]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "manifest.parquet")


# --- figures -----------------------------------------------------------------------------------------------------


def test_every_build_writes_a_report_that_asks_for_nothing_else(built: Any) -> None:
    page = Page((built.out / "report.html").read_text(encoding="utf-8"))
    assert next(a["id"] for tag, a in page.tags if tag == "section") == "pairs"  # pictures first
    for tag, attributes in page.tags:
        for name in ("src", "href"):
            address = attributes.get(name) or ""
            assert not re.match(r"(?i)https?:|//|/", address), (tag, address)
    assert "default-src 'none'" in next(a["content"] or "" for t, a in page.tags if a.get("http-equiv"))
    data = data_of(page)
    rows = [dict(zip(data["columns"], values, strict=True)) for values in data["rows"]]
    assert Counter(row["status"] for row in rows) == Counter(row["status"] for row in built.rows.values())
    for row in rows:
        if row["home"] is not None:
            assert (built.out / row["home"] / "Imgs" / f"{row['key']}.{row['image']}").is_file()
            assert (built.out / "previews" / f"{row['key']}.jpg").is_file()
            assert row["agreement"] == pytest.approx(built.rows[row["key"].rsplit("-", 1)[0]]["agreement"], rel=1e-3)


def test_the_funnel_loses_each_pair_once(built: Any) -> None:
    pairs = list(built.rows.values())
    steps = funnel(pa.Table.from_pylist(pairs, schema=SCHEMA))
    assert steps[0].left == len(pairs)
    assert steps[-1].left == sum(row["status"] == "kept" for row in pairs)
    for before, after in pairwise(steps):
        assert before.left - after.left == sum(count for _, count in after.lost)
    assert dict(steps[1].lost) == {"corrupt": 1}
    assert {reason for step in steps for reason, _ in step.lost} == {row["reason"] for row in pairs} - {None}


def test_the_report_tells_what_people_decided(built: Any, folder: Path) -> None:
    append_decisions(folder, [decide(built.rows["good-hut"]["key"], "reject", "ana", "wrong-edges")])
    html = write_report(folder).file.read_text(encoding="utf-8")
    assert "stayed after review" in html
    assert 'data-reason="wrong-edges"' in html


def test_a_report_is_the_same_every_time(folder: Path) -> None:
    before = (folder / "report.html").read_bytes()
    assert write_report(folder).file.read_bytes() == before


def bars(path: str) -> list[tuple[float, float, float]]:
    """Left, bottom and height of every bar of a path."""
    found = re.findall(r"M([\d.]+) ([\d.]+)v-([\d.]+)", path)
    return [(float(x), float(y), float(height)) for x, y, height in found]


def test_a_histogram_counts_every_pair_and_places_the_limit() -> None:
    kept, rejected = [0.5] * 3 + [0.9], [0.1, 0.1, float("nan")]
    drawn = histogram("agreement", kept, rejected, Check("not-stereo", "agreement", 0.6, True))
    assert drawn is not None
    heights = [sum(height for _, _, height in bars(path)) for path in (drawn.kept, drawn.rejected)]
    assert heights == pytest.approx([4 / 3 * HEIGHT, 2 / 3 * HEIGHT])
    assert drawn.missing == 1
    assert drawn.limit_x is not None
    assert drawn.low + drawn.limit_x / WIDTH * (drawn.high - drawn.low) == pytest.approx(0.6, abs=0.001)
    assert drawn.limit_text == "at least 60 %"
    assert histogram("agreement", [], [float("nan")], None) is None
    one_value = histogram("range_px", [3.0, 3.0], [], None)
    assert one_value is not None
    assert len(bars(one_value.kept)) == 1


def test_rejected_bars_stand_on_the_kept_ones() -> None:
    drawn = histogram("range_px", [1.0, 1.0, 5.0], [1.0], None)
    assert drawn is not None
    (first, *_), (on_top,) = bars(drawn.kept), bars(drawn.rejected)
    assert on_top[0] == first[0]
    assert on_top[1] == pytest.approx(first[1] - first[2], abs=0.01)


def test_borderline_is_near_a_limit_on_either_side() -> None:
    assert is_borderline({"margin": 0.05, "stage": None})
    assert is_borderline({"margin": 0.05, "stage": "filter"})
    assert not is_borderline({"margin": 0.05, "stage": "duplicate"})
    assert not is_borderline({"margin": 0.3, "stage": None})
    assert not is_borderline({"margin": None, "stage": "read"})


def test_hostile_names_are_text(hostile: Path) -> None:
    page = Page((hostile / "report.html").read_text(encoding="utf-8"))
    assert not [attributes for tag, attributes in page.tags if tag == "img"]  # the page makes its pictures itself
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert sum(tag == "script" for tag, _ in page.tags) == 2
    data = data_of(page)
    assert HOSTILE in [values[data["columns"].index("left")] for values in data["rows"]]


# --- in a browser ------------------------------------------------------------------------------------------------


def keys_shown(page: Any) -> list[str]:
    return list(page.locator(".card .key").all_text_contents())


def test_browser_filter_sort_and_look(folder: Path, built: Any, watched: Callable[..., Any]) -> None:
    visit = watched()
    page = visit.page
    page.goto((folder / "report.html").as_uri())
    rows = {row["key"]: row for row in built.rows.values()}
    assert sorted(keys_shown(page)) == sorted(rows)
    status = [rows[key]["status"] for key in keys_shown(page) if not is_borderline(rows[key])]
    assert status == sorted(status)  # kept ones first, from the worst on
    quality = [rows[key]["quality"] for key in keys_shown(page) if not is_borderline(rows[key])][: status.count("kept")]
    assert quality == sorted(quality)
    page.select_option("#sort", "key")
    assert keys_shown(page) == sorted(rows)
    page.select_option("#sort", "attention")
    visit.until("[...document.images].some((image) => image.complete && image.naturalWidth === 1460)")

    page.click("[data-status=rejected]")
    assert set(keys_shown(page)) == {key for key, row in rows.items() if row["status"] == "rejected"}
    page.click("[data-status=all]")
    page.click("[data-reason=textureless]")
    assert [rows[key]["reason"] for key in keys_shown(page)] == ["textureless"]
    page.click("[data-reason=textureless]")

    page.select_option("#sort", "range_px")
    page.click("#direction")
    measured = [rows[key]["range_px"] for key in keys_shown(page)]
    known = [value for value in measured if value is not None]
    assert known == sorted(known, reverse=True)
    assert measured[len(known) :] == [None] * (len(measured) - len(known))

    page.select_option("#add-range", "agreement")
    page.keyboard.type("90")  # percent; the box has the focus
    high = {key for key, row in rows.items() if row["agreement"] is not None and row["agreement"] >= 0.9}
    assert set(keys_shown(page)) == high
    page.click(".range button")
    assert len(keys_shown(page)) == len(rows)

    drawing = page.locator(".histogram[data-name=agreement] svg")
    drawing.scroll_into_view_if_needed()
    box = drawing.bounding_box()
    page.mouse.move(box["x"] + box["width"] - 1, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 40, steps=4)
    page.mouse.up()
    assert 0 < len(keys_shown(page)) < len(rows)
    drawing.click()
    assert len(keys_shown(page)) == len(rows)

    page.fill("#search", "good-hut")
    page.keyboard.press("Tab")
    page.locator(".card .open").focus()
    page.keyboard.press("Enter")
    visit.until("document.querySelector('#compare img.depth')?.naturalWidth === 240")
    page.focus("#cut")
    before = page.locator("#compare").evaluate("(frame) => frame.style.getPropertyValue('--cut')")
    page.keyboard.press("ArrowRight")
    assert page.locator("#compare").evaluate("(frame) => frame.style.getPropertyValue('--cut')") != before
    page.keyboard.press("Escape")
    assert not page.locator("#dialog").evaluate("(dialog) => dialog.open")
    assert visit.problems == []
    assert all(url.startswith(("file:", "data:")) for url in visit.requests)


def test_browser_goes_to_the_pair_of_the_address(folder: Path, built: Any, watched: Callable[..., Any]) -> None:
    visit = watched()
    page = visit.page
    key = built.rows["textureless"]["key"]
    page.goto(f"{(folder / 'report.html').as_uri()}#{key}")
    assert page.locator("#dialog-title").text_content() == key
    page.keyboard.press("j")
    other = page.locator("#dialog-title").text_content()
    assert other != key
    assert page.url.endswith(f"#{other}")
    page.keyboard.press("Escape")
    visit.until("location.hash === ''")


def test_browser_disputed_pairs_come_first(folder: Path, built: Any, watched: Callable[..., Any]) -> None:
    key = built.rows["good-hut"]["key"]
    append_decisions(folder, [decide(key, "accept", "ana"), decide(key, "reject", "ben", "wrong-sky")])
    write_report(folder)
    page = watched().page
    page.goto((folder / "report.html").as_uri())
    assert keys_shown(page)[0] == key
    page.click("[data-status=disputed]")
    assert keys_shown(page) == [key]


def test_browser_of_a_curated_set_the_least_agreement_comes_first(folder: Path, watched: Callable[..., Any]) -> None:
    kept = open_dataset(folder).keys
    write_curation(folder, Curation({}, {key: 0.9 - 0.1 * at for at, key in enumerate(kept)}))
    write_report(folder)
    page = watched().page
    page.goto((folder / "report.html").as_uri())
    assert keys_shown(page)[: len(kept)] == kept[::-1]


def test_a_damaged_curation_is_named_and_the_report_is_drawn_without_it(folder: Path) -> None:
    (folder / "curation.json").write_bytes(b"[]")
    drawn = write_report(folder)
    assert ["curation.json" in sentence for sentence in drawn.damaged] == [True]
    assert "cross_agreement" not in data_of(Page(drawn.file.read_text(encoding="utf-8")))["columns"]


def test_the_flicker_of_films_is_a_measurement_as_others(folder: Path) -> None:
    table = pq.read_table(folder / "manifest.parquet")
    flicker = [0.5 if status == "kept" else None for status in table["status"].to_pylist()]
    place = table.schema.get_field_index("flicker_px")
    pq.write_table(table.set_column(place, "flicker_px", pa.array(flicker, pa.float64())), folder / "manifest.parquet")
    page = Page(write_report(folder).file.read_text(encoding="utf-8"))
    assert data_of(page)["numbers"]["flicker_px"] == {"title": "flicker", "unit": "px"}
    assert any(values.get("data-name") == "flicker_px" for _, values in page.tags)


def test_browser_a_single_file_is_read_alone(
    folder: Path, built: Any, tmp_path: Path, watched: Callable[..., Any]
) -> None:
    (tmp_path / "mail").mkdir()
    alone = write_report(folder, tmp_path / "mail" / "report.html").file
    visit = watched()
    visit.page.goto(alone.as_uri())
    assert len(keys_shown(visit.page)) == len(built.rows)
    visit.page.fill("#search", built.rows["good-hut"]["key"])
    visit.page.click(".card .open")
    visit.page.select_option("#after", "confidence")
    visit.until("document.querySelector('#compare img.confidence')?.naturalWidth > 0")
    visit.until("document.querySelector('#compare .before img')?.naturalWidth === 1460")
    assert visit.problems == []
    assert all(url.startswith("data:") or url == alone.as_uri() for url in visit.requests)
    assert not [
        a
        for tag, a in Page(alone.read_text(encoding="utf-8")).tags
        if not (a.get("href") or "#").startswith(("#", "data:"))
    ]


def test_browser_depth_is_bright_where_near(folder: Path, built: Any, watched: Callable[..., Any]) -> None:
    """The colours that the SVG filter gives, against the label: what lies nearer is lighter."""
    visit = watched(width=1280, height=900)
    key = built.rows["good-hut"]["key"]
    visit.page.goto((folder / "report.html").as_uri())
    visit.page.fill("#search", key)
    visit.page.click(".card .open")
    visit.until("document.querySelector('#compare img.depth')?.naturalWidth === 240")
    visit.page.locator("#cut").fill("0")
    visit.page.wait_for_timeout(100)
    with Image.open(io.BytesIO(visit.page.locator("#compare").screenshot())) as shot:
        light = np.asarray(shot.convert("L").resize((240, 176), Image.Resampling.BOX), float)[8:-8, 12:-12]
    disparity = open_dataset(folder)[key].disparity[8:-8, 12:-12]
    known = np.isfinite(disparity)
    assert np.corrcoef(light[known], disparity[known])[0, 1] > 0.9


@pytest.mark.parametrize(("width", "theme"), [(390, "light"), (390, "dark"), (1280, "dark")])
def test_browser_fits_the_screen_and_the_theme(
    folder: Path, width: int, theme: str, watched: Callable[..., Any]
) -> None:
    visit = watched(width=width, theme=theme)
    visit.page.goto((folder / "report.html").as_uri())
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    paper = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
    dark = sum(map(int, re.findall(r"\d+", paper)[:3])) < 3 * 128
    assert dark == (theme == "dark")
    visit.page.click(".theme")  # system, light, dark
    visit.page.click(".theme")
    assert visit.page.evaluate("document.documentElement.dataset.theme") == "dark"
    visit.page.click(".card .open")
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    assert visit.problems == []


def test_browser_a_long_word_of_a_reviewer_fits_phones(folder: Path, built: Any, watched: Callable[..., Any]) -> None:
    append_decisions(folder, [decide(built.rows["good-meadow"]["key"], "reject", "ana", "w" * 120)])
    write_report(folder)
    page = watched(width=320, height=640).page
    page.goto((folder / "report.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_browser_what_is_chosen_is_seen_in_high_contrast(folder: Path, watched: Callable[..., Any]) -> None:
    page = watched().page
    page.emulate_media(forced_colors="active")
    page.goto((folder / "report.html").as_uri())

    def ground(selector: str) -> str:
        return str(page.locator(selector).first.evaluate("(element) => getComputedStyle(element).backgroundColor"))

    assert ground("[data-status=all]") != ground("[data-status=kept]")
    assert ground(".bar i") != ground(".bar")
    colours = page.locator(".legend i:not(.ramp)").evaluate_all(
        "(all) => all.map((swatch) => getComputedStyle(swatch).backgroundColor)"
    )
    assert len(set(colours)) == len(colours) == 4


def test_browser_a_finger_that_scrolls_filters_nothing(folder: Path, watched: Callable[..., Any]) -> None:
    visit = watched(width=390, height=800)
    page = visit.page
    page.goto((folder / "report.html").as_uri())
    drawing = page.locator(".histogram svg").first
    drawing.scroll_into_view_if_needed()
    box, before = drawing.bounding_box(), page.evaluate("scrollY")
    touches = page.context.new_cdp_session(page)
    for step in range(12):
        point = {"x": box["x"] + 60 + step, "y": box["y"] + 80 - 14 * step}
        kind = "touchMove" if step else "touchStart"
        touches.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    touches.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    visit.until("(before) => scrollY !== before", before)
    assert page.evaluate("state.ranges.size") == 0
    assert page.locator(".brush[visibility=visible]").count() == 0


def test_browser_the_dialog_keeps_its_keys_at_both_ends_and_fits_phones(
    folder: Path, watched: Callable[..., Any]
) -> None:
    page = watched(width=390, height=800).page
    page.goto((folder / "report.html").as_uri())
    page.locator(".card .open").first.click()
    page.evaluate("$('dialog-title').textContent = 'a_long_name_'.repeat(9)")
    assert page.evaluate("$('dialog').scrollWidth") <= 390
    last = page.evaluate("shown.length - 1")
    page.focus("#next")
    for _ in range(last):
        page.keyboard.press("Enter")
    page.wait_for_timeout(100)  # a frame, in which a focus upon what is disabled is lost
    assert page.evaluate("open") == last
    page.keyboard.press("k")
    assert page.evaluate("open") == last - 1


def test_browser_a_long_gallery_grows_when_it_is_read_alone(folder: Path, watched: Callable[..., Any]) -> None:
    """Below the gallery the window keeps its place while more is added above: it was added to no end."""
    add_rejected(folder, 400)
    write_report(folder)
    visit = watched()
    page, cards = visit.page, visit.page.locator(".card")
    page.goto((folder / "report.html").as_uri())
    page.click("a[href='#measurements']")
    page.wait_for_timeout(500)
    assert cards.count() == 40
    page.evaluate("setRange('texture', [0, Infinity])")  # as dragging across the histogram does
    page.evaluate("setRange('texture', null)")
    page.wait_for_timeout(500)
    assert cards.count() == 40
    page.locator("#shown").scroll_into_view_if_needed()
    page.mouse.move(600, 400)
    for _ in range(100):
        page.mouse.wheel(0, 400 if cards.count() == 40 else 0)
        page.wait_for_timeout(20)
    assert cards.count() == 80


def test_browser_a_report_is_printed_whole(folder: Path, watched: Callable[..., Any]) -> None:
    add_rejected(folder, 60)
    write_report(folder)
    page = watched(theme="dark").page
    page.goto((folder / "report.html").as_uri())
    page.evaluate("theme('dark')")
    assert page.locator(".card").count() == 40
    page.pdf()
    assert page.locator(".card").count() == page.evaluate("samples.length")
    page.emulate_media(media="print", color_scheme="dark")
    paper, legend = (page.locator(name).first for name in ("body", ".legend i"))
    assert paper.evaluate("(body) => getComputedStyle(body).backgroundColor") == "rgb(255, 255, 255)"
    assert legend.evaluate("(swatch) => getComputedStyle(swatch).printColorAdjust") == "exact"
    page.emulate_media(media="screen")
    page.click(".card .open")
    page.emulate_media(media="print")
    assert not page.locator("main").is_visible()  # an open pair is printed alone
    assert page.evaluate("[$('dialog'), $('about')].every((box) => box.scrollHeight <= box.clientHeight)")


def test_browser_a_damaged_side_is_said_beside_the_other(folder: Path, built: Any, watched: Callable[..., Any]) -> None:
    key = built.rows["good-hut"]["key"]
    (folder / "RDs" / f"{key}.png").write_bytes(b"no picture")
    visit = watched()
    visit.page.goto(f"{(folder / 'report.html').as_uri()}#{key}")
    visit.until("document.querySelector('.after .not-shown')")
    words = "(() => { const words = new Range(); words.selectNodeContents(document.querySelector('.after .not-shown'));"
    beginning = visit.page.evaluate(f"{words} return words.getBoundingClientRect().left; }})()")
    assert beginning >= visit.page.locator(".handle").bounding_box()["x"]  # not under the photograph


def test_browser_hostile_names_do_nothing(hostile: Path, watched: Callable[..., Any]) -> None:
    visit = watched()
    visit.page.goto((hostile / "report.html").as_uri())
    for at in range(visit.page.locator(".card").count()):
        visit.page.locator(".card .open").nth(at).click()
        visit.page.keyboard.press("Escape")
    assert visit.page.evaluate("window.hit") is None
    assert HOSTILE in visit.page.locator("body").text_content()
    assert visit.problems == []
    assert all(url.startswith(hostile.as_uri()) or url.startswith("data:") for url in visit.requests)


def test_browser_says_what_cannot_be_shown(folder: Path, built: Any, watched: Callable[..., Any]) -> None:
    key = built.rows["good-meadow"]["key"]
    (folder / "previews" / f"{key}.jpg").write_bytes(b"\xff\xd8 no picture")
    (folder / "RDs" / f"{key}.png").write_bytes(b"")
    view = watched()
    view.page.goto((folder / "report.html").as_uri())
    card = view.page.locator(".card", has_text=key)
    card.scroll_into_view_if_needed()
    view.until("document.querySelectorAll('.card .not-shown').length === 2")
    card.locator("button.open").click()
    view.page.select_option("#after", "depth")
    view.until("document.querySelector('#compare .after .not-shown') !== null")
    assert view.page.locator("#compare .not-shown").first.text_content() == "cannot be shown: damaged or missing"
    assert view.problems == []
