from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from django.test import Client, RequestFactory

from programs.middleware import client_ip
from programs.models import User


def test_signed_in_pages_are_kept_by_nobody(
    people: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    response = sign_in(people.community_officer).get("/")
    assert {"private", "no-store"} <= {part.strip() for part in response["Cache-Control"].split(",")}


@pytest.mark.parametrize(
    ("proxies", "forwarded", "peer", "expected"),
    [
        (0, "203.0.113.9", "198.51.100.1", "198.51.100.1"),  # nobody's word is taken without a proxy
        (1, "203.0.113.9", "198.51.100.1", "203.0.113.9"),
        (1, "6.6.6.6, 203.0.113.9", "198.51.100.1", "203.0.113.9"),  # what the client made up stands first
        (2, "203.0.113.9, 10.0.0.2", "198.51.100.1", "203.0.113.9"),
        (2, "203.0.113.9", "198.51.100.1", "198.51.100.1"),
        (1, "<script>", "198.51.100.1", "198.51.100.1"),
        (0, "", "", None),
    ],
)
def test_client_ip(
    settings: SimpleNamespace, proxies: int, forwarded: str, peer: str, expected: str | None
) -> None:
    settings.PROXY_COUNT = proxies
    request = RequestFactory().get("/", headers={"X-Forwarded-For": forwarded}, REMOTE_ADDR=peer)
    assert client_ip(request) == expected
