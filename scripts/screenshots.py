#!/usr/bin/env python3
"""Take pictures of the main pages: desktop, phone and projector width, Chinese and English.

    make screenshots            into screenshots/ (ignored), from a portal of its own with fresh demo data
    make screenshots ONLY=home  pages whose name contains the word

Needs Chromium (CHROMIUM or /usr/bin/chromium) and a font with Chinese characters.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "screenshots"
PASSWORD = "only-for-screenshots"  # noqa: S105  (of a database that lives for a minute)
WIDTHS = {"desktop": (1280, 800), "phone": (360, 740)}
LANGUAGES = {"zh": "zh-hans", "en": "en"}


class Shot(NamedTuple):
    name: str
    person: str | None  # user name of a demo person; None: a stranger
    path: str


def shots(district: str, street: str, community: str) -> list[Shot]:
    return [
        Shot("sign-in", None, "/sign-in/"),
        Shot("home-officer", "chpsq", "/"),
        Shot("activity-list", "chpsq", "/records/activities/"),
        Shot("activity-new", "chpsq", "/records/activities/new/"),
        Shot("activity-detail", "chpsq", "first:/records/activities/"),
        Shot("activity-remove", "chpsq", "first:/records/activities/#remove/"),
        Shot("carrier-list-leader", "quld", "/records/carriers/"),
        Shot("dashboard-district", "quld", "/statistics/"),
        Shot("dashboard-street", "quld", f"/statistics/units/{street}/"),
        Shot("dashboard-community", "quld", f"/statistics/units/{community}/"),
        Shot("months-district", "quld", f"/statistics/units/{district}/months/"),
        Shot("months-community", "chpsq", f"/statistics/units/{community}/months/"),
        Shot("pivot", "quld", "/statistics/pivot/"),
        Shot("definitions", "quld", "/statistics/indicators/"),
        Shot("units", "office", "/units/"),
        Shot("unit-street", "office", f"/units/{street}/"),
        Shot("people", "admin", "/people/"),
        Shot("audit", "auditor", "/audit/"),
        Shot("account", "chpsq", "/account/"),
        Shot("two-factor", "chpsq", "/account/two-factor/"),
        Shot("search", "chpsq", "/search/?q=hmjd"),
        Shot("not-found", "chpsq", "/records/activities/999999999/"),
    ]


@contextmanager
def portal() -> Iterator[str]:
    """A portal with demo data in a folder that is thrown away; yields its address."""
    folder = Path(tempfile.mkdtemp(prefix="caring-screenshots-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "CARING_MODE": "embedded", "VAR_DIR": str(folder), "DEMO_PASSWORD": PASSWORD}
    server = subprocess.Popen(
        [sys.executable, "manage.py", "serve", "--port", str(port)], cwd=ROOT, env=environment
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _await(f"{address}/health/", server)
        time.sleep(5)  # the worker brings the figures of the fresh demo data up to date
        yield address
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _await(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(240):
        if server.poll() is not None:
            raise SystemExit("The portal did not start; see above.")
        try:
            urllib.request.urlopen(url, timeout=2)  # noqa: S310
            return
        except OSError:
            time.sleep(0.5)
    raise SystemExit("The portal did not answer within two minutes.")


def sign_in(page: Page, address: str, person: str) -> None:
    page.goto(f"{address}/sign-in/")
    page.fill("input[name=username]", person)
    page.fill("input[name=password]", PASSWORD)
    page.click("form:has(input[name=password]) button[type=submit]")
    page.wait_for_url(lambda url: "/sign-in/" not in url)


def resolve(page: Page, address: str, path: str) -> str:
    """ "first:/records/x/#edit/" is that page of the first record of the list."""
    if not path.startswith("first:"):
        return address + path
    listing, _, rest = path.removeprefix("first:").partition("#")
    page.goto(address + listing)
    links = [a.get_attribute("href") or "" for a in page.query_selector_all("main a")]
    first = next(link for link in links if re.fullmatch(rf"{listing}\d+/", link))
    return address + first + rest


def take(browser: Browser, address: str, wanted: list[Shot]) -> None:
    for language, code in LANGUAGES.items():
        for device, (width, height) in WIDTHS.items():
            for person in dict.fromkeys(shot.person for shot in wanted):
                context = browser.new_context(viewport={"width": width, "height": height}, locale="zh-CN")
                page = context.new_page()
                if person:
                    sign_in(page, address, person)
                context.add_cookies([{"name": "django_language", "value": code, "url": address}])
                for shot in (shot for shot in wanted if shot.person == person):
                    page.goto(resolve(page, address, shot.path), wait_until="networkidle")
                    file = TARGET / f"{shot.name}-{device}-{language}.png"
                    page.screenshot(path=file, full_page=True)
                    print(file.relative_to(ROOT))
                context.close()


def main() -> None:
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    wanted = [shot for shot in shots("331002", "331002001", "331002001003") if only in shot.name]
    TARGET.mkdir(exist_ok=True)
    with portal() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
            args=["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
        )
        take(browser, address, wanted)
        browser.close()


if __name__ == "__main__":
    main()
