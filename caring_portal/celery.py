from __future__ import annotations

import os
from typing import Any

from celery import Celery, signals
from django_structlog.celery.steps import DjangoStructLogInitStep

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "caring_portal.settings")

app = Celery("caring_portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add(DjangoStructLogInitStep)


@signals.setup_logging.connect
def keep_django_logging(**kwargs: Any) -> None:
    """With a receiver here Celery leaves logging alone: the worker logs as settings.LOGGING says."""
