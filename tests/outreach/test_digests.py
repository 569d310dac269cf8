"""Reminders: who is told what, once, in which language, and that mail fails nobody."""

from __future__ import annotations

import datetime as dt
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from outreach import deadlines, digests, inbox
from outreach.digest_tasks import make_digests as task
from outreach.models import Digest
from programs.models import AuditEvent
from tests.outreach.test_inbox import some_of_everything
from tests.outreach.test_life import VALUES, received, world

__all__ = ["world"]  # a fixture

pytestmark = pytest.mark.django_db


@pytest.fixture
def day() -> dt.date:
    return deadlines.after(timezone.localdate(), 1)


@pytest.fixture
def mailing(settings: Any) -> Any:
    settings.EMAIL_HOST, settings.PUBLIC_URL = "mail.invalid", "https://caring.example.cn/"
    settings.DEFAULT_FROM_EMAIL = "portal@example.cn"
    return settings


@pytest.fixture
def readers(world: SimpleNamespace) -> SimpleNamespace:
    """Two officers with addresses, one of each language, and something waiting for both."""
    for person, language in (
        (world.people.community_officer, "zh-hans"),
        (world.people.sibling_officer, "en"),
    ):
        person.email, person.language = f"{person.username}@example.cn", language
        person.save()
    received(world)
    received(world, "sibling_officer")
    return world


def told() -> dict[str, dict[str, int]]:
    return {digest.user.username: digest.counts for digest in Digest.objects.select_related("user")}


def test_everybody_is_told_what_their_inbox_holds(world: SimpleNamespace, day: dt.date) -> None:
    some_of_everything(world)
    expected = {}
    for person in vars(world.people).values():
        actor = digests.Actor.of(person)
        numbers = inbox.counts(actor, day) if actor.may(digests.Permission.RECORD_WRITE) else {}
        if mine := {code: numbers[code] for code in digests.TOLD if numbers.get(code)}:
            expected[person.username] = mine
    assert {"community_officer", "unit_officer", "sibling"} <= set(expected)
    assert digests.make_digests(day) == len(expected)
    assert told() == expected
    assert set(expected["community_officer"]) >= {"overdue", "returned", "revisit"}


def test_of_all_units_one_writes_for_and_of_those_merged(
    world: SimpleNamespace, make_user: Any, day: dt.date
) -> None:
    received(world)
    received(world, "sibling_officer")
    make_user("sibling", "community_officer", world.tree.own)
    gone = make_user("gone", "community_officer", world.tree.own)
    make_user("over", "community_officer", world.tree.own, valid_to=day - dt.timedelta(days=1))
    gone.is_active = False
    gone.save()
    digests.make_digests(day)
    found = told()
    assert (found["sibling"]["new"], found["community_officer"]["new"]) == (2, 1)
    assert not {"gone", "over", "leader", "auditor", "outsider"} & set(found)

    Digest.objects.all().delete()
    sibling = world.tree.sibling
    type(sibling).objects.filter(pk=sibling.pk).update(merged_into=world.tree.own, closed_on=day)
    digests.make_digests(day)
    assert told()["community_officer"]["new"] == 2


def test_twice_is_once(readers: SimpleNamespace, day: dt.date) -> None:
    digests.make_digests(day)
    before = told()
    received(readers)
    digests.make_digests(day)
    assert told() == before
    digests.make_digests(deadlines.after(day, 1))
    assert Digest.objects.count() == 2 * len(before)


@pytest.mark.parametrize(
    ("day", "works"),
    [
        (dt.date(2026, 3, 5), True),
        (dt.date(2026, 3, 7), False),  # a Saturday
        (dt.date(2026, 10, 1), False),  # National Day, a Thursday
        (dt.date(2026, 1, 4), True),  # a Sunday worked in exchange for a holiday
    ],
)
def test_only_on_working_days(readers: SimpleNamespace, day: dt.date, works: bool) -> None:
    assert bool(digests.make_digests(day)) is works
    assert Digest.objects.exists() is works


def test_the_number_of_queries_does_not_grow(
    readers: SimpleNamespace, make_user: Any, mailing: Any, day: dt.date
) -> None:
    mailing.EMAIL_HOST = ""

    def queries() -> int:
        Digest.objects.all().delete()
        with CaptureQueriesContext(connection) as counted:
            digests.make_digests(day)
        return len(counted)

    few = queries()
    for number in range(50):
        make_user(f"more{number}", "community_officer", readers.tree.own)
    assert queries() == few
    assert Digest.objects.count() > 50


# --- by e-mail -----------------------------------------------------------------------------------------------------


def test_each_is_mailed_once_in_their_language(
    readers: SimpleNamespace, mailing: Any, day: dt.date, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks() as after_commit:
        digests.make_digests(day)
    assert mail.outbox == []
    for callback in after_commit:
        callback()
    for _turn in range(2):
        with django_capture_on_commit_callbacks(execute=True):
            digests.make_digests(day)
    found = {message.to[0]: message for message in mail.outbox}
    assert len(found) == len(mail.outbox) == 2
    english = found["sibling@example.cn"]
    assert english.subject == f"Opinions to handle on {day}"
    assert "New: 1" in english.body and "https://caring.example.cn/opinions/inbox/" in english.body
    chinese = found["community_officer@example.cn"]
    assert chinese.from_email == "portal@example.cn"
    assert not any(
        str(VALUES[name]) in m.subject + m.body for m in mail.outbox for name in ("citizen", "phone", "title")
    )
    assert Digest.objects.filter(mailed_at=None).exclude(user__email="").count() == 0


def test_the_words_are_those_of_the_language(readers: SimpleNamespace, day: dt.date, mailing: Any) -> None:
    from django.utils import translation

    digests.make_digests(day)
    for digest in Digest.objects.exclude(user__email="").select_related("user"):
        with translation.override(digest.user.language):
            labels = [str(row["label"]) for row in digests.rows_of(digest)]
            subject = translation.gettext("Opinions to handle on %(day)s") % {"day": day.isoformat()}
        message = digests.message_of(digest)
        assert message.subject == subject
        assert all(label in message.body for label in labels)


def test_without_a_mail_server_none_is_sent(
    readers: SimpleNamespace, settings: Any, day: dt.date, django_capture_on_commit_callbacks: Any
) -> None:
    settings.EMAIL_HOST = ""
    with django_capture_on_commit_callbacks(execute=True):
        digests.make_digests(day)
    assert digests.send_mails(day) == 0
    assert mail.outbox == [] and not Digest.objects.exclude(mailed_at=None).exists()


class Refusing(EmailBackend):
    """Takes every message but that to the first address."""

    def send_messages(self, messages: Any) -> int:
        if "community_officer" in messages[0].to[0]:
            raise ConnectionResetError
        return super().send_messages(messages)


class Down(EmailBackend):
    def open(self) -> bool:
        raise ConnectionRefusedError


def test_what_a_server_refuses_costs_nobody_else_theirs(
    readers: SimpleNamespace, mailing: Any, day: dt.date
) -> None:
    digests.make_digests(day)
    mailing.EMAIL_BACKEND = f"{__name__}.Refusing"
    assert digests.send_mails(day) == 1
    assert [message.to for message in mail.outbox] == [["sibling@example.cn"]]
    assert digests.send_mails(day) == 0


def test_while_the_server_is_down_messages_wait(readers: SimpleNamespace, mailing: Any, day: dt.date) -> None:
    digests.make_digests(day)
    usual, mailing.EMAIL_BACKEND = mailing.EMAIL_BACKEND, f"{__name__}.Down"
    assert digests.send_mails(day) == 0
    assert not Digest.objects.exclude(mailed_at=None).exists()
    mailing.EMAIL_BACKEND = usual
    assert digests.send_mails(day) == 2


def test_what_another_worker_took_meanwhile_is_not_sent_again(
    readers: SimpleNamespace, mailing: Any, day: dt.date, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests.make_digests(day)
    usual = digests._open

    def slow() -> Any:
        monkeypatch.setattr(digests, "_open", usual)
        assert digests.send_mails(day) == 2  # the other worker, between our list and our first message
        return usual()

    monkeypatch.setattr(digests, "_open", slow)
    assert digests.send_mails(day) == 0
    assert len(mail.outbox) == 2


# --- on the home page ----------------------------------------------------------------------------------------------


def test_it_stands_on_the_home_page_until_it_is_read(
    readers: SimpleNamespace, sign_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "is_working_day", lambda day: True)
    task()
    client, other = sign_in(readers.people.community_officer), sign_in(readers.people.sibling_officer)
    page = client.get("/").content.decode()
    assert 'id="digest-title"' in page and "/opinions/inbox/?tab=new" in page
    for _turn in range(2):
        assert client.post("/reminders/read/")["Location"] == "/"
    assert 'id="digest-title"' not in client.get("/").content.decode()
    assert 'id="digest-title"' in other.get("/").content.decode()
    assert AuditEvent.objects.filter(action="digest.read").count() == 1
    Digest.objects.update(day=timezone.localdate() - dt.timedelta(days=1))
    assert 'id="digest-title"' not in other.get("/").content.decode()
    assert client.get("/reminders/read/").status_code == 405


# --- at once -------------------------------------------------------------------------------------------------------


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_remind_once(readers: SimpleNamespace, mailing: Any, day: dt.date) -> None:
    barrier, made = threading.Barrier(2), []

    def work() -> None:
        try:
            barrier.wait(10)
            made.append(digests.make_digests(day))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _turn in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(made) == 2
    assert Digest.objects.count() == Digest.objects.values("user").distinct().count() >= 2
    assert sorted(message.to[0] for message in mail.outbox) == [
        "community_officer@example.cn",
        "sibling@example.cn",
    ]


def test_reminders_of_more_than_a_year_ago_are_cleared_away(readers: SimpleNamespace) -> None:
    today, person = timezone.localdate(), readers.people.community_officer
    for days in (1, 365, 367, 800):
        Digest.objects.create(user=person, day=today - dt.timedelta(days=days), counts={"new": 1})
    task()
    kept = Digest.objects.filter(user=person, day__lt=today).values_list("day", flat=True)
    assert sorted((today - day).days for day in kept) == [1, 365]
