"""The contact sheet: what its page is given, and the page itself in a real browser."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from catalogue.engine import Finished, RowState, RowTask
from catalogue.ledger import Ledger, line_of, read_ledger
from catalogue.report import THUMBNAIL, write_report
from catalogue.results import Results
from tests.catalogue.drawn_ledger import ERROR, WARNING, many_rows, write_ledger
from tests.comfyui.test_browser import FLAGS

NAMES = ("number", "name", "state", "seed", "seconds", "time", "warnings", "error", "host", "key",
         "person", "garments", "mask", "files", "thumbnails")  # fmt: skip


def head_of(report: Path) -> dict[str, Any]:
    page = (report / "index.html").read_text("utf-8")
    found = re.search(r'<script type="application/json" id="head">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def rows_in(report: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for number, path in enumerate(sorted((report / "data").iterdir())):
        found = re.fullmatch(rf"addRows\({number}, (.*)\)\n", path.read_text("utf-8"))
        assert found is not None
        for row in json.loads(found[1]):
            rows.append(dict(zip(NAMES, row, strict=True)))
    return rows


def thumbnail(report: Path, name: str) -> Image.Image:
    return Image.open(report / "thumbnails" / name[:2] / f"{name}.jpg")


def test_a_row_has_its_pictures_and_what_was_said_of_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    rows = many_rows(tmp_path / "in", 60, 3, 2)
    write_ledger(out, rows)
    report = write_report(str(out))
    assert (report.rows, report.lacking) == (60, 0)
    assert report.made == 3 + 2 + 2 * 59, "an input that stands in many rows is made once"
    assert report.page == str(out / "report" / "index.html")
    said = rows_in(out / "report")
    assert [row["number"] for row in said] == list(range(1, 61)), "in the manifest's order"
    seventh, failed = said[6], said[49]
    assert (seventh["name"], seventh["seed"], seventh["state"]) == ("look-00007", 6, "done")
    assert seventh["warnings"] == [WARNING] and not said[0]["warnings"]
    assert seventh["garments"] == [[str(address), kind] for address, kind in rows[6].garments]
    person, (garment,), mask, (result,) = seventh["thumbnails"]
    assert len({person, garment, mask, result}) == 4 and all((person, garment, mask, result))
    for name in (person, garment, mask, result):
        assert thumbnail(out / "report", name).size == (48, 64), "small ones are not enlarged"
    assert (out / seventh["mask"]).is_file() and (out / seventh["files"][0]).is_file()
    assert (failed["state"], failed["error"], failed["files"]) == ("failed", ERROR, [])
    assert failed["thumbnails"][0] and failed["thumbnails"][2:] == ["", []], "no result"
    head = head_of(out / "report")
    assert head["counts"] == {"done": 59, "kept": 0, "failed": 1, "warned": 8}
    assert head["messages"] == {"warnings": [[WARNING, 8]], "errors": [[ERROR, 1]]}
    assert head["base"] == "../" and head["total"] == 60


def test_thumbnails_are_made_once_and_are_small(tmp_path: Path) -> None:
    out = tmp_path / "out"
    rows = many_rows(tmp_path / "in", 4, 2, 1)
    large = Image.new("RGB", (900, 1200), (200, 30, 30))
    large.save(rows[0].person)
    write_ledger(out, rows[:2])
    first = write_report(str(out))
    name = rows_in(out / "report")[0]["thumbnails"][0]
    made = thumbnail(out / "report", name)
    assert made.size == THUMBNAIL and made.getpixel((9, 9))[0] > 190  # pyright: ignore
    before = {path: path.stat().st_mtime_ns for path in (out / "report/thumbnails").rglob("*.jpg")}
    assert len(before) == first.made
    assert write_report(str(out)).made == 0
    write_ledger(out, rows[2:])
    again = write_report(str(out))
    assert (again.rows, again.made) == (4, 4), "two results and two masks; the rest is there"
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_what_is_not_there_is_an_empty_place(tmp_path: Path) -> None:
    out = tmp_path / "out"
    rows = many_rows(tmp_path / "in", 3, 3, 1)
    write_ledger(out, rows, pictures=frozenset({1, 2}))
    Path(rows[0].person).unlink()
    other = Image.new("RGB", (48, 64))
    other.save(rows[1].person)  # not what the row was dressed with
    report = write_report(str(out))
    assert report.lacking == 3
    first, second, third = (row["thumbnails"] for row in rows_in(out / "report"))
    assert first[0] == second[0] == "" and third[0]
    assert first[3] != [""] and third[2:] == ["", [""]]


def test_a_run_without_masks_lacks_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_ledger(out, many_rows(tmp_path / "in", 2, 1, 1))
    shutil.rmtree(out / "masks")
    report = write_report(str(out))
    assert (report.made, report.lacking) == (4, 0)
    assert all(row["mask"] == row["thumbnails"][2] == "" for row in rows_in(out / "report"))


def test_the_last_line_of_a_row_counts_and_a_kept_one_has_what_was_said(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (row,) = many_rows(tmp_path / "in", 1, 1, 1)
    renamed = replace(row, number=2, name="renamed")
    results = Results(str(out))

    def enter(row: Any, state: RowState, **more: Any) -> None:
        with Ledger(str(out)) as ledger:
            finished = Finished(
                task=RowTask(row=row, key="ab" * 16, digests={}), state=state, **more
            )
            ledger.append(line_of(finished, results.files("ab" * 16, 1)))

    enter(row, RowState.FAILED, error=ERROR)
    enter(row, RowState.DONE, warnings=(WARNING,), seconds=2.5, host="there")
    enter(renamed, RowState.KEPT)
    write_report(str(out))
    first, second = rows_in(out / "report")
    assert (first["state"], first["error"]) == ("done", "")
    assert (second["state"], second["warnings"], second["host"]) == ("kept", [WARNING], "there")
    assert second["thumbnails"][0] == first["thumbnails"][0] != "", "hashed where it is not known"


def test_samples_and_outfits_are_all_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    row, other = many_rows(tmp_path / "in", 2, 1, 2)
    options = replace(row.options, num_images_per_prompt=3)
    row = replace(row, garments=row.garments + other.garments, options=options)
    results = Results(str(out))
    picture = Image.open(row.person)
    results.write("cd" * 16, [picture] * 3, picture.convert("L"))
    with Ledger(str(out)) as ledger:
        finished = Finished(task=RowTask(row=row, key="cd" * 16, digests={}), state=RowState.DONE)
        ledger.append(line_of(finished, results.files("cd" * 16, 3)))
    write_report(str(out))
    (said,) = rows_in(out / "report")
    _, garments, _, files = said["thumbnails"]
    assert len(set(garments)) == 2 and files == [f"{'cd' * 16}-{n}" for n in (1, 2, 3)]


def test_a_report_lies_where_it_is_asked_for(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    out, there = tmp_path / "out", tmp_path / "elsewhere"
    rows = many_rows(tmp_path / "in", 2, 1, 1)
    write_ledger(out, rows)
    report = write_report(str(out), str(there))
    assert report.page == str(there / "index.html") and not (out / "report").exists()
    assert head_of(there)["base"] == out.as_uri() + "/"
    store = fsspec.filesystem("memory")
    for path in out.rglob("*.*"):
        store.pipe_file(f"/reports/out/{path.relative_to(out).as_posix()}", path.read_bytes())
    report = write_report("memory://reports/out")
    assert (report.made, report.lacking) == (6, 0)
    assert store.exists("/reports/out/report/index.html")
    assert write_report("memory://reports/out").made == 0
    write_report("memory://reports/out", str(tmp_path / "here"))
    assert head_of(tmp_path / "here")["base"] is None, "no browser opens such an address"
    with pytest.raises(FileNotFoundError, match="There is no ledger in"):
        write_report(str(tmp_path / "none"))


@pytest.fixture(scope="module")
def browser() -> Generator[Any]:
    synchronous = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("There is no chromium on this machine.")
    with synchronous.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield running
        running.close()


@pytest.mark.slow
def test_files_are_found_and_linked(browser: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    rows = many_rows(tmp_path / "in", 3, 1, 1)
    write_ledger(out, rows)
    write_report(str(out))
    page = browser.new_page(locale="en-US")
    page.goto((out / "report" / "index.html").as_uri())
    page.get_by_text("look-00002", exact=True).wait_for()
    _, second, _ = read_ledger(str(out))
    for name in (second["files"][0], Results("").mask_file(second["key"])):
        page.get_by_role("searchbox").fill(name)
        page.wait_for_function("document.querySelector('#count').textContent == '1 of 3 rows'")
        assert page.locator(".name").all_inner_texts() == ["look-00002"]
    for address, link in {
        "https://h/a b.png": "https://h/a b.png",
        "/in/a b#.png": "file:///in/a%20b%23.png",
        r"C:\in\a.png": "file:///C:/in/a.png",
        r"\\nas\shop\a b.png": "file://nas/shop/a%20b.png",
        "s3://shop/a.png": None,
    }.items():
        assert page.evaluate("(address) => whole(address)", address) == link


@pytest.mark.slow
def test_ten_thousand_rows_in_a_browser(browser: Any, tmp_path: Path) -> None:
    """Opened from disk, searched, filtered, scrolled to its end; hostile texts stay texts."""
    out = tmp_path / "out"
    rows = many_rows(tmp_path / "in", 10_000)
    hostile = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
    rows[9998] = replace(rows[9998], name=f"</script>{hostile}")
    write_ledger(out, rows, pictures=frozenset({1, 2, 9_999, 10_000}))
    write_report(str(out))
    page = browser.new_page(viewport={"width": 1300, "height": 900}, locale="en-US")
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto((out / "report" / "index.html").as_uri())
    page.get_by_text("look-00001", exact=True).wait_for()
    assert sum("/data/" in url for url in requests) == 1, "only the rows on the screen are loaded"
    assert page.locator("#count").inner_text() == "10,000 of 10,000 rows"
    drawn = page.locator(".card").count()
    assert 0 < drawn < 60, "and drawn"
    shown = page.locator(".card").first.locator("img")
    page.wait_for_function("document.querySelector('.card img').naturalWidth > 0")
    assert shown.count() == 4

    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    page.get_by_text("look-10000", exact=True).wait_for()
    last = page.get_by_role("listitem").last
    assert last.get_attribute("aria-posinset") == last.get_attribute("aria-setsize") == "10000"
    assert page.locator(".card").count() < 60

    page.get_by_role("searchbox").fill("LOOK-04321")
    page.wait_for_function("document.querySelector('#count').textContent == '1 of 10,000 rows'")
    (name,) = page.locator(".name").all_inner_texts()
    assert name == "look-04321"
    page.locator(".strip").click()
    assert page.get_by_role("dialog").get_by_role("heading").inner_text() == "Row 4,321: look-04321"
    page.keyboard.press("Escape")

    page.get_by_role("searchbox").fill("")
    page.get_by_role("radio", name="failed 200").check()
    page.wait_for_function("document.querySelector('#count').textContent == '200 of 10,000 rows'")
    assert page.locator(".card .error").first.inner_text() == ERROR
    page.get_by_role("radio", name="all 10,000").check()
    page.locator("#message").select_option(label=f"{WARNING} (1,428)")
    page.wait_for_function("document.querySelector('#count').textContent == '1,428 of 10,000 rows'")
    page.locator("#message").select_option(index=0)

    page.get_by_role("searchbox").fill("hacked")
    page.wait_for_function("document.querySelector('#count').textContent == '1 of 10,000 rows'")
    assert page.locator(".name").inner_text() == f"</script>{hostile}"
    assert page.evaluate("window.hacked") is None and not problems
    assert all(url.startswith("file:") for url in requests), "nothing from the network"
    folder = os.environ.get("OOTD_SCREENSHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / "report.png"))
