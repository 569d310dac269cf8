"""What is logged about a request: its path and ids, never what somebody searched for or wrote."""

from __future__ import annotations

import io
import logging
import logging.config
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import Client

from caring_portal import logs

DETAIL = """Traceback (most recent call last):
psycopg2.errors.UniqueViolation: duplicate key value violates unique constraint
DETAIL:  Key (name)=(张三) already exists.
"""


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """The log as production would write it."""
    stream = io.StringIO()
    config = logs.configure("INFO", as_json=True)
    config["handlers"]["console"] = {"class": "logging.StreamHandler", "formatter": "line", "stream": stream}
    logging.config.dictConfig(config)
    yield stream
    logging.config.dictConfig(settings.LOGGING)


@pytest.mark.django_db
def test_a_request_is_one_line_without_its_query(log: io.StringIO, client: Client) -> None:
    answer = client.get("/sign-in/?next=/search/%3Fq%3D%E5%BC%A0%E4%B8%89", REMOTE_ADDR="203.0.113.7")
    lines = log.getvalue().splitlines()
    assert len(lines) == 1
    assert '"request": "GET /sign-in/"' in lines[0]
    assert answer.headers["X-Request-ID"] in lines[0]
    assert "203.0.113.7" not in lines[0]


def test_an_error_of_the_database_is_logged_without_its_values(log: io.StringIO) -> None:
    event = logs.without_values(None, "error", {"exception": DETAIL})
    assert "UniqueViolation" in event["exception"]
    assert "张三" not in event["exception"]


def test_loggers_of_others_are_structured_too(log: io.StringIO) -> None:
    logging.getLogger("somebody.else").warning("seen %s", 5, extra={"request": object()})
    assert '"event": "seen 5"' in log.getvalue()
    assert "object at" not in log.getvalue()
