"""The files of a production installation hold together; no container engine is needed to see that."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))


def test_every_part_is_there(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"web", "worker", "beat", "migrate", "postgres", "redis"}


def test_whatever_is_depended_on_exists_and_can_tell_its_state(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for service in services.values():
        for name, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "test" in services[name]["healthcheck"]
    volumes = {entry.split(":")[0] for service in services.values() for entry in service["volumes"]}
    assert volumes == set(compose["volumes"])


def test_no_secret_is_written_down(compose: dict[str, Any]) -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    for value in re.findall(r"(?:PASSWORD|SECRET_KEY|FIELD_KEYS): (.+)", text):
        assert value.startswith("${"), value
    assert ".env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert ".env" in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


def test_the_queue_survives_and_never_forgets(compose: dict[str, Any]) -> None:
    command = compose["services"]["redis"]["command"]
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


def test_the_image_copies_only_what_exists_and_runs_as_nobody_special() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for sources in re.findall(r"(?m)^COPY (?!--from)(.+) \S+$", dockerfile):
        assert all((ROOT / source).exists() for source in sources.split())
    assert re.search(r"(?m)^USER (?!root)\w+$", dockerfile)
    for script in re.findall(r"(?:scripts|deploy)/[\w.]+", dockerfile):
        assert (ROOT / script).is_file(), script


def test_locked_requirements_hold_hashes_and_no_address() -> None:
    for name in ("base", "dev", "node"):
        text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
        assert "--hash=sha256:" in text
        assert not re.search(r"https?://|file:/|--index-url|--find-links", text)
    assert '"resolved"' not in (ROOT / "package-lock.json").read_text(encoding="utf-8")


def test_what_a_package_asks_for_with_extras_is_locked_with_them() -> None:
    """Otherwise pip looks at the newest release of it, and refuses that for want of a hash."""
    asked = {
        name.lower()
        for installed in metadata.distributions()
        for line in installed.requires or ()
        if "extra ==" not in line
        for name in re.findall(r"^[\w.-]+\[[\w,-]+\]", line)
    }
    locked = "".join((ROOT / "requirements" / f"{name}.txt").read_text("utf-8") for name in ("base", "dev"))
    assert "coverage[toml]" in asked
    assert {name for name in asked if f"\n{name}==" not in f"\n{locked}"} == set()
