"""The main job, in a real browser against the portal as `make run` starts it: web server, broker, worker, real units.

A community officer logs an activity; the district's leader sees the new count within seconds and opens the record.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.test_serve import Portal, free_port

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

PASSWORD = "caring-demo-2026"
THEME = "敬老月“一碗长寿面”邻里活动𠮷"
COUNT = 'a[href^="/records/activities/"][href*="indicator=activities.count"]'
SECONDS = 15  # "within seconds", on a machine that does other things as well


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    running = Portal(tmp_path_factory.mktemp("portal"), free_port())
    try:
        running.await_ready()
        yield running
    finally:
        running.process.terminate()
        running.process.wait(30)


def signed_in(chromium: Browser, portal: Portal, username: str) -> Page:
    context = chromium.new_context(base_url=f"http://localhost:{portal.port}", locale="zh-CN")
    context.set_default_timeout(30_000)
    page = context.new_page()
    page.goto("/")
    page.fill("[name=username]", username)
    page.fill("[name=password]", PASSWORD)
    page.get_by_role("button", name="登录", exact=True).click()
    page.wait_for_url(lambda address: "/sign-in/" not in address)
    return page


def count_on(page: Page) -> int:
    """The district's number of love-education activities, exact, from the tile."""
    tile = page.locator(".portal-figure", has=page.locator(COUNT)).first
    shown = tile.locator(".portal-figure-value strong")
    exact = shown.locator("[title]").first
    text = (exact.get_attribute("title") if exact.count() else shown.inner_text()) or ""
    return int(re.sub(r"\D", "", text))


def awaited_count(page: Page, wanted: int) -> float:
    """Seconds until the page shows the count; it is looked at as a person would, by loading it again."""
    began = time.monotonic()
    while count_on(page) != wanted:
        assert time.monotonic() - began < SECONDS, f"{count_on(page)} instead of {wanted} after {SECONDS} s"
        page.wait_for_timeout(300)
        page.reload()
    return time.monotonic() - began


def test_the_leader_sees_what_the_officer_logged(chromium: Browser, portal: Portal) -> None:
    leader = signed_in(chromium, portal, "quld")
    leader.wait_for_url(re.compile(r"/statistics/units/331002/"))
    before = count_on(leader)

    officer = signed_in(chromium, portal, "chpsq")
    officer.goto("/records/activities/new/")
    assert officer.locator("html").get_attribute("lang") == "zh-Hans"
    officer.fill("[name=theme]", THEME)
    for name, value in (("series", "other"), ("setting", "community")):
        officer.locator(f"label:has(input[name={name}][value={value}])").click()
    officer.fill("[name=participants]", "46")
    officer.locator("button[name=save][value=once]").click()
    officer.wait_for_url(re.compile(r"/records/activities/\d+/$"))
    record = officer.url.split("/")[-2]
    assert THEME in officer.locator("h1").inner_text()

    leader.reload()
    seconds = awaited_count(leader, before + 1)
    print(f"counted after {seconds:.1f} s")

    # From the figure to the very record.
    leader.locator(COUNT).first.click()
    leader.wait_for_url(re.compile(r"/records/activities/\?"))
    leader.get_by_role("link", name=THEME).click()
    leader.wait_for_url(re.compile(rf"/records/activities/{record}/$"))
    assert "城隍浦社区" in leader.locator("main").inner_text()
    assert leader.locator("a[href$='/edit/']").count() == 0, "a leader reads"

    # Another district's or street's page is not this officer's.
    answer = officer.goto("/statistics/units/331002002/")
    assert answer
    assert answer.status == 403
    for page in (leader, officer):
        page.context.close()


def test_a_person_with_two_posts_changes_the_acting_unit(chromium: Browser, portal: Portal) -> None:
    """郑晓岚 works for the leading-group office of the district, and for a body of her own."""
    page = signed_in(chromium, portal, "office")
    acting = page.locator(".portal-acting summary")
    first = acting.inner_text()
    acting.click()
    page.locator(".portal-acting form button:not([aria-current])").first.click()
    page.wait_for_load_state()
    assert page.locator(".portal-acting summary").inner_text() != first
    page.context.close()
