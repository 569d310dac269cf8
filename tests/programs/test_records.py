"""Pages of one record: the form and everything that may be typed into it, edits, removal, what happened."""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from collections.abc import Callable
from html import unescape
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.utils import timezone

from programs import registry
from programs.access import Actor
from programs.actions import save_record
from programs.actions.units import close_unit, merge_units
from programs.disclosure import reveal
from programs.models import Attachment, AuditEvent, EducationActivity, Unit, User
from programs.models.record import Record

SignIn = Callable[[User], Client]
MakeRecord = Callable[..., Any]

NEW = "/records/activities/new/"


@pytest.fixture
def officer(people: SimpleNamespace, sign_in: SignIn) -> Client:
    return sign_in(people.community_officer)


def activity(lead: Unit, /, **over: Any) -> dict[str, Any]:
    """What the browser sends for a valid new activity."""
    return {
        "theme": "感恩教育进校园",
        "series": "six_ones",
        "setting": "school",
        "occurred_on": "2026-03-05",
        "unit": lead.code,
        "participants": "120",
        "place": "礼堂",
        "summary": "",
        "submission_key": str(uuid.uuid4()),
        **over,
    }


def written() -> tuple[int, int, int]:
    return EducationActivity.objects.count(), AuditEvent.objects.count(), Attachment.objects.count()


def text_of(response: Any) -> str:
    return unescape(response.content.decode())


def errors_of(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 200
    return {name: [str(e) for e in errors] for name, errors in response.context["form"].errors.items()}


# --- the form -----------------------------------------------------------------------------------------------------


def test_own_unit_and_today_are_there(tree: SimpleNamespace, officer: Client) -> None:
    form = officer.get(NEW).context["form"]
    assert form["unit"].value() == tree.own.code
    assert form["occurred_on"].value() == timezone.localdate()
    page = text_of(officer.get(NEW))
    assert f'<input type="hidden" name="unit" value="{tree.own.code}">' in page
    assert f'value="{tree.own.name}" readonly' in page


def test_who_writes_for_several_units_chooses(
    tree: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn
) -> None:
    merge_units(by=None, unit=tree.sibling, into=tree.own, effective_on=dt.date(2026, 5, 1))
    client = sign_in(people.community_officer)
    page = text_of(client.get(NEW))
    assert tree.sibling.name in page
    data = activity(tree.sibling, occurred_on="2026-04-30")
    assert client.post(NEW, data).status_code == 302
    assert EducationActivity.objects.get().unit == tree.sibling


def test_saving_leads_to_the_record_and_ends_the_draft(
    tree: SimpleNamespace, people: SimpleNamespace, officer: Client
) -> None:
    response = officer.post(NEW, activity(tree.own))
    record = EducationActivity.objects.get()
    assert response.url == f"/records/activities/{record.pk}/"
    cookie = response.cookies["clear_draft"]
    assert cookie.value == f"{people.community_officer.pk}%3Aactivities%3Anew"
    assert not cookie["httponly"], "the page's script reads it"
    page = text_of(officer.get(response.url))
    assert f'<a href="{response.url}">感恩教育进校园</a>' in page


def test_log_another_keeps_the_day(tree: SimpleNamespace, officer: Client) -> None:
    response = officer.post(NEW, activity(tree.own, save="again"))
    assert response.url == f"{NEW}?occurred_on=2026-03-05"
    form = officer.get(response.url).context["form"]
    assert str(form["occurred_on"].value()) == "2026-03-05"
    assert not form["theme"].value()
    assert officer.get(f"{NEW}?occurred_on=nonsense").context["form"]["occurred_on"].value()


@pytest.mark.parametrize(
    "text", ["感恩教育 😀 👨‍👩‍👧", "𠮷野家的𪚥", "a<b>&\"c'", "第一行 第二行", "‮reversed"]
)
def test_rare_characters_are_kept_as_they_are(tree: SimpleNamespace, officer: Client, text: str) -> None:
    response = officer.post(NEW, activity(tree.own, theme=text))
    assert EducationActivity.objects.get().theme == text
    assert text in text_of(officer.get(response.url))


def test_full_width_digits_are_digits(tree: SimpleNamespace, officer: Client) -> None:
    officer.post(NEW, activity(tree.own, occurred_on="２０２６－０３－０５", participants="１２０"))
    record = EducationActivity.objects.get()
    assert (record.occurred_on, record.participants) == (dt.date(2026, 3, 5), 120)


def test_sensitive_fields_stay_out_of_drafts_in_the_browser(
    tree: SimpleNamespace, people: SimpleNamespace, actor: Callable[[User], Actor]
) -> None:
    form = registry.kind("cases").form(actor=actor(people.community_officer))
    assert "data-draft-skip" in str(form["id_number"])
    assert "data-draft-skip" not in str(form["title"])


# --- bad input ----------------------------------------------------------------------------------------------------

SOON = (
    timezone.localdate() + dt.timedelta(days=2)
).isoformat()  # still to come if midnight passes during the run
BAD = [
    ("theme", "", "theme"),
    ("theme", "   ", "theme"),
    ("theme", "长" * 101, "theme"),
    ("theme", "前\x00后", "theme"),
    ("place", "长" * 101, "place"),
    ("summary", "长" * 5001, "summary"),
    ("summary", "\x00", "summary"),
    ("series", "", "series"),
    ("series", "nothing", "series"),
    ("setting", "school\x00", "setting"),
    ("festival", "neighbours", "festival"),
    ("participants", "", "participants"),
    ("participants", "-1", "participants"),
    ("participants", "200001", "participants"),
    ("participants", "9" * 40, "participants"),
    ("participants", "1.5", "participants"),
    ("participants", "1e9", "participants"),
    ("participants", "NaN", "participants"),
    ("participants", "许多", "participants"),
    ("participants", "1\x00", "participants"),
    ("occurred_on", "", "occurred_on"),
    ("occurred_on", SOON, "occurred_on"),
    ("occurred_on", "2007-12-31", "occurred_on"),
    ("occurred_on", "0000-00-00", "occurred_on"),
    ("occurred_on", "2026-02-30", "occurred_on"),
    ("occurred_on", "99999-01-01", "occurred_on"),
    ("occurred_on", "昨天", "occurred_on"),
    ("occurred_on", "2026-03-05\x00", "occurred_on"),
    ("unit", "", "unit"),
    ("unit", "331002001", "unit"),  # the street above
    ("unit", "331002001004", "unit"),  # the neighbour
    ("unit", "331003001001", "unit"),  # another district
    ("unit", "000", "unit"),
    ("unit", "1" * 500, "unit"),
    ("unit", "\x00", "unit"),
    ("joint_units", "000", "joint_units"),
    ("joint_units", "331003001001", "joint_units"),
    ("joint_units", "331002001003", "joint_units"),  # the lead unit itself
    ("joint_units", "\x00", "joint_units"),
    ("joint_units", ",".join(str(n) for n in range(60)), "joint_units"),
]


@pytest.mark.parametrize(("name", "value", "place"), BAD, ids=[f"{n}={v[:12]!r}" for n, v, _ in BAD])
def test_bad_input_is_told_beside_the_field_and_nothing_is_written(
    tree: SimpleNamespace, officer: Client, name: str, value: str, place: str
) -> None:
    before = written()
    response = officer.post(NEW, activity(tree.own, **{name: value}))
    errors = errors_of(response)
    assert list(errors) == [place]
    assert written() == before
    page = text_of(response)
    assert page.count(errors[place][0]) >= 2, "at the top and beside the field"
    form = response.context["form"]
    others = {"theme", "place", "participants", "occurred_on"} - {name}
    assert {other: form[other].value() for other in others} == {
        other: activity(tree.own)[other] for other in others
    }, "everything typed is still there"
    assert form["submission_key"].value() == response.wsgi_request.POST["submission_key"]


def test_a_festival_is_named(tree: SimpleNamespace, officer: Client) -> None:
    assert list(errors_of(officer.post(NEW, activity(tree.own, series="festival")))) == ["festival"]
    data = activity(tree.own, series="festival", festival="neighbours")
    assert officer.post(NEW, data).status_code == 302
    assert EducationActivity.objects.get().festival == "neighbours"


def test_a_unit_is_named_as_long_as_it_stood(
    tree: SimpleNamespace, people: SimpleNamespace, officer: Client
) -> None:
    close_unit(by=None, unit=tree.own, effective_on=dt.date(2026, 4, 1))
    errors = errors_of(officer.post(NEW, activity(tree.own, occurred_on="2026-04-02")))
    assert list(errors) == ["occurred_on"]
    assert tree.own.name in errors["occurred_on"][0]
    assert officer.post(NEW, activity(tree.own, occurred_on="2026-03-31")).status_code == 302


def test_a_closed_unit_joins_nothing_new_but_stays_where_it_was(
    tree: SimpleNamespace, people: SimpleNamespace, officer: Client, make_record: MakeRecord
) -> None:
    record = make_record("activities", tree.own, people.community_officer, [tree.sibling])
    close_unit(by=None, unit=tree.sibling, effective_on=dt.date(2026, 4, 1))
    joined = {"joint_units": tree.sibling.code}
    assert list(errors_of(officer.post(NEW, activity(tree.own, **joined)))) == ["joint_units"]
    data = activity(tree.own, **joined, version="1")
    assert officer.post(f"/records/activities/{record.pk}/edit/", data).status_code == 302


def test_several_errors_are_told_at_once(tree: SimpleNamespace, officer: Client) -> None:
    errors = errors_of(officer.post(NEW, {"occurred_on": SOON, "participants": "-1", "unit": tree.own.code}))
    assert set(errors) == {"theme", "series", "setting", "occurred_on", "participants"}


def test_bytes_that_are_no_text_break_nothing(tree: SimpleNamespace, officer: Client) -> None:
    """A lone surrogate in UTF-8 cannot be decoded; what stands in its place can be stored."""
    data = activity(tree.own, theme="X")
    body = "&".join(f"{name}={value}" for name, value in data.items()).encode()
    body = body.replace(b"theme=X", b"theme=%ED%A0%80%FF")
    response = officer.post(NEW, body, content_type="application/x-www-form-urlencoded")
    assert response.status_code in (200, 302)
    assert all("\ud800" not in record.theme for record in EducationActivity.objects.all())


def test_a_lone_surrogate_is_refused_by_the_form(
    tree: SimpleNamespace, people: SimpleNamespace, actor: Callable[[User], Actor]
) -> None:
    data = activity(tree.own, theme="前\ud800后", unit=f"{tree.own.code}\udfff")
    form = registry.kind("activities").form(data, actor=actor(people.community_officer))
    assert set(form.errors) == {"theme", "unit"}


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "multipart/form-data"),
        (b"garbage", "multipart/form-data; boundary="),
        (b"--x\r\nContent-Disposition: form-data", "multipart/form-data; boundary=\xff"),
        (b"--x\r\nContent-Disposition: form-data; name=theme\r\n\r\nhalf", "multipart/form-data; boundary=x"),
        (b"a=1", "multipart/form-data; boundary=x"),
        (b"{}", "application/json"),
        (b"\xff\xfe\x00", "text/plain; charset=utf-16"),
        (b"a=1", "application/x-www-form-urlencoded; charset=nonsense"),
    ],
)
def test_a_broken_body_is_refused(officer: Client, body: bytes, content_type: str) -> None:
    before = written()
    response = officer.generic("POST", NEW, body, content_type=content_type)
    assert response.status_code in (200, 400)
    assert written() == before


def test_too_many_fields_are_refused(officer: Client) -> None:
    body = "&".join(f"f{number}=1" for number in range(3000))
    assert officer.post(NEW, body, content_type="application/x-www-form-urlencoded").status_code == 400


@pytest.mark.parametrize("pk", [0, 10**9, 10**30])
@pytest.mark.parametrize("verb", ["", "edit/", "remove/", "restore/", "reveal/", "files/1/"])
def test_a_record_that_is_not_there_is_not_found(
    people: SimpleNamespace, sign_in: SignIn, pk: int, verb: str
) -> None:
    person = people.office if verb == "reveal/" else people.community_officer
    assert sign_in(person).get(f"/records/activities/{pk}/{verb}").status_code == 404


# --- one form, one record -----------------------------------------------------------------------------------------


def test_the_form_sent_again_with_other_words_asks(tree: SimpleNamespace, officer: Client) -> None:
    """ "Back" in the browser, another activity typed over the first: neither is lost."""
    data = activity(tree.own)
    officer.post(NEW, data)
    first = EducationActivity.objects.get()
    response = officer.post(NEW, {**data, "theme": "另一场活动"})
    assert response.status_code == 200
    assert EducationActivity.objects.get().theme == "感恩教育进校园"
    page = text_of(response)
    assert f'<a href="/records/activities/{first.pk}/">' in page
    form = response.context["form"]
    assert form["theme"].value() == "另一场活动"
    assert form["submission_key"].value() != data["submission_key"]
    again = {**data, "theme": "另一场活动", "submission_key": form["submission_key"].value()}
    assert officer.post(NEW, again).status_code == 302
    assert EducationActivity.objects.count() == 2


def test_a_key_of_somebody_else_is_refused(
    tree: SimpleNamespace, people: SimpleNamespace, officer: Client, sign_in: SignIn
) -> None:
    data = activity(tree.own)
    officer.post(NEW, data)
    response = sign_in(people.street_officer).post(NEW, {**data, "unit": tree.street.code})
    assert list(errors_of(response)) == ["__all__"]
    assert EducationActivity.objects.count() == 1


@pytest.mark.parametrize("key", ["", "nonsense", "\x00", "1" * 500])
def test_a_broken_key_counts_as_a_new_one(tree: SimpleNamespace, officer: Client, key: str) -> None:
    assert officer.post(NEW, activity(tree.own, submission_key=key)).status_code == 302


def at_the_same_time(count: int, work: Callable[[], Any]) -> list[Any]:
    """The results of `work`, done by threads that start together."""
    barrier, results = threading.Barrier(count), []

    def run() -> None:
        try:
            barrier.wait(10)
            results.append(work())
        except Exception as error:  # noqa: BLE001  (the test looks at it)
            results.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


@pytest.mark.django_db(transaction=True)
def test_a_form_sent_by_four_clicks_at_once_makes_one_record(
    tree: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn
) -> None:
    data = activity(tree.own)
    cookies = sign_in(people.community_officer).cookies

    def click() -> tuple[int, str]:
        client = Client()
        client.cookies = cookies
        response = client.post(NEW, data)
        return response.status_code, response.headers.get("Location", "")

    results = at_the_same_time(4, click)
    record = EducationActivity.objects.get()
    assert results == [(302, f"/records/activities/{record.pk}/")] * 4
    assert AuditEvent.objects.filter(action="activities.create").count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_edits_of_one_version_one_is_refused(
    tree: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn, make_record: MakeRecord
) -> None:
    record = make_record("activities", tree.own, people.community_officer)
    cookies = sign_in(people.community_officer).cookies
    names = iter(["甲的", "乙的", "丙的"])

    def edit() -> int:
        client = Client()
        client.cookies = cookies
        data = activity(tree.own, theme=next(names), version="1")
        return client.post(f"/records/activities/{record.pk}/edit/", data).status_code

    assert sorted(at_the_same_time(3, edit)) == [302, 409, 409]
    assert EducationActivity.objects.get().version == 2


# --- editing ------------------------------------------------------------------------------------------------------


@pytest.fixture
def record(tree: SimpleNamespace, people: SimpleNamespace, make_record: MakeRecord) -> Any:
    return make_record("activities", tree.own, people.community_officer, [tree.sibling], theme="原来的主题")


def edit_url(record: Record) -> str:
    return f"/records/activities/{record.pk}/edit/"


def test_the_form_holds_what_was_saved(tree: SimpleNamespace, officer: Client, record: Any) -> None:
    form = officer.get(edit_url(record)).context["form"]
    assert form["theme"].value() == "原来的主题"
    assert form["unit"].value() == tree.own.code
    assert form["version"].value() == 1
    assert form["joint_units"].value() == [tree.sibling.code]


def test_an_edit_without_its_version_is_a_conflict(
    tree: SimpleNamespace, officer: Client, record: Any
) -> None:
    for version in ("", "nonsense", "-1", "9" * 40):
        data = activity(tree.own, version=version)
        assert officer.post(edit_url(record), data).status_code == 409
    record.refresh_from_db()
    assert (record.theme, record.version) == ("原来的主题", 1)


def test_after_a_conflict_one_decides(tree: SimpleNamespace, officer: Client, record: Any) -> None:
    officer.post(edit_url(record), activity(tree.own, theme="先存的", version="1"))
    mine = activity(
        tree.own, theme="我的", joint_units=f"{tree.sibling.code},{tree.police.code}", version="1"
    )
    response = officer.post(edit_url(record), mine)
    assert response.status_code == 409
    rows = {
        str(label): (yours, theirs, differs) for label, yours, theirs, differs in response.context["rows"]
    }
    assert ("我的", "先存的", True) in rows.values()
    assert (f"{tree.sibling.name}\n{tree.police.name}", "", True) in rows.values()
    assert ("120", "120", False) in rows.values()
    form = response.context["form"]
    sent = {}
    for bound in form:
        if bound.name != "files":
            sent[bound.name] = bound.value() if bound.value() is not None else ""
    assert int(sent["version"]) == 2
    assert officer.post(edit_url(record), sent).status_code == 302
    record.refresh_from_db()
    assert (record.theme, record.version) == ("我的", 3)
    assert record.joint_units.count() == 2


def test_a_record_removed_meanwhile_cannot_be_edited(
    tree: SimpleNamespace, officer: Client, record: Any
) -> None:
    officer.post(f"/records/activities/{record.pk}/remove/", {"reason": "重复填报"})
    assert officer.get(edit_url(record)).status_code == 404
    assert officer.post(edit_url(record), activity(tree.own, version="2")).status_code == 404


def test_a_bad_edit_keeps_the_title_that_is_saved(
    tree: SimpleNamespace, officer: Client, record: Any
) -> None:
    response = officer.post(
        edit_url(record), activity(tree.own, theme="新题", participants="-1", version="1")
    )
    assert list(errors_of(response)) == ["participants"]
    assert response.context["title"] == "原来的主题"
    assert response.context["form"]["theme"].value() == "新题"


def test_one_cannot_move_a_record_out_of_ones_scope(
    tree: SimpleNamespace, officer: Client, record: Any
) -> None:
    before = written()
    response = officer.post(edit_url(record), activity(tree.sibling, version="1"))
    assert list(errors_of(response)) == ["unit"]
    assert written() == before


def test_a_record_that_moved_to_another_unit_is_no_longer_ones_own(
    tree: SimpleNamespace, people: SimpleNamespace, record: Any, actor: Callable[[User], Actor]
) -> None:
    """The caller holds the record as it was; what stands in the table decides."""
    from django.core.exceptions import PermissionDenied

    EducationActivity.objects.filter(pk=record.pk).update(unit=tree.sibling)
    with pytest.raises(PermissionDenied):
        save_record(
            by=actor(people.community_officer),
            kind=registry.kind("activities"),
            values={"unit": tree.own},
            record=record,
        )
    record.refresh_from_db()
    assert (record.unit, record.version) == (tree.sibling, 1)


# --- fields one does not read ---------------------------------------------------------------------------------


@pytest.fixture
def case(tree: SimpleNamespace, people: SimpleNamespace, make_record: MakeRecord, make_user: Any) -> Any:
    """A case of the street, whose officer reads C3 masked."""
    values = {
        "client": "欧阳明月",
        "phone": "13800135678",
        "id_number": "110101199003077758",
        "illness": "抑郁症",
    }
    return make_record("cases", tree.street, people.street_officer, title="走访", **values)


def case_data(unit: Unit, **over: Any) -> dict[str, Any]:
    return {
        "title": "改题",
        "hours": "1",
        "occurred_on": "2026-03-05",
        "unit": unit.code,
        "client": "欧阳",
        **over,
    }


def test_fields_one_does_not_read_are_not_edited_unseen(
    tree: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn, case: Any
) -> None:
    client = sign_in(people.street_officer)
    address = f"/records/cases/{case.pk}/edit/"
    page = text_of(client.get(address))
    assert "110101199003077758" not in page
    assert 'name="id_number"' not in page
    client.post(address, case_data(tree.street, version="1", id_number="1", illness=""))
    case.refresh_from_db()
    assert (case.title, case.id_number, case.illness) == ("改题", "110101199003077758", "抑郁症")


def test_a_reveal_opens_one_record_for_a_reason(
    tree: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn, case: Any
) -> None:
    client = sign_in(people.street_officer)
    detail = f"/records/cases/{case.pk}/"
    response = client.get(detail)
    assert "110***********7758" in text_of(response)
    assert response.context["reveal_form"]

    short = client.post(f"{detail}reveal/", {"reason": "看看"})
    assert short.status_code == 200
    assert short.context["reveal_form"].errors
    assert "110101199003077758" not in text_of(short)
    assert client.post(f"{detail}reveal/", {"reason": "\x00" * 20}).context["reveal_form"].errors

    client.post(f"{detail}reveal/", {"reason": "核对低保申请材料需要完整号码"})
    opened = text_of(client.get(detail))
    assert "110101199003077758" in opened
    assert "抑郁症" in opened
    event = AuditEvent.objects.get(action="cases.reveal")
    assert (event.reason, event.actor_id) == ("核对低保申请材料需要完整号码", people.street_officer.pk)
    assert "核对低保申请材料" not in opened, "the reason stays with the log"

    assert "110101199003077758" not in text_of(client.get("/records/cases/")), "a reveal opens no list"
    assert 'name="id_number"' in text_of(client.get(f"{detail}edit/"))
    with time_machine.travel(timezone.now() + dt.timedelta(minutes=31)):
        sign_in_later = sign_in(people.street_officer)
        assert "110101199003077758" not in text_of(sign_in_later.get(detail))


def test_who_reads_in_full_or_never_has_nothing_to_reveal(
    tree: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn, case: Any
) -> None:
    leader = sign_in(people.leader)
    response = leader.get(f"/records/cases/{case.pk}/")
    assert "reveal_form" not in response.context
    assert leader.post(f"/records/cases/{case.pk}/reveal/", {"reason": "核对低保申请材料"}).status_code == 403


# --- what happened ------------------------------------------------------------------------------------------------


def test_the_timeline_shows_values_as_the_reader_reads_them(
    tree: SimpleNamespace, people: SimpleNamespace, sign_in: SignIn, case: Any, actor: Any
) -> None:
    save_record(
        by=actor(people.street_officer),
        kind=registry.kind("cases"),
        record=case,
        values={"client": "司马光明", "id_number": "330101199003077751", "hours": 7},
        joint_units=[tree.sibling],
    )
    officer = sign_in(people.street_officer)
    events = officer.get(f"/records/cases/{case.pk}/").context["timeline"]
    assert [event.what for event in events] == ["Changed", "Entered"] or len(events) == 2
    changes = {str(label): (before, after) for label, before, after in events[0].changes}
    assert changes["client"] == ("欧阳明月", "司马光明")
    assert ("欧阳明月" not in str(changes["ID number"])) and "3301" not in str(changes["ID number"])
    assert (tree.sibling.name) in str(list(changes.values()))

    leader = sign_in(people.leader)
    page = text_of(leader.get(f"/records/cases/{case.pk}/"))
    assert "欧阳明月" not in page
    assert "司马光明" not in page
    assert "司***" in page


def test_the_log_of_another_record_is_not_shown(
    tree: SimpleNamespace, people: SimpleNamespace, officer: Client, record: Any, make_record: MakeRecord
) -> None:
    other = make_record("activities", tree.own, people.community_officer, theme="别的")
    officer.post(f"/records/activities/{other.pk}/remove/", {"reason": "别的原因"})
    timeline = officer.get(f"/records/activities/{record.pk}/").context["timeline"]
    assert len(timeline) == 1


def test_refusals_are_no_part_of_a_records_life(
    people: SimpleNamespace, officer: Client, sign_in: SignIn, record: Any
) -> None:
    assert sign_in(people.outsider).get(f"/records/activities/{record.pk}/").status_code == 404
    assert AuditEvent.objects.filter(outcome="denied").exists()
    assert len(officer.get(f"/records/activities/{record.pk}/").context["timeline"]) == 1


# --- removing and restoring ---------------------------------------------------------------------------------------


def test_removing_asks_for_a_reason_and_can_be_undone(
    tree: SimpleNamespace, people: SimpleNamespace, officer: Client, record: Any
) -> None:
    address = f"/records/activities/{record.pk}/remove/"
    for reason in ("", " ", "\x00\x00", "长" * 201):
        response = officer.post(address, {"reason": reason})
        assert response.status_code == 200
        assert response.context["form"].errors["reason"]
    record.refresh_from_db()
    assert not record.is_removed

    assert officer.post(address, {"reason": "重复填报"}, follow=True).status_code == 200
    assert AuditEvent.objects.get(action="activities.remove").reason == "重复填报"
    page = text_of(officer.get(f"/records/activities/{record.pk}/"))
    assert "重复填报" in page
    assert f"/records/activities/{record.pk}/restore/" in page
    assert f"/records/activities/{record.pk}/edit/" not in page
    assert officer.post(address, {"reason": "再次删除"}).status_code == 404

    officer.post(f"/records/activities/{record.pk}/restore/")
    record.refresh_from_db()
    assert not record.is_removed
    assert AuditEvent.objects.filter(action="activities.restore").count() == 1


def test_after_thirty_days_it_is_too_late(
    people: SimpleNamespace, officer: Client, sign_in: SignIn, record: Any
) -> None:
    officer.post(f"/records/activities/{record.pk}/remove/", {"reason": "重复填报"})
    with time_machine.travel(timezone.now() + dt.timedelta(days=31)):
        later = sign_in(people.community_officer)
        assert later.get("/records/activities/removed/").context["rows"] == []
        page = text_of(later.get(f"/records/activities/{record.pk}/"))
        assert "restore/" not in page
        response = later.post(f"/records/activities/{record.pk}/restore/", follow=True)
        assert [message.level_tag for message in response.context["messages"]] == ["error"]
    record.refresh_from_db()
    assert record.is_removed


def test_who_may_not_write_sees_no_removed_record(
    people: SimpleNamespace, officer: Client, sign_in: SignIn, record: Any
) -> None:
    officer.post(f"/records/activities/{record.pk}/remove/", {"reason": "重复填报"})
    assert sign_in(people.leader).get(f"/records/activities/{record.pk}/").status_code == 404
    assert sign_in(people.auditor).get(f"/records/activities/{record.pk}/").status_code == 200
    assert sign_in(people.leader).get("/records/activities/removed/").status_code == 403


def test_readers_are_offered_nothing_they_may_not_do(
    people: SimpleNamespace, sign_in: SignIn, record: Any
) -> None:
    for role in ("leader", "auditor", "street_officer", "office"):
        response = sign_in(getattr(people, role)).get(f"/records/activities/{record.pk}/")
        assert response.status_code == 200
        assert response.context["actions"] == [], role


def test_revealed_is_not_written(
    tree: SimpleNamespace, people: SimpleNamespace, case: Any, actor: Any
) -> None:
    """A reveal opens for reading: C4 stays closed, and another person sees nothing of it."""
    reveal(by=actor(people.street_officer), record=case, reason="核对低保申请材料需要完整号码")
    other = registry.kind("cases").form(instance=case, actor=actor(people.street_officer))
    assert "id_number" in other.fields
    assert "notes" not in other.fields
