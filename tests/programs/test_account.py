"""Signing in and out, the second factor, and one's own account."""

from __future__ import annotations

import base64
import datetime as dt
import re
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from axes.models import AccessAttempt
from django.conf import settings as django_settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_otp.oath import hotp
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from programs import lockout, second_factor
from programs.models import AuditEvent, Grant, User

PASSWORD = "a-long-password-1"
NEW = "quite-another-one-2"
SIGN_IN = "/sign-in/"
CODE = "/sign-in/code/"
OPEN = "/account/"  # any page that needs nothing but being signed in
NOON = dt.datetime(2026, 5, 12, 4, 0, tzinfo=dt.UTC)

EVIL = [
    "https://evil.example/",
    "//evil.example/",
    "///evil.example/",
    "http:///evil.example/",
    "/\\evil.example/",
    "\\\\evil.example/",
    "javascript:alert(1)",
    "data:text/html,x",
    " //evil.example/",
    "\t//evil.example/",
    "\x00//evil.example/",
    "https:evil.example",
    "//testserver@evil.example/",
    "/" + "a" * 3000,
]
ODD = ["\x00", "\ufdfa" * 40, "a\x00b", "长" * 5000, "𠮷" * 300, "=cmd()", "' OR 1=1 --", "\u202e\u0000", ""]


@pytest.fixture(autouse=True)
def _in_english(settings: Any) -> None:
    settings.LANGUAGE_CODE = "en"


@pytest.fixture
def user(make_user: Callable[..., User], tree: SimpleNamespace) -> User:
    user = make_user("insider", "community_officer", tree.own)
    User.objects.update(language="en")
    user.refresh_from_db()
    return user


def enter(client: Client, username: str = "insider", password: str = PASSWORD, **more: Any) -> Any:
    return client.post(SIGN_IN, {"username": username, "password": password, **more})


def is_in(client: Client) -> bool:
    """Whether the client has a session that opens pages."""
    return client.get(OPEN).status_code == 200


def errors(response: Any) -> str:
    return str(response.context["form"].errors)


def events(action: str) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=action))


# --- signing in -----------------------------------------------------------------------------------


def test_the_right_password_opens_a_session_and_is_audited(user: User) -> None:
    client = Client(REMOTE_ADDR="10.1.2.3")
    response = enter(client)
    assert (response.status_code, response.url) == (302, "/")
    assert is_in(client)
    [event] = events("sign_in")
    assert (event.actor_id, event.object_pk, event.ip) == (user.pk, str(user.pk), "10.1.2.3")
    assert (event.role, event.unit_name, event.outcome) == ("community_officer", "城隍浦社区", "done")
    assert event.request_id == response["X-Request-ID"]


def test_nothing_of_the_strangers_session_goes_on(user: User) -> None:
    client = Client()
    session = client.session
    session["planted"] = "by somebody else"
    session.save()
    old_key = session.session_key
    client.cookies[django_settings.SESSION_COOKIE_NAME] = old_key
    enter(client)
    assert client.session.session_key != old_key
    assert "planted" not in client.session
    assert not Session.objects.filter(session_key=old_key).exists()


@pytest.mark.parametrize("case", ["unknown", "inactive", "wrong"])
def test_every_refusal_reads_the_same(user: User, case: str) -> None:
    username = {"unknown": "nobody-here", "inactive": "insider", "wrong": "insider"}[case]
    if case == "inactive":
        User.objects.update(is_active=False)
    password = PASSWORD if case == "inactive" else "wrong-password-1"
    response = enter(Client(), username, password)
    assert response.status_code == 200
    assert response.context["form"].errors == {"__all__": ["The user name or the password is not right."]}
    assert "wrong-password-1" not in response.content.decode()


def test_a_known_and_an_unknown_name_get_the_same_page(user: User) -> None:
    def page(username: str) -> str:
        text = enter(Client(), username, "wrong-password-1").content.decode().replace(username, "NAME")
        return re.sub(r'name="csrfmiddlewaretoken" value="\w+"|content="\w{64}"', "", text)

    assert page("insider") == page("unknown-name")


def test_the_time_of_an_unknown_name_is_spent_on_a_hash_too(user: User, monkeypatch: Any) -> None:
    """Not timed, which would be shaky: counted."""
    hashed = []
    from django.contrib.auth import hashers

    hasher = hashers.get_hasher()
    encode = type(hasher).encode

    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        hashed.append(1)
        return encode(self, *args, **kwargs)

    monkeypatch.setattr(type(hasher), "encode", counted)
    counts = []
    for username in ("insider", "nobody-here"):
        hashed.clear()
        enter(Client(), username, "wrong-password-1")
        counts.append(len(hashed))
    assert counts == [1, 1]


def test_a_refusal_is_audited_with_the_account_but_never_with_what_was_typed(user: User) -> None:
    enter(Client(), "insider", "wrong-password-1")
    enter(Client(), "my-secret-typed-here", "x")
    known, unknown = AuditEvent.objects.filter(action="sign_in.failed").order_by("pk")
    assert (known.outcome, known.object_pk, known.unit_name) == ("denied", str(user.pk), "城隍浦社区")
    assert (unknown.object_pk, unknown.object_label, unknown.unit_path) == ("", "", "")
    assert "my-secret-typed-here" not in str(AuditEvent.objects.filter(pk=unknown.pk).values())


@pytest.mark.parametrize("username", ["insider", "nobody-here"])
def test_five_wrong_passwords_lock_the_name_whether_known_or_not(user: User, username: str) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        for count in range(4):
            assert enter(Client(REMOTE_ADDR=f"10.0.0.{count}"), username, "wrong").status_code == 200
        fifth = enter(Client(REMOTE_ADDR="10.0.0.9"), username, "wrong")
        assert fifth.status_code == 429
        assert "locked for 15 minutes" in errors(fifth)
        clock.shift(dt.timedelta(minutes=10))
        again = enter(Client(), username, PASSWORD)
        assert again.status_code == 429
        assert "locked for 5 minutes" in errors(again)
        assert "sessionid" not in again.cookies
        clock.shift(dt.timedelta(minutes=5, seconds=1))
        assert enter(Client(), username, PASSWORD).status_code == (302 if username == "insider" else 200)
    assert len(events("sign_in.locked")) == 2
    assert {event.outcome for event in events("sign_in.locked")} == {"denied"}


def test_a_lock_on_one_name_leaves_others_alone(user: User, make_user: Callable[..., User]) -> None:
    make_user("colleague")
    for _count in range(6):
        enter(Client(), "insider", "wrong")
    assert enter(Client(), "colleague").status_code == 302


def test_signing_in_forgets_the_wrong_passwords_before(user: User) -> None:
    for _round in range(3):
        for _count in range(4):
            assert enter(Client(), "insider", "wrong").status_code == 200
        assert enter(Client()).status_code == 302


def test_other_spellings_of_one_name_share_one_lock(user: User) -> None:
    """Full-width letters are the same name, and are not five guesses more."""
    for spelling in ("insider", "ｉnsider", "iｎsider", "inｓider", "ｉｎｓider"):
        enter(Client(), spelling, "wrong")
    assert enter(Client()).status_code == 429


def test_no_password_is_kept_with_a_failed_attempt(user: User, sign_in: Callable[[User], Client]) -> None:
    enter(Client(), "insider", "typed-secret-1")
    change = {
        "password": "typed-secret-2",
        "new_password1": "typed-secret-3",
        "new_password2": "typed-secret-3",
    }
    sign_in(user).post("/account/password/", change)
    kept = str(list(AccessAttempt.objects.values()))
    assert AccessAttempt.objects.exists()
    assert "typed-secret" not in kept


@pytest.mark.parametrize("address", EVIL)
@pytest.mark.parametrize("way", ["get", "post"])
def test_next_never_leads_out_of_the_portal(user: User, address: str, way: str) -> None:
    if way == "post":
        response = enter(Client(), next=address)
    else:
        response = Client().post(
            SIGN_IN, {"username": "insider", "password": PASSWORD}, query_params={"next": address}
        )
    assert (response.status_code, response.url) == (302, "/")


def test_next_leads_to_where_one_wanted_to_go(user: User) -> None:
    client = Client()
    asked = client.get("/search/?q=a")
    assert asked.status_code == 302
    page = client.get(asked.url)
    response = enter(client, next=page.context["next"])
    assert response.url == "/search/?q=a"


def test_who_is_signed_in_is_not_asked_again(user: User, sign_in: Callable[[User], Client]) -> None:
    client = sign_in(user)
    assert client.get(SIGN_IN, {"next": "/search/"}).url == "/search/"
    assert client.get(SIGN_IN, {"next": "//evil.example"}).url == "/"


@pytest.mark.parametrize("odd", ODD)
def test_odd_input_at_the_door_gets_a_message(user: User, odd: str) -> None:
    for values in ({"username": odd, "password": "x"}, {"username": "insider", "password": odd}):
        response = Client().post(SIGN_IN, values)
        assert response.status_code == 200
        assert response.context["form"].errors


def test_a_name_that_grows_when_it_is_normalised_is_no_name(user: User) -> None:
    """720 characters of Arabic from 40 signs: longer than any column that keeps it."""
    assert "username" in enter(Client(), "\ufdfa" * 40, "x").context["form"].errors


def test_lone_surrogates_at_the_door_get_a_message(user: User) -> None:
    response = Client().post(
        SIGN_IN, b"username=%ED%A0%80&password=%ED%BF%BF", content_type="application/x-www-form-urlencoded"
    )
    assert response.status_code == 200
    assert response.context["form"].errors


# --- signing out ----------------------------------------------------------------------------------


def test_signing_out_ends_the_session_and_is_audited(user: User, sign_in: Callable[[User], Client]) -> None:
    client, other = sign_in(user), sign_in(user)
    assert client.get("/sign-out/").status_code == 405
    assert is_in(client)
    assert client.post("/sign-out/").url == SIGN_IN
    assert not is_in(client)
    assert is_in(other)
    [event] = events("sign_out")
    assert event.actor_id == user.pk


def test_signing_out_everywhere_keeps_no_session(user: User, sign_in: Callable[[User], Client]) -> None:
    clients = [sign_in(user) for _number in range(3)]
    assert clients[0].get("/sign-out/everywhere/").status_code == 405
    clients[0].post("/sign-out/everywhere/")
    assert [is_in(client) for client in clients] == [False, False, False]
    assert len(events("person.end_sessions")) == 1
    assert enter(Client()).status_code == 302


# --- the second factor ----------------------------------------------------------------------------


def code_for(key: str) -> str:
    """What the app shows now."""
    return f"{hotp(bytes.fromhex(key), int(time.time() // 30)):06d}"


@pytest.fixture
def clock() -> Any:
    with time_machine.travel(NOON, tick=False) as clock:
        yield clock


@pytest.fixture
def device(user: User, clock: Any) -> TOTPDevice:
    """The user's second factor, set up an hour ago."""
    second_factor.set_up(user, second_factor.random_key(), 0)
    return TOTPDevice.objects.get(user=user)


def two_steps(device: TOTPDevice) -> Client:
    client = Client()
    enter(client)
    client.post(CODE, {"code": code_for(device.key)})
    assert is_in(client)
    return client


def test_setting_up_with_a_real_code(user: User, sign_in: Callable[[User], Client], clock: Any) -> None:
    client, other = sign_in(user), sign_in(user)
    page = client.get("/account/two-factor/")
    assert b"data:image/svg+xml;base64," in page.content
    key = base64.b32decode(page.context["key"].replace(" ", "")).hex()
    wrong = f"{(int(code_for(key)) + 1) % 1_000_000:06d}"
    refused = client.post("/account/two-factor/", {"code": wrong})
    assert refused.context["form"].errors
    assert not second_factor.is_on(user)
    shown = client.post("/account/two-factor/", {"code": code_for(key)})
    codes = shown.context["codes"]
    assert len(set(codes)) == 10
    assert all(code in shown.content.decode() for code in codes)
    assert "no-store" in shown["Cache-Control"]
    assert second_factor.is_on(user)
    assert is_in(client), "the session that set it up goes on"
    assert not is_in(other), "a session opened without it ends"
    assert codes[0] not in client.get("/account/two-factor/").content.decode()
    assert len(events("account.second_factor_on")) == 1
    # The code that proved the key is used up.
    fresh = Client()
    enter(fresh)
    fresh.post(CODE, {"code": code_for(key)})
    assert not is_in(fresh)


def test_the_key_stays_the_same_until_a_code_proves_it(user: User, sign_in: Callable[[User], Client]) -> None:
    client = sign_in(user)
    keys = {client.get("/account/two-factor/").context["key"] for _time in range(2)}
    assert len(keys) == 1
    assert sign_in(user).get("/account/two-factor/").context["key"] not in keys


def test_with_a_second_factor_the_password_alone_opens_nothing(user: User, device: TOTPDevice) -> None:
    client = Client()
    response = enter(client, next="/search/?q=a")
    assert response.url == CODE
    assert SESSION_KEY not in client.session
    assert not is_in(client)
    assert not events("sign_in")
    assert client.get(CODE).status_code == 200
    response = client.post(CODE, {"code": code_for(device.key)})
    assert response.url == "/search/?q=a"
    assert is_in(client)
    assert len(events("sign_in")) == 1


def test_the_code_step_forgets_an_address_out_of_the_portal(user: User, device: TOTPDevice) -> None:
    client = Client()
    enter(client, next="//evil.example/")
    assert client.post(CODE, {"code": code_for(device.key)}).url == "/"


def test_a_code_opens_once(user: User, device: TOTPDevice, clock: Any) -> None:
    two_steps(device)
    again = Client()
    enter(again)
    refused = again.post(CODE, {"code": code_for(device.key)})
    assert refused.status_code == 200
    assert not is_in(again)
    [event] = events("sign_in.code_failed")
    assert (event.outcome, event.object_pk) == ("denied", str(user.pk))
    clock.shift(31)
    again.post(CODE, {"code": code_for(device.key)})
    assert is_in(again)


def test_full_width_digits_and_spaces_are_the_same_code(user: User, device: TOTPDevice) -> None:
    client = Client()
    enter(client)
    wide = code_for(device.key).translate({ord("0") + n: ord("０") + n for n in range(10)})
    client.post(CODE, {"code": f" {wide[:3]} {wide[3:]} "})
    assert is_in(client)


def test_guessing_codes_is_slowed_down(user: User, device: TOTPDevice, clock: Any) -> None:
    client = Client()
    enter(client)
    right = code_for(device.key)
    wrong = f"{(int(right) + 1) % 1_000_000:06d}"
    for seconds in (1, 2, 4):
        assert client.post(CODE, {"code": wrong}).status_code == 200
        early = client.post(CODE, {"code": right})
        assert early.status_code == 429, "not even the right code is looked at"
        assert f"wait {seconds} second" in errors(early)
        clock.shift(seconds)
    client.post(CODE, {"code": code_for(device.key)})
    assert is_in(client)


def test_the_time_for_the_code_runs_out(user: User, device: TOTPDevice, clock: Any) -> None:
    client = Client()
    enter(client)
    clock.shift(301)
    assert client.get(CODE).url == SIGN_IN
    assert client.post(CODE, {"code": code_for(device.key)}).url == SIGN_IN
    assert not is_in(client)


def test_the_code_page_is_nothing_without_a_password(user: User, device: TOTPDevice) -> None:
    client = Client()
    assert client.get(CODE).url == SIGN_IN
    assert client.post(CODE, {"code": code_for(device.key)}).url == SIGN_IN
    assert not is_in(client)


@pytest.mark.parametrize("change", ["password", "epoch", "closed"])
def test_what_ends_sessions_ends_a_half_opened_one_too(user: User, device: TOTPDevice, change: str) -> None:
    client = Client()
    enter(client)
    if change == "password":
        user.set_password(NEW)
    elif change == "epoch":
        user.session_epoch += 1
    else:
        user.is_active = False
    user.save()
    assert client.post(CODE, {"code": code_for(device.key)}).url == SIGN_IN
    assert not is_in(client)


def test_a_recovery_code_opens_once_and_is_kept_as_a_fingerprint(user: User, device: TOTPDevice) -> None:
    codes = second_factor.new_recovery_codes(user)
    assert not StaticToken.objects.filter(
        token__in=[second_factor.plain(code)[:16] for code in codes]
    ).exists()
    client = Client()
    enter(client)
    client.post(CODE, {"code": codes[0].upper()})
    assert is_in(client)
    assert second_factor.recovery_codes_left(user) == 9
    again = Client()
    enter(again)
    again.post(CODE, {"code": codes[0]})
    assert not is_in(again)


def test_recovery_codes_of_others_open_nothing(
    user: User, device: TOTPDevice, make_user: Callable[..., User]
) -> None:
    other = make_user("other")
    codes = second_factor.set_up(other, second_factor.random_key(), 0)
    client = Client()
    enter(client)
    client.post(CODE, {"code": codes[0]})
    assert not is_in(client)
    assert second_factor.recovery_codes_left(other) == 10


def test_new_recovery_codes_need_the_password_and_end_the_old_ones(
    user: User, device: TOTPDevice, clock: Any
) -> None:
    old = second_factor.new_recovery_codes(user)
    client = two_steps(device)
    refused = client.post("/account/two-factor/", {"do": "renew", "password": "wrong"})
    assert refused.context["form"].errors
    assert second_factor.recovery_codes_left(user) == 10
    new = client.post("/account/two-factor/", {"do": "renew", "password": PASSWORD}).context["codes"]
    assert not set(new) & set(old)
    for code, opens in ((old[1], False), (new[1], True)):
        fresh = Client()
        enter(fresh)
        fresh.post(CODE, {"code": code})
        assert is_in(fresh) is opens
        clock.shift(2)


def test_a_session_opened_by_a_recovery_code_survives_new_ones(user: User, device: TOTPDevice) -> None:
    [code, *_others] = second_factor.new_recovery_codes(user)
    client = Client()
    enter(client)
    client.post(CODE, {"code": code})
    client.post("/account/two-factor/", {"do": "renew", "password": PASSWORD})
    assert client.get("/account/two-factor/").context["codes_left"] == 10


def test_switching_off_needs_the_password(user: User, device: TOTPDevice) -> None:
    client = two_steps(device)
    client.post("/account/two-factor/", {"do": "off", "password": "wrong"})
    assert second_factor.is_on(user)
    client.post("/account/two-factor/", {"do": "off", "password": PASSWORD})
    assert not second_factor.is_on(user)
    assert not StaticToken.objects.exists()
    assert len(events("account.second_factor_off")) == 1
    fresh = Client()
    enter(fresh)
    assert is_in(fresh)


def test_a_required_second_factor_cannot_be_switched_off(
    user: User, device: TOTPDevice, settings: Any
) -> None:
    settings.TWO_FACTOR_REQUIRED_ROLES = ["community_officer"]
    client = two_steps(device)
    page = client.get("/account/two-factor/")
    assert 'value="off"' not in page.content.decode()
    assert client.post("/account/two-factor/", {"do": "off", "password": PASSWORD}).status_code == 403
    assert second_factor.is_on(user)


def test_a_role_that_requires_it_opens_nothing_before(
    user: User, sign_in: Callable[[User], Client], settings: Any, clock: Any
) -> None:
    settings.TWO_FACTOR_REQUIRED_ROLES = ["community_officer"]
    client = sign_in(user)
    for path in ("/", OPEN, "/search/", "/records/activities/", "/records/activities/new/"):
        assert client.get(path).url == "/account/two-factor/", path
    assert client.get("/api/v1/me/").status_code == 403
    page = client.get("/account/two-factor/")
    assert page.status_code == 200
    assert "portal-menu" not in page.content.decode()
    key = base64.b32decode(page.context["key"].replace(" ", "")).hex()
    client.post("/account/two-factor/", {"code": code_for(key)})
    assert is_in(client)


def test_a_session_without_the_factor_must_give_a_code(
    user: User, device: TOTPDevice, sign_in: Callable[[User], Client]
) -> None:
    """Opened by some other way: it can neither switch off nor renew."""
    client = sign_in(user)
    assert client.post("/account/two-factor/", {"do": "off", "password": PASSWORD}).url == CODE
    assert second_factor.is_on(user)
    assert not is_in(client)


@pytest.mark.parametrize("odd", ODD)
def test_odd_codes_get_a_message(user: User, device: TOTPDevice, odd: str) -> None:
    client = Client()
    enter(client)
    response = client.post(CODE, {"code": odd})
    assert response.status_code == 200
    assert response.context["form"].errors


@pytest.mark.parametrize("odd", ODD)
def test_odd_input_while_setting_up_gets_a_message(
    user: User, sign_in: Callable[[User], Client], odd: str
) -> None:
    response = sign_in(user).post("/account/two-factor/", {"code": odd})
    assert response.status_code == 200
    assert response.context["form"].errors


# --- the password ---------------------------------------------------------------------------------


def change(client: Client, old: str = PASSWORD, new: str = NEW, again: str | None = None) -> Any:
    values = {"password": old, "new_password1": new, "new_password2": new if again is None else again}
    return client.post("/account/password/", values)


def test_a_new_password_ends_other_sessions_and_keeps_this_one(
    user: User, sign_in: Callable[[User], Client]
) -> None:
    client, other = sign_in(user), sign_in(user)
    assert change(client).status_code == 302
    assert is_in(client)
    assert not is_in(other)
    assert enter(Client(), password=PASSWORD).status_code == 200
    assert enter(Client(), password=NEW).status_code == 302
    [event] = events("account.password")
    assert event.changes == {}


@pytest.mark.parametrize(
    ("old", "new", "again", "field"),
    [
        ("wrong", NEW, NEW, "password"),
        (PASSWORD, NEW, "quite-another-one-3", "new_password2"),
        (PASSWORD, PASSWORD, PASSWORD, "new_password1"),
        (PASSWORD, "short-1", "short-1", "new_password1"),
        (PASSWORD, "92837465019283", "92837465019283", "new_password1"),
        (PASSWORD, "password123", "password123", "new_password1"),
        (PASSWORD, "insider-12", "insider-12", "new_password1"),
        (PASSWORD, "x" * 129, "x" * 129, "new_password1"),
        (PASSWORD, "nul\x00in-the-middle", "nul\x00in-the-middle", "new_password1"),
        (PASSWORD, "", "", "new_password1"),
    ],
)
def test_a_bad_new_password_is_refused(
    user: User, sign_in: Callable[[User], Client], old: str, new: str, again: str, field: str
) -> None:
    response = change(sign_in(user), old, new, again)
    assert response.status_code == 200
    assert field in response.context["form"].errors
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


def test_guessing_the_password_inside_locks_as_it_does_at_the_door(
    user: User, sign_in: Callable[[User], Client]
) -> None:
    client = sign_in(user)
    for _count in range(5):
        change(client, old="wrong")
    assert "locked" in errors(change(client))
    user.refresh_from_db()
    assert user.check_password(PASSWORD)
    assert lockout.locked_until("insider") is not None
    assert {event.outcome for event in events("account.confirm")} == {"denied"}


def test_a_password_chosen_by_somebody_else_must_be_changed_first(
    user: User, sign_in: Callable[[User], Client]
) -> None:
    User.objects.update(must_change_password=True)
    client = sign_in(user)
    for path in ("/", OPEN, "/search/", "/records/activities/"):
        assert client.get(path).url == "/account/password/", path
    page = client.get("/account/password/")
    assert page.status_code == 200
    assert "portal-menu" not in page.content.decode()
    change(client)
    assert is_in(client)


# --- language and acting unit ---------------------------------------------------------------------


def test_a_stranger_chooses_a_language_for_the_browser(db: None) -> None:
    client = Client()
    response = client.post("/language/", {"language": "zh-hans", "next": SIGN_IN})
    assert response.url == SIGN_IN
    assert response.cookies[django_settings.LANGUAGE_COOKIE_NAME].value == "zh-hans"
    assert client.get(SIGN_IN)["Content-Language"] == "zh-hans"
    assert not AuditEvent.objects.exists()


def test_a_persons_language_goes_with_the_account(user: User, sign_in: Callable[[User], Client]) -> None:
    sign_in(user).post("/language/", {"language": "zh-hans"})
    user.refresh_from_db()
    assert user.language == "zh-hans"
    [event] = events("account.language")
    assert event.changes == {"language": ["en", "zh-hans"]}
    elsewhere = Client()
    enter(elsewhere)
    assert elsewhere.get(OPEN)["Content-Language"] == "zh-hans"


@pytest.mark.parametrize("language", ["", "de", "zh-hans\x00", "en" * 5000])
def test_a_language_that_the_portal_does_not_speak_is_refused(user: User, language: str) -> None:
    response = Client().post("/language/", {"language": language})
    assert response.status_code == 400
    assert django_settings.LANGUAGE_COOKIE_NAME not in response.cookies


@pytest.mark.parametrize("address", EVIL)
def test_choosing_a_language_never_leads_out_of_the_portal(db: None, address: str) -> None:
    assert Client().post("/language/", {"language": "en", "next": address}).url == "/"


@pytest.fixture
def both(user: User, tree: SimpleNamespace) -> User:
    """Works for a department besides."""
    Grant.objects.create(user=user, role="unit_officer", unit=tree.police, valid_from=dt.date(2008, 1, 1))
    return user


def test_one_acts_for_the_unit_one_picks(
    both: User, tree: SimpleNamespace, sign_in: Callable[[User], Client]
) -> None:
    client = sign_in(both)
    assert client.get(OPEN).context["frame"]["acting"]["unit"] == "城隍浦社区"
    response = client.post("/acting-unit/", {"grant": tree.police.pk, "next": OPEN})
    assert response.url == OPEN
    assert client.get(OPEN).context["frame"]["acting"]["unit"] == "公安分局"
    assert client.get("/account/").wsgi_request.actor.unit == tree.police
    [event] = events("account.switch_unit")
    assert event.unit_name == "公安分局"


@pytest.mark.parametrize("case", ["foreign", "expired", "revoked", "future", "junk", "missing", "nul"])
def test_a_unit_without_an_active_grant_cannot_be_picked(
    both: User, tree: SimpleNamespace, sign_in: Callable[[User], Client], case: str
) -> None:
    today, day = timezone.localdate(), dt.timedelta(days=1)
    at_police = Grant.objects.filter(unit=tree.police)
    if case == "expired":
        at_police.update(valid_to=today - day)
    elif case == "revoked":
        at_police.update(revoked_at=timezone.now())
    elif case == "future":
        at_police.update(valid_from=today + day)
    chosen = {"foreign": tree.sibling.pk, "junk": "x", "missing": "", "nul": "\x00"}.get(case, tree.police.pk)
    client = sign_in(both)
    assert client.post("/acting-unit/", {"grant": chosen}).status_code == 403
    assert client.get(OPEN).context["frame"]["acting"]["unit"] == "城隍浦社区"
    assert AuditEvent.objects.filter(outcome="denied", actor_id=both.pk).count() == 1


def test_a_unit_is_picked_by_posting(both: User, sign_in: Callable[[User], Client]) -> None:
    assert sign_in(both).get("/acting-unit/").status_code == 405


def test_the_other_unit_does_not_get_an_object_of_the_first(
    both: User, tree: SimpleNamespace, sign_in: Callable[[User], Client], make_record: Callable[..., Any]
) -> None:
    record = make_record("activities", tree.own, by=both)
    client = sign_in(both)
    detail = reverse("record_detail", args=["activities", record.pk])
    assert client.post("/acting-unit/", {"grant": tree.police.pk, "next": detail}).url == "/"
    records = reverse("record_list", args=["activities"])
    assert client.post("/acting-unit/", {"grant": tree.own.pk, "next": records}).url == records


@pytest.mark.parametrize("address", [*EVIL, "/no/such/page/", "relative"])
def test_picking_a_unit_never_leads_out_of_the_portal(
    both: User, tree: SimpleNamespace, sign_in: Callable[[User], Client], address: str
) -> None:
    assert sign_in(both).post("/acting-unit/", {"grant": tree.police.pk, "next": address}).url == "/"


# --- one's own page -------------------------------------------------------------------------------


def test_the_account_page_shows_ones_roles_and_sign_ins(both: User, tree: SimpleNamespace) -> None:
    enter(Client(REMOTE_ADDR="10.9.9.9"), password="wrong")
    client = Client(REMOTE_ADDR="10.8.8.8")
    enter(client)
    Grant.objects.create(
        user=both,
        role="counsellor",
        unit=tree.own,
        valid_from=dt.date(2020, 1, 1),
        valid_to=dt.date(2020, 2, 1),
    )
    page = client.get(OPEN)
    text = page.content.decode()
    assert "10.8.8.8" in text
    assert "10.9.9.9" in text
    assert {(row["grant"].role, row["stands"]) for row in page.context["grants"]} == {
        ("community_officer", True),
        ("unit_officer", True),
        ("counsellor", False),
    }
    assert "公安分局" in text


def test_the_account_page_shows_no_other_persons_sign_ins(
    user: User, make_user: Callable[..., User], sign_in: Callable[[User], Client]
) -> None:
    make_user("other")
    enter(Client(REMOTE_ADDR="10.7.7.7"), "other")
    assert "10.7.7.7" not in sign_in(user).get(OPEN).content.decode()


def test_the_account_page_asks_as_many_questions_with_more_on_it(
    both: User, tree: SimpleNamespace, sign_in: Callable[[User], Client], django_assert_num_queries: Any
) -> None:
    client = sign_in(both)
    client.get(OPEN)
    with CaptureQueriesContext(connection) as few:
        client.get(OPEN)
    number = len(few)
    for unit in (tree.sibling, tree.cousin, tree.school):
        Grant.objects.create(user=both, role="counsellor", unit=unit, valid_from=dt.date(2008, 1, 1))
    for _count in range(5):
        enter(Client())
    with django_assert_num_queries(number):
        client.get(OPEN)
