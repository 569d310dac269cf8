"""Every page of the walker, at a desk and on a telephone: axe-core, no sideways scroll, a quiet console, the keyboard.

WCAG 2.0, 2.1 and 2.2, levels A and AA.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from programs import registry
from programs.registry import RecordKind
from tests.access_table import OWN, PEOPLE, Person, rule_for
from tests.walker import PASSWORD, Route, build_world, fill, pages, sign_in

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

DESK, TELEPHONE = 1280, 360
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"]
AXE = {"runOnly": {"type": "tag", "values": TAGS}, "resultTypes": ["violations"]}
# Answers that are no pages: files and figures for machines, and redirects to a page that is here anyway.
NO_PAGES = {
    "attachment",
    "record_export",
    "audit_export",
    "pivot_export",
    "health",
    "unit_search",
    "record_reveal",
    "sign_in_code",
    "upload_blank",
    "upload_original",
    "upload_marked",
    "upload_confirm",
    "upload_cancel",
    "upload_read_as",
}
KINDS = {str(registry.kinds()[0]), "cases"}  # one kind, and one with masked and withheld fields
# Of the others, what they draw by themselves.
OWN_PAGES = {"record_detail", "record_new"}
OWN_KINDS = {
    str(kind)
    for kind in registry.kinds()
    if kind.detail_template != RecordKind.detail_template or kind.form.more_template
}


def cases() -> dict[str, list[tuple[Route, Person]]]:
    """The pages by area, so that a run can spread them: one reader each, and every role on the home page."""
    found: dict[str, list[tuple[Route, Person]]] = {}
    seen = set()
    for route, person in pages():
        if route.name in NO_PAGES or (route.kind and not is_looked_at(route)):
            continue
        key = (str(route), person.name if route.name == "home" else "")
        if key not in seen:
            seen.add(key)
            area = f"records-{route.kind}" if route.kind else route.path.split("/")[1] or "home"
            found.setdefault(area, []).append((route, person))
    return found


def is_looked_at(route: Route) -> bool:
    kind = str(route.kind)
    return kind in KINDS or (kind in OWN_KINDS and route.name in OWN_PAGES)


AREAS = cases()


@pytest.fixture
def world(transactional_db: None) -> SimpleNamespace:
    from reporting.statistics import refresh

    made = build_world(PEOPLE)
    refresh()
    return made


@pytest.fixture
def open_page(
    world: SimpleNamespace, browse: Callable[..., BrowserContext]
) -> Iterator[Callable[[Person, int], Watched]]:
    """open_page(person, width, language): a page of a browser in which the person is signed in; one for each person."""
    opened: dict[tuple[str, int, str], Watched] = {}

    def make(person: Person, width: int, language: str = "zh-hans") -> Watched:
        if (person.name, width, language) not in opened:
            client = sign_in(world.people[person.name])
            client.cookies["django_language"] = language
            # Without smooth scrolling, which would still be on its way when the focus is looked at.
            context = browse(client, width=width, reduced_motion="reduce")
            opened[person.name, width, language] = Watched(context.new_page())
        return opened[person.name, width, language]

    return make  # type: ignore[return-value]


class Watched:
    """A page, and what its console and its security policy complained about since it was last asked."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", self.note)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("requestfailed", self.note_failed)
        # The console tells of violations of the policy, too; the event tells of those that are only reported.
        page.add_init_script(
            "document.addEventListener('securitypolicyviolation', (event) =>"
            " console.error('policy: ' + event.violatedDirective + ' ' + event.blockedURI))"
        )

    def note(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def note_failed(self, request: Any) -> None:
        if request.failure != "net::ERR_ABORTED":  # left for another page
            self.complaints.append(f"failed: {request.url} {request.failure}")

    def go(self, address: str) -> list[str]:
        self.complaints.clear()
        response = self.page.goto(address, wait_until="load")
        self.page.wait_for_load_state("networkidle")
        if response is None or response.status != 200:
            self.complaints.append(f"status {response.status if response else 'none'}")
        return list(self.complaints)


def violations(page: Page) -> list[str]:
    # axe is read into the page past its policy, as a browser's own tools are.
    found = Axe().run(page, options=AXE).response["violations"]
    return [
        f"{item['id']}: {node['target']} {node['failureSummary'][:150]}"
        for item in found
        for node in item["nodes"][:3]
    ]


SIDEWAYS = """() => {
  const width = document.documentElement.clientWidth
  if (document.documentElement.scrollWidth <= width) return []
  return [...document.querySelectorAll('body *')]
    .filter((element) => element.getBoundingClientRect().right > width + 1)
    .slice(0, 3).map((element) => element.tagName + '.' + element.className)
}"""


def address_of(route: Route, world: SimpleNamespace) -> str:
    rule = rule_for(route.name)
    assert rule
    return fill(route, world, OWN if rule.subject.scopes[0] else "")


LOOKS = [(DESK, "zh-hans"), (TELEPHONE, "zh-hans"), (TELEPHONE, "en")]


@pytest.mark.parametrize("area", AREAS)
def test_pages_are_open_to_all(area: str, world: SimpleNamespace, open_page: Callable[..., Watched]) -> None:
    faults = []
    for (width, language), (route, person) in itertools.product(LOOKS, AREAS[area]):
        watched = open_page(person, width, language)
        found = watched.go(address_of(route, world))
        if watched.page.evaluate("document.documentElement.lang").lower() != language:
            found.append("the language is another")
        found += [f"sideways: {element}" for element in watched.page.evaluate(SIDEWAYS)]
        found += violations(watched.page)
        faults += [f"{route} by {person.name}, {width}, {language}: {fault}" for fault in found]
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults[:40])


FOCUS = """() => {
  const element = document.activeElement
  if (!element || element === document.body) return null
  const style = getComputedStyle(element), box = element.getBoundingClientRect()
  const around = element.closest('.btn-check + *, label, .portal-figure, .card') || element
  const shown = (s) => (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0) || s.boxShadow !== 'none'
  return {
    name: element.tagName + '#' + element.id + ' ' + (element.innerText || element.name || '').slice(0, 30),
    shown: shown(style) || shown(getComputedStyle(around)) || shown(getComputedStyle(element, '::after')),
    inside: box.width > 0 && box.bottom > 0 && box.top < innerHeight,
  }
}"""


@pytest.mark.parametrize("address", ["/records/activities/new/", "/records/activities/", "/account/"])
def test_the_focus_is_seen_wherever_tab_goes(
    address: str, open_page: Callable[[Person, int], Watched]
) -> None:
    officer = next(person for person in PEOPLE if person.name == "community_officer")
    watched = open_page(officer, DESK)
    watched.go(address)
    page, faults, marked = watched.page, [], 0
    page.evaluate("document.activeElement.blur()")
    for _step in range(60):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        if focus is None:
            break
        marked += 1
        if not focus["shown"] or not focus["inside"]:
            faults.append(f"{focus['name']!r}: {'not marked' if not focus['shown'] else 'out of view'}")
    assert marked > 5
    assert faults == []


def test_the_main_way_needs_no_mouse(
    world: SimpleNamespace, open_page: Callable[[Person, int], Watched]
) -> None:
    """Sign in, open the form, fill it in, save: with the keyboard alone."""
    stranger = next(person for person in PEOPLE if person.name == "stranger")
    page = open_page(stranger, DESK).page
    page.goto("/sign-in/")
    page.locator("[name=username]").focus()
    page.keyboard.type("person-community_officer")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda address: "/sign-in/" not in address)

    page.goto("/records/activities/new/")
    tab_to(page, "[name=theme]")
    page.keyboard.type("键盘填报的活动")
    for name in ("series", "setting"):
        tab_to(page, f"[name={name}]")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Space")
    tab_to(page, "[name=participants]")
    page.keyboard.type("12")
    tab_to(page, "button[name=save][value=once]")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/records/activities/\d+/"))
    assert "键盘填报的活动" in page.locator("h1").inner_text()


def test_the_way_past_the_menu_comes_first(open_page: Callable[[Person, int], Watched]) -> None:
    officer = next(person for person in PEOPLE if person.name == "community_officer")
    page = open_page(officer, DESK).page
    page.goto("/records/activities/")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.closest('main') !== null || location.hash !== ''")


def tab_to(page: Page, selector: str) -> None:
    for _step in range(60):
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the keyboard does not reach {selector}")


# --- that the checks bite -------------------------------------------------------------------------


def test_faults_are_found(open_page: Callable[[Person, int], Watched]) -> None:
    stranger = next(person for person in PEOPLE if person.name == "stranger")
    watched = open_page(stranger, TELEPHONE)
    assert watched.go("/sign-in/") == []
    page = watched.page
    assert page.evaluate(SIDEWAYS) == []
    page.evaluate(
        "() => { const wide = document.createElement('div'); wide.style.cssText = 'width: 900px; height: 9px';"
        " document.body.append(wide, document.createElement('img'));"
        " const script = document.createElement('script'); script.textContent = 'x'; document.body.append(script) }"
    )
    page.wait_for_timeout(100)
    assert any("image-alt" in violation for violation in violations(page))
    assert page.evaluate(SIDEWAYS)
    assert any("policy: script-src" in complaint for complaint in watched.complaints)
    assert watched.go("/nothing/") != []
