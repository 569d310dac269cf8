"""`make run`: the web server and the worker live and end together."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parent.parent
LINUX = sys.platform == "linux"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(condition: Callable[[], object], what: str, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        time.sleep(0.1)


def environment(var: Path) -> dict[str, str]:
    """As on a machine where nothing is set."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "CARING_MODE": "embedded", "VAR_DIR": str(var), "LANG": "C.UTF-8"}


class Portal:
    def __init__(self, var: Path, port: int, *options: str) -> None:
        self.var, self.port = var, port
        self.output = var / f"output-{port}"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "serve", "--port", str(port), *options],
                cwd=ROOT,
                env=environment(var),
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def text(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def await_ready(self) -> None:
        wait_for(lambda: "is ready" in self.text() or self.process.poll() is not None, "the portal is ready")
        assert self.process.poll() is None, self.text()

    def children(self) -> dict[str, int]:
        """The process ids by the program's name."""
        listing = subprocess.run(
            ["ps", "-o", "pid=,args=", "--ppid", str(self.process.pid)],
            capture_output=True,
            text=True,
            check=False,
        )
        return {name: int(pid) for pid, name in re.findall(r"(\d+) \S+ -m (gunicorn|celery)", listing.stdout)}

    def health(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/", timeout=5) as answer:
            return int(answer.status)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # A zombie has ended; it only waits to be noticed.
    return LINUX and ") Z " in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Portal]]:
    started: list[Portal] = []

    def start_portal(*options: str) -> Portal:
        started.append(Portal(tmp_path, free_port(), *options))
        return started[-1]

    yield start_portal
    for portal in started:
        portal.process.kill()
        portal.process.wait()


def test_everything_starts_answers_and_ends_together(start: Callable[..., Portal]) -> None:
    portal = start("--without-demo")
    portal.await_ready()
    assert f"http://localhost:{portal.port}/" in portal.text()
    assert portal.health() == 200
    children = portal.children()
    assert set(children) == {"gunicorn", "celery"}

    # A worker that is lost is started again, and the web server does not notice.
    os.kill(children["celery"], signal.SIGKILL)
    wait_for(lambda: portal.children().get("celery") not in {None, children["celery"]}, "a new worker")
    assert portal.health() == 200

    # A second portal on the same folder is refused.
    second = start()
    assert second.process.wait(30) == 1
    assert f"running already at http://localhost:{portal.port}/" in second.text()

    children = portal.children()
    portal.process.send_signal(signal.SIGTERM)
    assert portal.process.wait(30) == 0
    assert all(gone(pid) for pid in children.values())


@pytest.mark.skipif(not LINUX, reason="only Linux tells children of their parent's death")
def test_a_killed_portal_leaves_nobody_behind_and_its_data_is_kept(start: Callable[..., Portal]) -> None:
    portal = start()
    portal.await_ready()
    assert "Demo people" in portal.text()
    children = portal.children()
    assert len(children) == 2
    portal.process.kill()
    portal.process.wait()
    wait_for(lambda: all(gone(pid) for pid in children.values()), "the end of the children", 30)

    again = start()
    again.await_ready()
    assert "Loading" not in again.text()
    assert "Demo people" in again.text()
    assert again.health() == 200


def test_without_its_web_server_the_portal_ends(start: Callable[..., Portal]) -> None:
    portal = start("--without-demo")
    portal.await_ready()
    children = portal.children()
    os.kill(children["gunicorn"], signal.SIGKILL)
    assert portal.process.wait(30) != 0
    assert "The web server has ended" in portal.text()
    assert gone(children["celery"])


def test_a_port_in_use_is_said_in_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        run = subprocess.run(
            [sys.executable, "manage.py", "serve", "--port", str(port)],
            cwd=ROOT,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            check=False,
        )
    assert run.returncode == 1
    assert run.stderr.startswith(f"CommandError: Port {port} of 127.0.0.1 cannot be used")
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "db.sqlite3").exists()
