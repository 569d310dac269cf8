from __future__ import annotations

import re
from io import StringIO
from types import SimpleNamespace

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from programs.models import AuditEvent, User


def test_the_printed_password_works_once_and_must_be_changed(tree: SimpleNamespace) -> None:
    out = StringIO()
    call_command("create_administrator", "first", name="第一人", unit=tree.district.code, stdout=out)
    user = User.objects.get(username="first")
    found = re.search(r"sign in with (\S+) and", out.getvalue())
    assert found and user.check_password(found[1])
    assert user.must_change_password
    assert [(g.role, g.unit, g.include_descendants) for g in user.grants.all()] == [
        ("administrator", tree.district, True)
    ]
    assert AuditEvent.objects.filter(action="person.create", object_pk=user.pk).exists()


@pytest.mark.parametrize(("username", "unit"), [("", "331002"), ("x" * 60, "331002"), ("first", "nowhere")])
def test_nonsense_is_refused_with_a_sentence(tree: SimpleNamespace, username: str, unit: str) -> None:
    with pytest.raises(CommandError):
        call_command("create_administrator", username, name="第一人", unit=unit)
    assert not User.objects.exists()


def test_a_unit_that_is_no_district_is_refused(tree: SimpleNamespace) -> None:
    with pytest.raises(CommandError):
        call_command("create_administrator", "first", name="第一人", unit=tree.own.code)
    assert not User.objects.exists()
