"""Log lines are structured and carry no personal data: ids yes, names, queries and column values no."""

from __future__ import annotations

import re
from typing import Any

import structlog
from django.dispatch import receiver
from django.http import HttpRequest
from django_structlog.signals import bind_extra_request_metadata

# PostgreSQL repeats the offending values in the details of an error.
_VALUES = re.compile(r"(?m)^(DETAIL|CONTEXT):.*$")


@receiver(bind_extra_request_metadata)
def use_portal_request_id(request: HttpRequest, **kwargs: Any) -> None:
    """The id that the audit trail and the answer's X-Request-ID hold, instead of one that only logs know."""
    if request_id := getattr(request, "request_id", None):
        structlog.contextvars.bind_contextvars(request_id=request_id)


def without_query(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """A query string may hold a searched name: keep the path only."""
    if isinstance(event.get("request"), str):
        event["request"] = event["request"].split("?", 1)[0]
    return event


def without_values(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    if isinstance(event.get("exception"), str):
        event["exception"] = _VALUES.sub(r"\1: (left out)", event["exception"])
    return event


def _without_http_objects(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Django's own loggers attach the request object, whose text holds the query string."""
    if not isinstance(event.get("request"), str):
        event.pop("request", None)
    return event


_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    structlog.processors.UnicodeDecoder(),
    _without_http_objects,
    without_query,
    without_values,
]


def configure(level: str, *, as_json: bool) -> dict[str, Any]:
    """Set structlog up and give the dictionary for settings.LOGGING: one line an event, to standard error."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    renderer = structlog.processors.JSONRenderer(ensure_ascii=False) if as_json else _key_values()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
                "foreign_pre_chain": _SHARED,
            },
        },
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["console"], "level": "WARNING"},
        "loggers": {
            **{name: {"level": level} for name in ("programs", "reporting", "django_structlog", "celery")},
            # A line for every request is written by django_structlog already.
            "django.request": {"level": "ERROR"},
            # Whoever scans the network asks for other hosts; the answer is 400 and needs no traceback.
            "django.security.DisallowedHost": {"level": "CRITICAL"},
            "django.server": {"handlers": [], "propagate": True},
        },
    }


def _key_values() -> Any:
    return structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
