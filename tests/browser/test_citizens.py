"""A citizen's end of listening, in a browser: scan, write, keep the code, follow it, not be content."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.core.cache import cache

from outreach.actions.opinions import take_step
from outreach.models import Opinion
from outreach.models.opinion import State
from programs.access import Actor

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
AXE = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"]},
    "resultTypes": ["violations"],
}


def faults(page: Page) -> list[str]:
    found = [f"{page.url} {v['id']}" for v in Axe().run(page, options=AXE).response["violations"]]
    wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    return [*found, *([f"{page.url} scrolls sideways"] if wide else [])]


def proven(page: Page) -> None:
    """Waits until the proof of work is done; the policy of the page lets no test put code into it."""
    for _time in range(100):
        if page.locator("[name=proof]").input_value():
            return
        page.wait_for_timeout(100)
    raise AssertionError("the browser has not done its work")


def write(page: Page, unit: Any) -> str:
    """Fills in the form of the unit and sends it; the tracking code that is shown."""
    page.goto(f"/say/{unit.code}/")
    page.select_option("[name=category]", "environment")
    page.fill("[name=content]", "解放路的垃圾三天没有清运 <b>急</b>")
    page.fill("[name=location]", "解放路12号")
    proven(page)
    page.click(".say-send")
    return page.locator("[data-say-code]").inner_text()


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_the_citizens_end(
    browse: Callable[..., BrowserContext], tree: SimpleNamespace, people: SimpleNamespace, language: str
) -> None:
    cache.clear()
    context = browse(width=360)
    page = context.new_page()
    page.goto("/say/")
    context.add_cookies([{"name": "django_language", "value": language, "url": page.url}])
    wrong = []
    for address in ("/say/", f"/say/{tree.own.code}/", "/say/track/", f"/say/{tree.own.code}/answers/"):
        page.goto(address)
        wrong += faults(page)
    code = write(page, tree.own)
    wrong += faults(page)
    opinion = Opinion.objects.get()
    for step, given in (
        ("accept", {}),
        ("start", {}),
        ("answer", {"answer": "垃圾已经清运。", "outcome": "solved"}),
    ):
        officer = Actor.of(people.community_officer)
        opinion = take_step(by=officer, opinion=opinion, transition=step, version=opinion.version, **given)

    page.goto(f"/say/track/#{code}")  # as the code of the slip leads there
    assert page.locator("[name=code]").input_value() == code
    assert code not in page.url
    page.click(".say-send")
    assert "垃圾已经清运" in page.locator(".say-answer").inner_text()
    wrong += faults(page)
    page.locator("label", has=page.locator("[value=dissatisfied]")).click()
    page.click(".say-send")
    page.locator(".alert-success").wait_for()
    opinion.refresh_from_db()
    assert opinion.state == State.HANDLING
    assert page.locator(".say-answer").count() == 0
    assert wrong == []


def test_without_javascript_it_takes_a_little_longer(
    browse: Callable[..., BrowserContext], tree: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.clear()
    page = browse(width=360, java_script_enabled=False).new_page()
    page.goto(f"/say/{tree.own.code}/")
    page.select_option("[name=category]", "order")
    page.fill("[name=content]", "路灯不亮")
    page.click(".say-send")
    assert page.locator("[name=content]").input_value() == "路灯不亮"
    assert not Opinion.objects.exists()
    monkeypatch.setattr("outreach.flood.PLAIN_WAIT_SECONDS", 0)
    page.click(".say-send")
    assert page.locator("[data-say-code]").inner_text()
    assert Opinion.objects.get().content == "路灯不亮"
