"""The portal does not start with a missing or unsafe setting, and says all that is wrong at once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from programs.checks import check_two_factor_roles
from scripts.throwaway_settings import throwaway_settings

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parent.parent
SHOW = "from caring_portal import settings as s; print(s.PRODUCTION)"


def start(tmp_path: Path, code: str = SHOW, **environment: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter that sees only these variables."""
    inherited = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**inherited, "VAR_DIR": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_mode_must_be_chosen(tmp_path: Path) -> None:
    for environment in ({}, {"CARING_MODE": "develop"}):
        run = start(tmp_path, **environment)
        assert run.returncode
        assert "CARING_MODE must be set" in run.stderr


def test_embedded_needs_nothing_else_and_keeps_its_keys(tmp_path: Path) -> None:
    show = "from caring_portal import settings as s; print(s.SECRET_KEY, s.FIELD_KEYS)"
    first, second = (start(tmp_path, show, CARING_MODE="embedded") for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    assert (tmp_path / "secret-key").stat().st_mode & 0o077 == 0
    assert (tmp_path / "field-key").stat().st_mode & 0o077 == 0


def test_production_starts_with_good_values(tmp_path: Path) -> None:
    run = start(tmp_path, **throwaway_settings())
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "True"


def test_production_names_everything_that_is_missing(tmp_path: Path) -> None:
    run = start(tmp_path, CARING_MODE="production")
    assert run.returncode
    for name in ("SECRET_KEY", "FIELD_KEYS", "ALLOWED_HOSTS", "DATABASE_URL", "BROKER_URL", "CACHE_URL"):
        assert re.search(rf"^  - {name} must", run.stderr, re.M), name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", "a" * 60),
        ("SECRET_KEY", "django-insecure-0123456789-abcdefghijklmnopqrstuvwxyz-0123456789"),
        ("SECRET_KEY", "please-change-me-0123456789-abcdefghijklmnopqrstuvwxyz-0123456789"),
        ("SECRET_KEY_FALLBACKS", "short"),
        ("FIELD_KEYS", "not base64"),
        ("FIELD_KEYS", "c2hvcnQ="),
        ("ALLOWED_HOSTS", "*"),
        ("ALLOWED_HOSTS", "portal.invalid,*"),
        ("DATABASE_URL", "sqlite:///db.sqlite3"),
        ("DATABASE_URL", "mysql://nobody@db.invalid/none"),
        ("BROKER_URL", "memory://"),
        ("BROKER_URL", "filesystem://"),
        ("BROKER_URL", "redis://redis.invalid/1"),  # the cache's
        ("CACHE_URL", "locmem://"),
        ("DEBUG", "true"),
        ("CSRF_TRUSTED_ORIGINS", "http://portal.invalid"),
        ("SESSION_IDLE_MINUTES", "0"),
        ("SESSION_IDLE_MINUTES", "half an hour"),
        ("PROXY_COUNT", "-1"),
        ("HSTS_SECONDS", "0"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_production_refuses(tmp_path: Path, name: str, value: str) -> None:
    run = start(tmp_path, **{**throwaway_settings(), name: value})
    assert run.returncode
    assert re.search(rf"^  - .*\b{name}\b", run.stderr, re.M), run.stderr


def test_a_misspelt_role_of_the_second_factor_is_an_error(settings: Any) -> None:
    settings.TWO_FACTOR_REQUIRED_ROLES = ["administrator", "ofice"]
    assert [error.msg.split("'")[1] for error in check_two_factor_roles()] == ["ofice"]


def test_a_refusal_does_not_show_the_secret(tmp_path: Path) -> None:
    run = start(tmp_path, **{**throwaway_settings(), "SECRET_KEY": "hunter2-hunter2"})
    assert "hunter2" not in run.stderr


def test_the_example_names_every_variable() -> None:
    settings = (ROOT / "caring_portal" / "settings.py").read_text(encoding="utf-8")
    read = set(re.findall(r'read(?:_number)?\(\s*(?:env\.\w+,\s*)?"([A-Z_]+)"', settings)) - {
        "DEBUG",
        "STATIC_ROOT",
    }
    example = set(re.findall(r"(?m)^(?:# )?([A-Z_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8")))
    assert read > {"SECRET_KEY", "PROXY_COUNT"}
    assert read <= example


def test_the_example_holds_no_secret() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    secrets = [line for line in lines if re.match(r"(SECRET_KEY|FIELD_KEYS|POSTGRES_PASSWORD)=", line)]
    assert len(secrets) == 3
    assert all(line.endswith("=") for line in secrets)
