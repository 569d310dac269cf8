from __future__ import annotations

# Tasks are bound to this application wherever Django is set up: web server, worker or command.
from caring_portal.celery import app as celery_app

__all__ = ["celery_app"]
