"""The reader's child process by the hundred: forked from a process that has imported everything already.

Each file is still read in a process of its own, under the limits and by the code of `reporting.uploads.child`; only the
start of Python is saved, which is most of the time of a small file. For tests that read thousands of them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
BEGIN = (
    "import sys; sys.path.insert(0, sys.argv[1]); from tests.reporting.uploads.zygote import serve; "
    "serve(int(sys.argv[2]))"
)


def serve(number: int) -> None:
    """Fork a reader for each message "PATH TYPE" with two descriptors; answer with its id, then with its end."""
    import csv  # noqa: F401 - so that no reader needs to import anything

    import olefile  # noqa: F401
    import python_calamine  # noqa: F401

    from reporting.uploads import archive, child, csv_text, ods, xls, xlsx  # noqa: F401

    with socket.socket(fileno=number) as line:
        while True:
            message, descriptors, _flags, _address = socket.recv_fds(line, 65536, 2)
            if not message:
                return
            if message.startswith(b"wait "):
                _pid, status = os.waitpid(int(message[5:]), 0)
                line.send(str(os.waitstatus_to_exitcode(status)).encode())
                continue
            pid = os.fork()
            if pid == 0:
                for place, descriptor in enumerate(descriptors):
                    os.dup2(descriptor, place)
                os.closerange(3, 64)
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                path, file_type = message.decode().rsplit(" ", 1)
                child.main(path, file_type)
            for descriptor in descriptors:
                os.close(descriptor)
            line.send(str(pid).encode())


class Zygote:
    """`with Zygote() as zygote: monkeypatch.setattr(reading.subprocess, "Popen", zygote.popen)`."""

    def __enter__(self) -> Zygote:
        self._line, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-c", BEGIN, str(ROOT), str(theirs.fileno())]
            self._process = REAL_POPEN(command, pass_fds=[theirs.fileno()], cwd=ROOT)
        return self

    def __exit__(self, *_error: object) -> None:
        self._line.close()
        self._process.wait()

    def popen(self, command: list[str], **_options: Any) -> Reader:
        """In place of subprocess.Popen."""
        stdin, our_end = os.pipe()
        our_output, stdout = os.pipe()
        try:
            socket.send_fds(self._line, [" ".join(command[-2:]).encode()], [stdin, stdout])
        finally:
            os.close(stdin)
            os.close(stdout)
        pid = int(self._line.recv(100))
        return Reader(self._line, pid, our_end, our_output)


class Reader:
    """What reading needs of a Popen."""

    def __init__(self, line: socket.socket, pid: int, stdin: int, stdout: int) -> None:
        self._line, self.pid = line, pid
        self.stdin, self.stdout = os.fdopen(stdin, "wb", 0), os.fdopen(stdout, "rb", 0)
        self._code: int | None = None

    def kill(self) -> None:
        if self._code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        if self._code is None:
            self._line.send(b"wait %d" % self.pid)
            self._code = int(self._line.recv(100))
        return self._code


REAL_POPEN = subprocess.Popen
