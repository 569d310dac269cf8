"""Spreadsheets in a real browser: dropped, followed, looked at, entered, taken back; mended and dropped again.

The portal runs as `make run` starts it, with its worker. `--soak` drops the largest sheet there may be, too.
"""

from __future__ import annotations

import base64
import datetime as dt
import io
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import openpyxl
import pytest
import xlsxwriter
from django.test import Client

from programs.models import User
from reporting.models import Upload
from reporting.models.upload import State
from tests.browser.test_accessibility import SIDEWAYS, Watched, violations
from tests.browser.test_main_job import PASSWORD, awaited_count, count_on, signed_in
from tests.reporting.uploads.conftest import ACTIVITIES, Office, sheet_rows, workbook
from tests.test_serve import Portal, free_port

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.browser

DESK, TELEPHONE = 1280, 360
ROWS, MOST_ROWS = 3000, 50_000
PATIENCE = 120_000  # milliseconds, on a machine that does other things as well
HEADERS = ["序号", "活动名称", "系列", "场所", "活动日期", "活动地点", "参加人数", "活动内容"]
THEMES = [
    "“一堂感恩课”进校园",
    "敬老月慰问孤寡老人",
    "邻里百家宴",
    "升国旗仪式暨感恩教育",
    "重阳节长者生日会",
]
# What people write where something else belongs, by column.
MISTAKES = {1: "", 2: "七个一", 4: "三月初五", 6: "约五十人"}
MENDED = {1: "补上的活动名称", 2: "六个一", 4: dt.date(2025, 3, 5), 6: 50}


def ledger(rows: int, name: str, mistakes: int = 0, on: dt.date | None = None) -> bytes:
    """A ledger as offices keep them: a title over it, a row of totals below; mistakes in some rows; all of it on one
    day, or over a year that is past."""
    target = io.BytesIO()
    with xlsxwriter.Workbook(target, {"default_date_format": "yyyy-mm-dd", "constant_memory": True}) as book:
        sheet = book.add_worksheet("爱心教育活动")
        sheet.write(0, 0, f"城隍浦社区2025年台账（{name}）")
        sheet.write_row(1, 0, HEADERS)
        wrong = {number * (rows // mistakes): list(MISTAKES)[number % 4] for number in range(mistakes)}
        for number in range(rows):
            day = on or dt.date(2025, 1, 1) + dt.timedelta(days=number % 300)
            theme = f"{THEMES[number % 5]}{name}（第{number + 1}期）"
            cells = [
                number + 1,
                theme,
                "六个一",
                "社区",
                day,
                "社区文化礼堂",
                12 + number % 200,
                "现场温馨。",
            ]
            if number in wrong:
                cells[wrong[number]] = MISTAKES[wrong[number]]
            for column, cell in enumerate(cells):
                sheet.write(number + 2, column, cell)
        sheet.write_row(rows + 2, 0, ["合计", "", "", "", "", "", 1000])
    return target.getvalue()


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    running = Portal(tmp_path_factory.mktemp("portal"), free_port())
    try:
        running.await_ready()
        yield running
    finally:
        running.process.terminate()
        running.process.wait(30)


@pytest.fixture
def officer(chromium: Browser, portal: Portal) -> Iterator[Page]:
    page = signed_in(chromium, portal, "chpsq")
    yield page
    page.context.close()


DROP = """([name, content]) => {
  const bytes = Uint8Array.from(atob(content), (char) => char.charCodeAt(0))
  const dragged = new DataTransfer()
  dragged.items.add(new File([bytes], name))
  const area = document.querySelector('[data-drop-area]')
  for (const type of ['dragover', 'drop'])
    area.dispatchEvent(new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer: dragged }))
}"""


def drop(page: Page, name: str, content: bytes) -> None:
    """Drag the file onto the page and send it; the page of the upload comes by itself."""
    page.goto("/uploads/")
    page.evaluate(DROP, [name, base64.b64encode(content).decode()])
    assert name in page.locator("[data-file-list]").inner_text()
    page.keyboard.press("Enter")  # the button has the focus
    page.wait_for_url(re.compile(r"/uploads/[0-9a-f-]{36}/$"), timeout=PATIENCE)


def numbers(page: Page) -> list[int]:
    """Rows read, new, changed, known already, refused, left out."""
    found = page.locator(".upload-numbers dd").all_inner_texts()
    return [int(text.replace(",", "")) for text in found]


def count_of_records(page: Page) -> int:
    page.goto("/records/activities/")
    page.wait_for_selector("#list-count:not([hx-get])")
    return int(re.sub(r"\D", "", page.locator("#list-count").inner_text()))


@pytest.mark.parametrize("rows", [ROWS, pytest.param(MOST_ROWS, marks=pytest.mark.soak)])
def test_from_the_drop_to_the_records_and_back(rows: int, officer: Page) -> None:
    page = officer
    before = count_of_records(page)
    began = time.monotonic()
    drop(page, "三月台账.xlsx", ledger(rows, f"整本{rows}"))
    # Nobody loads the page again: it follows the work.
    page.evaluate("window.stayed = true")
    page.wait_for_selector("#found-title", timeout=PATIENCE)
    previewed = time.monotonic() - began
    assert page.evaluate("window.stayed")
    found = numbers(page)
    assert found == [rows + 1, rows, 0, 0, 0, 1]
    assert found[0] == sum(found[1:])
    assert THEMES[0] in page.locator(".upload-sample").inner_text()
    assert count_of_records(page) == before

    page.go_back()
    confirm = page.locator(".upload-confirm button.btn-primary")
    assert f"{rows:,}" in confirm.inner_text()
    began = time.monotonic()
    confirm.dblclick()
    page.wait_for_selector("#done-title", timeout=PATIENCE)
    entered = time.monotonic() - began
    assert page.locator("#messages .alert").count() == 0, "a double click is no mistake"
    upload = page.url
    page.locator("a[href*='?upload=']").click()
    page.wait_for_selector("#list-count:not([hx-get])")
    shown = int(re.sub(r"\D", "", page.locator("#list-count").inner_text()))
    assert shown == min(rows, 10_000)
    page.locator("a.portal-row-link").first.click()
    page.get_by_role("link", name="三月台账.xlsx").click()
    assert page.url == upload
    assert count_of_records(page) == min(before + rows, 10_000)

    page.goto(upload)
    page.locator("a[href$='/undo/']").click()
    page.locator("form.portal-confirm button.btn-danger").click()
    page.wait_for_selector("#undone-title", timeout=PATIENCE)
    assert f"{rows:,}" in page.locator(".upload-outcome").inner_text()
    assert count_of_records(page) == before
    print(f"{rows} rows: previewed after {previewed:.1f} s, entered after {entered:.1f} s more")


def test_the_figure_follows_the_rows(chromium: Browser, portal: Portal, officer: Page) -> None:
    """The leader of the district sees exactly these rows more, and none of them once they are taken back."""
    leader, rows = signed_in(chromium, portal, "quld"), 120
    before, known = count_on(leader), count_of_records(officer)
    drop(officer, "当日台账.xlsx", ledger(rows, "当日", on=dt.date.today()))
    officer.wait_for_selector("#found-title", timeout=PATIENCE)
    leader.reload()
    assert count_on(leader) == before, "a preview is no record"
    officer.locator(".upload-confirm button.btn-primary").click()
    officer.wait_for_selector("#done-title", timeout=PATIENCE)
    upload = officer.url
    awaited_count(leader, before + rows)
    assert count_of_records(officer) == known + rows

    officer.goto(upload)
    officer.locator("a[href$='/undo/']").click()
    officer.locator("form.portal-confirm button.btn-danger").click()
    officer.wait_for_selector("#undone-title", timeout=PATIENCE)
    awaited_count(leader, before)
    assert count_of_records(officer) == known
    leader.context.close()


def test_a_reload_and_a_second_tab_show_the_truth(officer: Page) -> None:
    first, rows = officer, 8000
    before = count_of_records(first)
    drop(first, "两个窗口.xlsx", ledger(rows, "两个窗口"))
    second = first.context.new_page()
    second.goto(first.url)
    for page in (first, second):
        page.reload()  # in the middle of the work
    for page in (first, second):
        page.wait_for_selector("#found-title", timeout=PATIENCE)
        assert numbers(page) == [rows + 1, rows, 0, 0, 0, 1]

    second.locator(".upload-confirm button.btn-primary").click()
    second.wait_for_selector("#upload-now, #done-title")
    # The first tab still shows the preview: what it asks for is being done already.
    first.locator(".upload-confirm button.btn-primary").click()
    first.wait_for_selector("#upload-now, #done-title")
    assert first.locator("#messages .alert").count() == 0
    second.reload()
    for page in (first, second):
        page.wait_for_selector("#done-title", timeout=PATIENCE)
    second.close()
    assert count_of_records(first) == before + rows


def test_a_file_of_strange_headers_leads_to_its_columns(officer: Page) -> None:
    """One click from the refusal to the columns, and from there to the preview."""
    page = officer
    rows = [["唱了歌", "六个一", "社区", dt.date(2025, 5, day), 20 + day] for day in range(1, 8)]
    target = io.BytesIO()
    with xlsxwriter.Workbook(target, {"default_date_format": "yyyy-mm-dd"}) as book:
        sheet = book.add_worksheet("五月")
        sheet.write_row(0, 0, ["做了什么", "哪一类", "哪里办的", "啥时候", "来了几个"])
        for number, row in enumerate(rows, 1):
            for column, cell in enumerate(row):
                sheet.write(number, column, cell)
    drop(page, "自编表头.xlsx", target.getvalue())
    page.wait_for_selector("#ended-title", timeout=PATIENCE)
    page.locator("[aria-labelledby=ended-title] a.btn-primary[href*='/columns/']").click()
    for at, field in enumerate(["theme", "series", "setting", "occurred_on", "participants"]):
        page.select_option(f"[name=column-{at}]", field)
    page.locator(".portal-form-buttons button.btn-primary").click()
    page.wait_for_selector("#found-title", timeout=PATIENCE)
    assert numbers(page) == [len(rows), len(rows), 0, 0, 0, 0]


def test_mistakes_are_mended_in_the_marked_workbook_and_brought_again(officer: Page, tmp_path: Path) -> None:
    page, mistakes = officer, 40
    before = count_of_records(page)
    drop(page, "带错的台账.xlsx", ledger(400, "带错", mistakes))
    page.wait_for_selector("#found-title", timeout=PATIENCE)
    assert numbers(page) == [401, 360, 0, 0, mistakes, 1]
    assert page.locator(".upload-problems .upload-remarks tbody tr").count() == 20
    page.locator(".upload-more-link a").first.click()
    assert page.locator(".upload-remarks tbody tr").count() == mistakes
    page.go_back()
    page.locator(".upload-confirm button.btn-primary").click()
    page.wait_for_selector("#done-title", timeout=PATIENCE)
    assert count_of_records(page) == before + 360
    page.go_back()

    with page.expect_download() as download:
        page.locator("a[href$='/marked/']").click()
    marked = tmp_path / "marked.xlsx"
    download.value.save_as(marked)
    assert download.value.suggested_filename.endswith(".xlsx")
    book = openpyxl.load_workbook(marked)
    sheet = book["爱心教育活动"]
    mended = 0
    for row in sheet.iter_rows(min_row=3):
        for cell in row[: len(HEADERS)]:
            if cell.comment is not None:
                cell.value, mended = MENDED[cell.column - 1], mended + 1
                if cell.column == 2:
                    cell.value = f"{cell.value}{cell.row}"
    assert mended == mistakes
    again = io.BytesIO()
    book.save(again)

    drop(page, "带错的台账（已改）.xlsx", again.getvalue())
    page.wait_for_selector("#found-title", timeout=PATIENCE)
    assert numbers(page) == [401, mistakes, 0, 360, 0, 1], "what is entered already is recognised"
    page.locator(".upload-confirm button.btn-primary").click()
    page.wait_for_selector("#done-title", timeout=PATIENCE)
    assert count_of_records(page) == before + 400


def test_it_works_without_scripts(chromium: Browser, portal: Portal, tmp_path: Path) -> None:
    """A plain form, and a page that loads itself again."""
    context = chromium.new_context(
        base_url=f"http://localhost:{portal.port}", locale="zh-CN", java_script_enabled=False
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto("/")
    page.fill("[name=username]", "hmjd")
    page.fill("[name=password]", PASSWORD)
    page.locator("form button[type=submit]").last.click()
    page.goto("/uploads/")
    path = tmp_path / "无脚本.xlsx"
    path.write_bytes(ledger(50, "无脚本"))
    page.set_input_files("input[type=file]", path)
    page.locator("#drop button[type=submit]").click()
    page.wait_for_selector("#found-title")
    page.locator(".upload-confirm button.btn-primary").click()
    page.wait_for_selector("#done-title")
    assert numbers(page)[1] == 50
    context.close()


def test_what_cannot_be_sent_is_said_before_it_is_sent(officer: Page) -> None:
    officer.goto("/uploads/")
    sent: list[str] = []
    officer.on("request", lambda request: sent.append(request.method))
    officer.evaluate(DROP, ["会议纪要.docx", base64.b64encode(b"x").decode()])
    officer.keyboard.press("Enter")
    assert "会议纪要.docx" in officer.locator(".portal-file-wrong").inner_text()
    officer.wait_for_timeout(300)
    assert "POST" not in sent
    # What only the server knows comes back beside the field, without leaving the page.
    officer.evaluate(DROP, ["空的.xlsx", ""])
    officer.keyboard.press("Enter")
    officer.wait_for_selector(".portal-field-error")
    assert officer.url.endswith("/uploads/")
    # And a file can still be dropped onto the form that came back.
    officer.evaluate(DROP, ["好的.xlsx", base64.b64encode(ledger(3, "好的")).decode()])
    officer.keyboard.press("Enter")
    officer.wait_for_selector("#found-title", timeout=PATIENCE)


# --- how it looks ---------------------------------------------------------------------------------


@pytest.fixture
def uploads(
    transactional_db: None, tree: SimpleNamespace, people: SimpleNamespace
) -> tuple[User, dict[str, Upload]]:
    """One in each state, of a sheet with mistakes."""
    from django.utils import timezone

    office, found = Office(people.community_officer, tree.own), {}
    now, by = timezone.now(), people.community_officer
    for state in State.values:
        rows = [
            *sheet_rows(ACTIVITIES, range(12), place=f"文化礼堂{state}"),
            *sheet_rows(ACTIVITIES, range(20, 40), participants="许多人" * 9),
        ]
        upload = office.previewed(
            workbook(("台账", ACTIVITIES, rows), salt=state), name=f"很长的文件名的台账{state}.xlsx"
        )
        values: dict[str, Any] = {"state": state}
        if state in {State.APPLIED, State.UNDOING, State.UNDONE}:
            values |= {"confirmed_by": by, "confirmed_at": now, "applied_at": now, "written_new": 12}
        if state in {State.REFUSED, State.FAILED}:
            values |= {"message": "工作表“台账”缺少以下列：主题、日期、参加人次。", "ended_at": now}
        Upload.objects.filter(pk=upload.pk).update(**values)
        found[state] = upload
    return by, found


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("width", [DESK, TELEPHONE])
def test_every_state_is_open_to_all(
    width: int,
    uploads: tuple[User, dict[str, Upload]],
    browse: Callable[..., BrowserContext],
    sign_in: Callable[[User], Client],
) -> None:
    by, found = uploads
    watched = Watched(browse(sign_in(by), width=width, reduced_motion="reduce").new_page())
    faults = []
    for state, upload in found.items():
        # One that is followed is never idle.
        watched.complaints.clear()
        watched.page.goto(f"/uploads/{upload.public_id}/", wait_until="load")
        for fold in watched.page.locator("details.upload-fold:not([open]) > summary").all():
            fold.click()
        found_here = [
            *watched.complaints,
            *watched.page.evaluate(SIDEWAYS),
            *violations(watched.page),
        ]
        faults += [f"{state}: {fault}" for fault in found_here]
    for address in ("/uploads/", f"/uploads/{found[State.PREVIEWED].public_id}/sheets/0/columns/"):
        watched.page.goto(address, wait_until="load")
        faults += [
            f"{address}: {fault}" for fault in (*watched.page.evaluate(SIDEWAYS), *violations(watched.page))
        ]
    assert not faults, "\n".join(faults[:30])
