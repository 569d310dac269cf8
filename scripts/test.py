#!/usr/bin/env python3
"""Everything that this machine can test, part by part: `make test`.

    test.py [PART …] [-- pytest arguments]

Parts are `lint`, `checks`, `sqlite` and `postgres`; without names all of them run. What a machine lacks
(PostgreSQL, Redis, Chromium) is skipped and named with the way to switch it on; with REQUIRE_SERVICES=1, as
in CI, it fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from throwaway_settings import throwaway_settings

ROOT = Path(__file__).resolve().parent.parent
PYTHON = [sys.executable]
MANAGE = [sys.executable, "manage.py"]
REQUIRED = os.environ.get("REQUIRE_SERVICES", "") not in {"", "0"}
PROCESSES = os.environ.get("TEST_PROCESSES", "3")
SERVICES = {"TEST_DATABASE_URL", "TEST_REDIS_URL"}

USUAL_DATABASES = [
    f"postgres://{user}@127.0.0.1:5432/{database}"
    for user in ("postgres", "root")
    for database in ("postgres", "test")
]
USUAL_REDIS = ["redis://127.0.0.1:6379/8"]
HOW_TO = {
    "PostgreSQL": "start PostgreSQL 15 or later and set TEST_DATABASE_URL=postgres://user:password@host/database"
    " (a user who may create databases)",
    "Redis": "start Redis and set TEST_REDIS_URL=redis://host:6379/8",
    "Chromium": "install Chromium (Debian: apt install chromium fonts-noto-cjk) or set CHROMIUM=/path/to/it",
}


@dataclass
class Report:
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def lack(self, part: str, service: str) -> None:
        """A part that cannot run here: a failure where everything is required."""
        line = f"{part}: no {service} here; {HOW_TO[service]}"
        (self.failed if REQUIRED else self.skipped).append(line)

    def run(self, part: str, command: Sequence[str], **environment: str) -> None:
        print(f"\n── {part} ──", flush=True)
        began = time.monotonic()
        # The services are for the part that asks for them; the others would use them too.
        inherited = {name: value for name, value in os.environ.items() if name not in SERVICES}
        code = subprocess.run(command, cwd=ROOT, env=inherited | environment, check=False).returncode
        (self.failed if code else self.passed).append(part)
        print(f"{part}: {'FAILED' if code else 'passed'} in {time.monotonic() - began:.0f} s", flush=True)

    def conclude(self) -> int:
        print("\n── result ──")
        for line in self.skipped:
            print(f"skipped  {line}")
        for line in self.failed:
            print(f"FAILED   {line}")
        print(f"{len(self.passed)} parts passed, {len(self.failed)} failed, {len(self.skipped)} skipped.")
        return 1 if self.failed else 0


# --- what the machine has -----------------------------------------------------------------------------


def reachable(named: str | None, usual: list[str], connects: Callable[[str], bool]) -> str | None:
    """The service that the environment names, else the first of the usual ones that answers."""
    return next((url for url in ([named] if named else usual) if connects(url)), None)


def database_connects(url: str) -> bool:
    import psycopg2

    try:
        psycopg2.connect(url.replace("psql://", "postgres://"), connect_timeout=3).close()
    except psycopg2.Error:
        return False
    return True


def redis_connects(url: str) -> bool:
    import redis

    try:
        with redis.Redis.from_url(url, socket_connect_timeout=3, socket_timeout=3) as client:
            return bool(client.ping())
    except (redis.RedisError, OSError):
        return False


def chromium() -> str | None:
    names = [os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"]
    return next((path for name in names if name and (path := shutil.which(name))), None)


@contextmanager
def redis_keys_of_run(url: str) -> Iterator[str]:
    """A prefix for the keys of one run; they are removed at its end, nobody else's are."""
    import redis

    with tempfile.TemporaryDirectory(prefix="caring-portal-tests-") as folder:
        try:
            yield folder
        finally:
            with redis.Redis.from_url(url) as client:
                for key in client.scan_iter(match=f"*{Path(folder).name}:*"):
                    client.delete(key)


# --- parts --------------------------------------------------------------------------------------------


def lint(report: Report) -> None:
    report.run("ruff", [*PYTHON, "-m", "ruff", "check", "."])
    report.run("ruff format", [*PYTHON, "-m", "ruff", "format", "--check", "."])
    report.run("mypy", [*PYTHON, "-m", "mypy"])
    report.run("djlint", [*PYTHON, "-m", "djlint", "--lint", "--quiet", "templates"])


def checks(report: Report) -> None:
    tests = {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    report.run("migrations", [*MANAGE, "makemigrations", "--check", "--dry-run"], **tests)
    report.run("system checks", [*MANAGE, "check", "--fail-level", "WARNING"], **tests)
    report.run(
        "deployment checks", [*MANAGE, "check", "--deploy", "--fail-level", "WARNING"], **throwaway_settings()
    )
    report.run("messages", [*PYTHON, "scripts/messages.py", "check"])


def pytest(marks: str, extra: Sequence[str]) -> list[str]:
    return [*PYTHON, "-m", "pytest", "-n", PROCESSES, "-m", marks, *extra]


def sqlite(report: Report, extra: Sequence[str]) -> None:
    marks = "not postgres and not redis"
    if chromium():
        report.run("tests on SQLite, with browser", pytest(marks, extra))
    else:
        report.run("tests on SQLite", pytest(f"{marks} and not browser", extra))
        report.lack("browser tests", "Chromium")


def postgres(report: Report, extra: Sequence[str]) -> None:
    os.environ.setdefault("TEST_DATABASE_NAME", "test_caring_portal")
    database = reachable(os.environ.get("TEST_DATABASE_URL"), USUAL_DATABASES, database_connects)
    queue = reachable(os.environ.get("TEST_REDIS_URL"), USUAL_REDIS, redis_connects)
    if not database:
        report.lack("tests on PostgreSQL", "PostgreSQL")
    if not queue:
        report.lack("tests with Redis", "Redis")
    if database and queue:
        with redis_keys_of_run(queue) as folder:
            report.run(
                "tests on PostgreSQL with Redis",
                pytest("not browser and not once", extra),
                TEST_DATABASE_URL=database,
                TEST_REDIS_URL=queue,
                VAR_DIR=folder,
            )
    elif database:
        report.run(
            "tests on PostgreSQL",
            pytest("not browser and not once and not redis", extra),
            TEST_DATABASE_URL=database,
        )


PARTS: dict[str, Callable[[Report, Sequence[str]], None]] = {
    "lint": lambda report, extra: lint(report),
    "checks": lambda report, extra: checks(report),
    "sqlite": sqlite,
    "postgres": postgres,
}


def main(arguments: list[str]) -> int:
    names, extra = arguments, []
    if "--" in arguments:
        at = arguments.index("--")
        names, extra = arguments[:at], arguments[at + 1 :]
    if unknown := set(names) - PARTS.keys():
        print(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    report = Report()
    for name, run in PARTS.items():
        if not names or name in names:
            run(report, extra)
    return report.conclude()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
