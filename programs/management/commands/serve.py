"""Run the whole portal on one machine: web server and background worker, ended together."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import http.client
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command, get_commands
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from django.utils import translation
from django.utils.translation import gettext as _

from programs import bell
from programs.models import Mark
from programs.text import padded

LOG_LIMIT = 5 * 1024 * 1024
START_SECONDS = 120  # a slow, busy machine; an idle one needs three
FIGURES_SECONDS = 60  # the worker starts and counts the demo's records in a few
STOP_SECONDS = 15
PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """In a new child: get SIGTERM when the parent dies, however it dies. Only Linux can do this."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """A process with a log of its own, in a process group of its own, which ends as a whole."""

    def __init__(self, name: str, command: Sequence[str], log_dir: Path) -> None:
        self.name = name
        self.command = [sys.executable, "-m", *command]
        self.log = log_dir / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self.started_at = 0.0

    def start(self) -> None:
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=settings.BASE_DIR,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        self.starts += 1
        self.started_at = time.monotonic()

    @property
    def exit_code(self) -> int | None:
        return self.process.poll() if self.process else None

    def ask_to_stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()

    def finish(self, deadline: float) -> None:
        """Wait until the deadline, then end what is left of the group."""
        if not self.process:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.1, deadline - time.monotonic()))
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def last_lines(self, number: int = 15) -> str:
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-number:])


def require_free_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(
                _("Port %(port)s of %(host)s cannot be used (%(reason)s). Choose another: make run PORT=8080")
                % {"port": port, "host": host, "reason": error.strerror}
            ) from None


@contextlib.contextmanager
def only_one(file: Path, address: str) -> Iterator[None]:
    """Two sets of servers on one folder would share the worker's schedule and queue."""
    file.touch()
    with file.open("r+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CommandError(
                _("The portal is running already at %(address)s.") % {"address": lock.read().strip()}
            ) from None
        lock.truncate()
        lock.write(address)
        lock.flush()
        yield


def answers(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/health/", headers={"Host": f"localhost:{port}"})
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Command(BaseCommand):
    help = "Run the web server and the background worker on this machine (embedded mode)."
    stopping = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=os.environ.get("HOST") or "127.0.0.1")
        parser.add_argument("--port", type=int, default=os.environ.get("PORT") or 8000)
        parser.add_argument("--without-demo", action="store_true", help="leave a new database empty")

    def handle(self, *args: Any, host: str, port: int, without_demo: bool, **options: Any) -> None:
        if settings.CARING_MODE != "embedded":
            raise CommandError("serve is for CARING_MODE=embedded; docker-compose.yml shows production.")
        logging.disable(logging.INFO)  # this process only starts others; they log to their files
        language = "zh-hans" if os.environ.get("LANG", "").lower().startswith("zh") else "en"
        with translation.override(language):
            require_free_port(host, port)
            address = f"http://{'localhost' if host in {'127.0.0.1', '0.0.0.0', '::'} else host}:{port}/"  # noqa: S104
            with only_one(settings.VAR_DIR / "serve.lock", address):
                self.prepare(demo=not without_demo)
                self.run_children(host, port, address)

    def prepare(self, *, demo: bool) -> None:
        call_command("migrate", verbosity=0, interactive=False)
        if demo and not get_user_model().objects.exists() and "load_demo" in get_commands():
            self.stdout.write(_("Loading the units and the demo people …"))
            call_command("load_demo", verbosity=0)
        connections.close_all()  # the children open their own

    def children(self, host: str, port: int) -> tuple[Child, Child]:
        log_dir: Path = settings.VAR_DIR / "log"
        log_dir.mkdir(parents=True, exist_ok=True)
        bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        web = [
            "gunicorn",
            "caring_portal.wsgi",
            "--bind",
            bind,
            "--worker-class",
            "gthread",
            "--workers",
            "2",
        ]
        web += [
            "--threads",
            "4",
            "--preload",
            "--timeout",
            "60",
            "--graceful-timeout",
            "5",
            "--no-control-socket",
        ]
        worker = ["celery", "--app", "caring_portal", "worker", "--beat", "--pool", "threads"]
        worker += ["--concurrency", "2", "--without-gossip", "--without-mingle", "--without-heartbeat"]
        worker += ["--loglevel", "INFO", "--schedule", settings.CELERY_BEAT_SCHEDULE_FILENAME]
        return Child("web", web, log_dir), Child("worker", worker, log_dir)

    def run_children(self, host: str, port: int, address: str) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self.stop)
        web, worker = self.children(host, port)
        try:
            web.start()
            self.await_answer(web, host, port)
            worker.start()  # only now: on two cores a page is shown seconds earlier
            self.await_figures()
            if not self.stopping:
                self.welcome(address, web.log.parent)
            self.watch(web, worker)
        finally:
            deadline = time.monotonic() + STOP_SECONDS
            for child in (web, worker):
                child.ask_to_stop()
            for child in (web, worker):
                child.finish(deadline)
        self.stdout.write(_("The portal has stopped."))

    def stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def await_answer(self, web: Child, host: str, port: int) -> None:
        reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
        deadline = time.monotonic() + START_SECONDS
        while not self.stopping and not answers(reachable, port):
            if web.exit_code is not None or time.monotonic() > deadline:
                raise CommandError(
                    _("The web server does not answer. The end of its log (%(log)s):\n%(lines)s")
                    % {"log": web.log, "lines": web.last_lines()},
                    returncode=web.exit_code or 1,
                )
            time.sleep(0.1)

    def await_figures(self) -> None:
        """Until the worker has counted what is there, so that nobody's first page shows zeros; not for ever."""
        deadline = time.monotonic() + FIGURES_SECONDS
        if Mark.objects.exists():
            bell.ring()
        while not self.stopping and time.monotonic() < deadline and Mark.objects.exists():
            time.sleep(0.1)
        connections.close_all()

    def watch(self, web: Child, worker: Child) -> None:
        """Until asked to stop. A lost worker is started again; without the web server there is no portal."""
        while not self.stopping:
            if web.exit_code is not None:
                raise CommandError(
                    _("The web server has ended. The end of its log (%(log)s):\n%(lines)s")
                    % {"log": web.log, "lines": web.last_lines()},
                    returncode=web.exit_code or 1,
                )
            # It waits the longer the more often it has been started.
            pause = min(30, worker.starts)
            if worker.exit_code is not None and time.monotonic() - worker.started_at > pause:
                worker.finish(time.monotonic())
                worker.start()
                self.stderr.write(
                    _("The background worker had ended and was started again; see %(log)s.")
                    % {"log": worker.log}
                )
            time.sleep(0.3)

    def welcome(self, address: str, log_dir: Path) -> None:
        self.stdout.write("")
        self.stdout.write(_("The Caring Portal is ready: %(address)s") % {"address": address})
        self.list_sign_ins()
        self.stdout.write(_("Logs: %(folder)s — Ctrl-C ends the portal.") % {"folder": log_dir})
        self.stdout.flush()

    def list_sign_ins(self) -> None:
        try:
            from programs.demo import SIGN_INS
        except ImportError:
            return
        present = set(
            get_user_model()
            .objects.filter(username__in=[username for username, *_rest in SIGN_INS])
            .values_list("username", flat=True)
        )
        if not present:
            return
        password = os.environ.get("DEMO_PASSWORD") or "caring-demo-2026"
        self.stdout.write(_("Demo people, all with the password %(password)s:") % {"password": password})
        for username, role, unit in SIGN_INS:
            if username in present:
                self.stdout.write(f"  {padded(username, 18)} {padded(str(role), 30)} {unit}")
