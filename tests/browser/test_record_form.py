"""Nothing typed is ever lost, and nothing is logged twice: the form of a record in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

from programs.models import User
from programs.models.education import EducationActivity

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

NEW = "/records/activities/new/"
THEME = "邻居节包饺子𠮷"


@pytest.fixture
def context(
    browse: Callable[..., BrowserContext], people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> BrowserContext:
    return browse(sign_in(people.street_officer))


def fill(page: Page) -> None:
    page.fill("[name=theme]", THEME)
    for name, value in (("series", "other"), ("setting", "community")):
        page.locator(f"label:has(input[name={name}][value={value}])").click()
    page.fill("[name=participants]", "120")


def posts_of(page: Page) -> list[Any]:
    posts: list[Any] = []
    page.on("request", lambda request: posts.append(request) if request.method == "POST" else None)
    return posts


def draft_kept(page: Page) -> None:
    page.wait_for_selector("[data-draft-kept]:visible")


def drafts(page: Page) -> list[str]:
    found: list[str] = page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('draft:'))")
    return found


def test_a_closed_page_gives_its_draft_back_with_the_same_key(context: BrowserContext) -> None:
    page = context.new_page()
    page.goto(NEW)
    key = page.input_value("[name=submission_key]")
    fill(page)
    draft_kept(page)
    page.close()
    page = context.new_page()
    page.goto(NEW)
    assert page.input_value("[name=theme]") == THEME
    assert page.is_checked("input[name=setting][value=community]")
    assert page.input_value("[name=submission_key]") == key
    assert page.is_visible("[data-draft-notice]")
    page.click("[data-draft-discard]")
    assert page.input_value("[name=theme]") == ""
    assert drafts(page) == []


def test_a_form_sent_without_a_network_waits_and_makes_one_record(context: BrowserContext) -> None:
    page = context.new_page()
    page.goto(NEW)
    fill(page)
    posts = posts_of(page)
    context.set_offline(True)
    page.click("button[name=save][value=once]")
    page.wait_for_selector("[data-offline-notice]:visible")
    page.wait_for_timeout(6000)  # one more try by itself fails as well
    assert posts == []
    assert page.input_value("[name=theme]") == THEME
    context.set_offline(False)
    page.wait_for_url(re.compile(r"/records/activities/\d+/$"))
    assert len(posts) == 1
    assert EducationActivity.objects.get().theme == THEME
    assert drafts(page) == []


def test_a_server_that_does_not_answer_is_told_like_a_lost_network(context: BrowserContext) -> None:
    page = context.new_page()
    page.goto(NEW)
    fill(page)
    posts = posts_of(page)
    page.route("**/favicon.svg", lambda route: route.abort())
    page.click("button[name=save][value=once]")
    page.wait_for_selector("[data-offline-notice]:visible")
    page.click("[data-offline-stop]")
    page.unroute("**/favicon.svg")
    page.wait_for_timeout(6000)
    assert posts == []
    assert page.is_enabled("button[name=save][value=once]")


def test_a_double_click_makes_one_record_and_the_button_keeps_its_meaning(context: BrowserContext) -> None:
    page = context.new_page()
    page.goto(NEW)
    fill(page)
    page.dblclick("button[name=save][value=again]")
    page.wait_for_url("**/records/activities/new/?occurred_on=*")
    assert EducationActivity.objects.count() == 1
    assert page.input_value("[name=theme]") == ""


def test_units_are_found_by_initials_and_with_the_keyboard_alone(
    context: BrowserContext, tree: SimpleNamespace
) -> None:
    page = context.new_page()
    page.goto(NEW)
    joint = page.locator("#id_joint_units")
    joint.press_sequentially("byjd")
    page.wait_for_selector("#id_joint_units-list [role=option]")
    assert joint.get_attribute("aria-expanded") == "true"
    joint.press("Enter")
    assert page.input_value("input[name=joint_units]") == tree.other_street.code
    joint.press_sequentially("hmxx")
    page.wait_for_selector("#id_joint_units-list [role=option]")
    joint.press("Enter")
    assert page.input_value("input[name=joint_units]") == f"{tree.other_street.code},{tree.school.code}"
    joint.press("Backspace")
    assert page.input_value("input[name=joint_units]") == tree.other_street.code


def test_the_first_error_is_a_link_to_its_field(context: BrowserContext) -> None:
    page = context.new_page()
    page.goto(NEW)
    page.click("button[name=save][value=once]")
    page.wait_for_selector("[data-error-summary]")
    assert page.evaluate("document.activeElement.hasAttribute('data-error-summary')")
    page.locator("[data-error-summary] a").first.click()
    assert page.evaluate("document.activeElement.name") == "theme"


def test_the_form_works_without_javascript(
    browse: Callable[..., BrowserContext], people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    page = browse(sign_in(people.street_officer), 360, java_script_enabled=False).new_page()
    page.goto(NEW)
    fill(page)
    page.click("button[name=save][value=once]")
    assert EducationActivity.objects.get().theme == THEME
