"""Swagger's page runs under the strict policy, and what is tried out there is really sent."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.urls import reverse

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_the_page_of_the_api_works_under_the_strict_policy(
    browse: Callable[..., Any], people: SimpleNamespace, sign_in: Callable[..., Any]
) -> None:
    page = browse(sign_in(people.community_officer)).new_page()
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: told.append(str(error)))
    outside: list[str] = []
    page.on(
        "request", lambda request: outside.append(request.url) if "localhost" not in request.url else None
    )
    page.goto(reverse("api_docs"))
    page.click("#operations-me-me .opblock-summary-control", timeout=20_000)
    page.click("#operations-me-me .try-out__btn")
    page.click("#operations-me-me .execute")
    page.wait_for_selector("#operations-me-me .live-responses-table .response-col_status >> text=200")
    assert told == []
    assert [url for url in outside if not url.startswith("data:")] == []
