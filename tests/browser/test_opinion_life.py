"""The whole life of an opinion, in browsers: citizen, community, department, street and office, each at their own."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from django.core.cache import cache
from django.utils import timezone

from outreach.models import Opinion
from outreach.models.opinion import State
from programs.models import AuditEvent, Unit
from reporting import statistics
from reporting.figures import figures
from tests.browser.test_citizens import faults, write
from tests.outreach.test_life_model import recomputed

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

REFUSAL = "不属公安职责，请街道办理"
FIRST, SECOND = "已派车清运", "已清运并每日巡查"
FIGURES = ("collected", "answered", "solved", "on_time", "revisited", "satisfied")


class Desk:
    """One person's browser, on the pages of one opinion."""

    def __init__(self, page: Page, opinion: Opinion) -> None:
        self.page, self.opinion = page, opinion
        self.address = f"/records/opinions/{opinion.pk}/"

    def status(self) -> int:
        answer = self.page.goto(self.address)
        return answer.status if answer else 0

    def press(self, step: str) -> None:
        """The one click of the page, for a step that asks for nothing."""
        self.page.goto(self.address)
        self.page.locator(f'form[action$="/steps/{step}/"] button').click()
        self.taken(step)

    def open(self, step: str) -> None:
        """Follow the link of the step from the page of the opinion, out of the menu if it is not the likely one."""
        self.page.goto(self.address)
        link = self.page.locator(f'a[href$="/steps/{step}/"]')
        if not link.is_visible():
            self.page.locator(".opinion-more summary").click()
        link.click()
        self.page.wait_for_url(re.compile(rf"/steps/{step}/$"))

    def send(self, step: str) -> None:
        self.page.locator("form.portal-confirm button[type=submit]").click()
        self.page.wait_for_url(re.compile(rf"{self.address}$"))
        self.taken(step)

    def taken(self, step: str) -> None:
        self.page.locator(".alert-success").wait_for()
        last = self.opinion.steps.last()
        assert last is not None
        assert last.transition == step

    def assign(self, unit: Unit) -> None:
        self.open("assign")
        self.page.locator("[role=combobox]").fill(unit.name)
        self.page.locator("[role=option]", has_text=unit.name).first.click()
        self.send("assign")

    def choose(self, name: str, value: str) -> None:
        self.page.locator(f"label:has(input[name={name}][value={value}])").click()

    def answer(self, text: str, outcome: str) -> None:
        self.open("answer")
        self.choose("outcome", outcome)
        self.page.fill("[name=answer]", text)
        self.send("answer")

    def revisit(self, satisfaction: str) -> None:
        self.open("revisit")
        self.choose("satisfaction", satisfaction)
        self.send("revisit")

    def give_reason(self, step: str, reason: str) -> None:
        self.open(step)
        self.page.fill("[name=reason]", reason)
        self.send(step)

    def offers(self) -> set[str]:
        """The steps that the page offers, by code."""
        self.page.goto(self.address)
        places = self.page.locator('[href*="/steps/"], form[action*="/steps/"]')
        found = places.evaluate_all("all => all.map(one => one.getAttribute('href') || one.action)")
        return {address.rstrip("/").rsplit("/", 1)[1] for address in found}


def follow(page: Page, code: str) -> str:
    """What the citizen reads under the code."""
    page.goto("/say/track/")
    page.fill("[name=code]", code)
    page.click(".say-send")
    page.locator(".say-state").wait_for()
    return page.locator("main").inner_text()


def counted(unit: Unit) -> dict[str, int]:
    """The month's figures of a unit, after they were counted anew: those it leads."""
    return {name: int(figure.value) for name, figure in _figures(unit).items()}


def counted_apart(unit: Unit) -> dict[str, int]:
    """Those that it was handed."""
    return {name: int(figure.joint) for name, figure in _figures(unit).items()}


def _figures(unit: Unit) -> dict[str, Any]:
    statistics.refresh()
    month, codes = timezone.localdate(), [f"opinions.{name}" for name in FIGURES]
    found = figures(unit, month, month, codes, exact=True)
    return {name: found[f"opinions.{name}"] for name in FIGURES}


def of(**known: int) -> dict[str, int]:
    return {**dict.fromkeys(FIGURES, 0), **known}


def test_from_the_citizens_word_to_the_close(
    browse: Callable[..., BrowserContext], tree: SimpleNamespace, people: SimpleNamespace, sign_in: Any
) -> None:
    cache.clear()
    citizen = browse(width=360).new_page()
    code = write(citizen, tree.own)
    opinion = Opinion.objects.get()
    community, department, street, office, neighbour = (
        Desk(browse(sign_in(getattr(people, name))).new_page(), opinion)
        for name in ("community_officer", "unit_officer", "street_officer", "office", "outsider")
    )
    assert counted(tree.own) == of(collected=1)

    # The community takes it on and hands it to a department, which has not seen it before.
    community.press("accept")
    assert department.status() == 404
    community.assign(tree.police)
    assert department.status() == 200
    assert community.offers() == set(), "it lies with the department"
    department.give_reason("return", REFUSAL)
    assert community.status() == 200
    assert REFUSAL in community.page.locator(".portal-timeline").first.inner_text()
    assert REFUSAL not in follow(citizen, code), "what goes to and fro is not the citizen's to puzzle out"

    # The street begins; the office presses, and finds it among what it presses.
    community.assign(tree.street)
    street.press("start")
    office.give_reason("supervise", "请三日内办结")
    office.page.goto("/opinions/inbox/?tab=supervised")
    assert office.page.locator(f'main a[href="{office.address}"]').count() == 1
    street.answer(FIRST, "solved")
    assert FIRST in follow(citizen, code)

    # The community revisits; the citizen, who was half content, says later that nothing has come of it.
    community.revisit("partly")
    assert counted(tree.own) == of(collected=1, answered=1, solved=1, on_time=1, revisited=1)
    follow(citizen, code)
    citizen.locator("label", has=citizen.locator("[value=dissatisfied]")).click()
    citizen.click(".say-send")
    citizen.locator(".alert-success").wait_for()
    assert citizen.locator(".say-answer").count() == 0
    opinion.refresh_from_db()
    assert (opinion.state, opinion.responsible) == (State.HANDLING, tree.street)
    assert counted(tree.own) == of(collected=1), "an answer that was taken back is none"

    # Answered anew, revisited, closed.
    street.answer(SECOND, "solved")
    community.revisit("satisfied")
    community.press("close")
    told = follow(citizen, code)
    assert SECOND in told
    assert FIRST not in told
    assert citizen.locator(".say-form").count() == 0, "who was content is not asked again"
    assert neighbour.status() == 404
    assert "supervise" not in office.offers()

    # The overview tells the office of it, on a wide screen and a narrow one, and opens to it.
    for width in (360, 1280):
        office.page.set_viewport_size({"width": width, "height": 800})
        office.page.goto("/opinions/overview/")
        assert faults(office.page) == []
    office.page.locator('main a[href*="state=closed"]').click()
    assert office.page.locator(f'main a[href="{office.address}"]').count() == 1

    opinion.refresh_from_db()
    whole = of(collected=1, answered=1, solved=1, on_time=1, revisited=1, satisfied=1)
    assert opinion.closed_at is not None
    assert _history(opinion) == [
        ("receive", None, State.RECEIVED, tree.own),
        ("accept", people.community_officer, State.ACCEPTED, tree.own),
        ("assign", people.community_officer, State.ASSIGNED, tree.police),
        ("return", people.unit_officer, State.RETURNED, tree.own),
        ("assign", people.community_officer, State.ASSIGNED, tree.street),
        ("start", people.street_officer, State.HANDLING, tree.street),
        ("supervise", people.office, State.HANDLING, tree.street),
        ("answer", people.street_officer, State.ANSWERED, tree.street),
        ("revisit", people.community_officer, State.REVISITED, tree.street),
        ("reopen", None, State.HANDLING, tree.street),
        ("answer", people.street_officer, State.ANSWERED, tree.street),
        ("revisit", people.community_officer, State.REVISITED, tree.street),
        ("close", people.community_officer, State.CLOSED, tree.street),
    ]
    assert counted(tree.own) == counted(tree.street) == counted(tree.district) == whole
    # The department was handed it, and counts it apart; to the street it is one of its community's already.
    assert counted_apart(tree.police) == whole
    assert counted_apart(tree.street) == counted(tree.police) == counted(tree.sibling) == of()


def _history(opinion: Opinion) -> list[tuple[Any, ...]]:
    """The steps, after it was seen that none is missing: each leaves what the one before led to, and is in the log."""
    steps = list(opinion.steps.select_related("by", "to_unit").order_by("number"))
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    stands = (opinion.state, opinion.responsible_id, opinion.due_on, opinion.answer_due_on)
    assert recomputed(opinion) == (*stands, opinion.paused_on, opinion.is_supervised)
    written = AuditEvent.objects.filter(action__startswith="opinions.").exclude(action__endswith=".view")
    assert list(written.order_by("pk").values_list("action", flat=True)) == [
        f"opinions.{'create' if step.transition == 'receive' else step.transition}" for step in steps
    ]
    return [(step.transition, step.by, step.to_state, step.to_unit) for step in steps]
