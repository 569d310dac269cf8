"""gunicorn in production. Every value can be overridden on the command line or in GUNICORN_CMD_ARGS."""

from __future__ import annotations

import os

bind = "0.0.0.0:8000"
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = 8
timeout = 60
graceful_timeout = 20
# A slow leak in a worker ends with the worker; the jitter keeps them from ending together.
max_requests = 5000
max_requests_jitter = 500
# Heartbeats must not wait for a disk.
worker_tmp_dir = "/dev/shm"  # noqa: S108
control_socket_disable = True
# One structured line a request is written by the portal itself, without the query string.
accesslog = None
