"""What a test may need from the machine, and how it is skipped, by name, where the machine lacks it."""

from __future__ import annotations

import os
import shutil

import pytest


def chromium() -> str | None:
    """The browser for the tests marked `browser`: CHROMIUM, or what the system has."""
    candidates = [os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"]
    return next((path for name in candidates if name and (path := shutil.which(name))), None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the long tests too")


def pytest_configure(config: pytest.Config) -> None:
    if path := chromium():
        os.environ["CHROMIUM"] = path


def reason_to_skip(item: pytest.Item) -> str | None:
    from django.db import connection

    if item.get_closest_marker("soak") and not item.config.getoption("--soak"):
        return "long: run with --soak"
    if item.get_closest_marker("postgres") and connection.vendor != "postgresql":
        return "needs PostgreSQL: set TEST_DATABASE_URL"
    if item.get_closest_marker("redis") and not os.environ.get("TEST_REDIS_URL"):
        return "needs Redis: set TEST_REDIS_URL"
    if item.get_closest_marker("browser") and not chromium():
        return "needs Chromium: install it or set CHROMIUM"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if reason := reason_to_skip(item):
            item.add_marker(pytest.mark.skip(reason=reason))
