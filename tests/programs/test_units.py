"""Units change with an effective date, and the past stays as it was."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connection
from django.utils import timezone

from programs import bell
from programs.access import Actor, units_for
from programs.actions.units import (
    close_unit,
    create_unit,
    merge_units,
    move_unit,
    rename_unit,
    reopen_unit,
    trial,
)
from programs.models import AuditEvent, Grant, Mark, Placement, Unit, User
from programs.roles import Permission

OPENED = dt.date(2008, 1, 1)
MAY, JUNE = dt.date(2026, 5, 12), dt.date(2026, 6, 3)


def history(unit: Unit) -> list[tuple[str, str, str, str]]:
    """Name, path, from and to of every placement, to read at a glance."""
    return [(p.name, p.path, str(p.valid_from), str(p.valid_to or "")) for p in unit.placements.all()]


def refused(error: pytest.ExceptionInfo[ValidationError]) -> dict[str, list[str]]:
    return error.value.message_dict if hasattr(error.value, "error_dict") else {"": error.value.messages}


@pytest.fixture
def office(people: SimpleNamespace) -> Actor:
    return Actor.of(people.office)


@pytest.fixture(autouse=True)
def _in_english(settings: Any) -> None:
    settings.LANGUAGE_CODE = "en"


# --- create ---------------------------------------------------------------------------------------


def test_a_new_unit_has_a_path_a_placement_and_an_audit_event(tree: SimpleNamespace, office: Actor) -> None:
    unit = create_unit(
        by=office,
        code="331002001099",
        name="𠮷祥社区",
        tier="community",
        kind="community",
        parent=tree.street,
        opened_on=MAY,
    )
    assert unit.path == f"{tree.street.path}{unit.pk}/"
    assert history(unit) == [("𠮷祥社区", unit.path, "2026-05-12", "")]
    event = AuditEvent.objects.get(action="unit.create", object_pk=str(unit.pk))
    assert (event.actor_id, event.unit_path) == (office.user.pk, unit.path)


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"code": "331002001003"}, "code", "already exists"),
        ({"code": "33100200109a"}, "code", "capital letters"),
        ({"code": "1" * 21}, "code", "up to 20"),
        ({"name": ""}, "name", "one line"),
        ({"name": "上\n下"}, "name", "one line"),
        ({"name": "社\x00区"}, "name", "cannot be stored"),
        ({"name": "\ud800"}, "name", "cannot be stored"),
        ({"name": "长" * 101}, "name", "at most 100"),
        ({"opened_on": dt.date(2999, 1, 1)}, "opened_on", "in the future"),
        ({"opened_on": dt.date(2007, 12, 31)}, "opened_on", "stands since 2008-01-01"),
        ({"tier": "street"}, "parent", "does not belong to this tier"),
        ({"kind": "street", "tier": "street"}, "parent", "stands under a district"),
        ({"kind": "school", "tier": "district"}, "parent", "of the tier that it serves"),
        ({"kind": "kingdom", "tier": "street"}, "kind", "not a valid choice"),
    ],
)
def test_what_a_new_unit_cannot_be(
    tree: SimpleNamespace, office: Actor, change: dict[str, Any], field: str, words: str
) -> None:
    values = {
        "code": "331002001099",
        "name": "新社区",
        "tier": "community",
        "kind": "community",
        "parent": tree.street,
        "opened_on": MAY,
    }
    with pytest.raises(ValidationError) as error:
        create_unit(by=office, **{**values, **change})
    assert words in " ".join(refused(error)[field])
    assert not Unit.objects.filter(code="331002001099").exists()


def test_districts_are_made_from_the_command_line(tree: SimpleNamespace, office: Actor) -> None:
    district = {
        "code": "331004",
        "name": "路桥区",
        "tier": "district",
        "kind": "district",
        "opened_on": OPENED,
    }
    with pytest.raises(PermissionDenied):
        create_unit(by=office, **district)
    assert create_unit(by=None, **district).path.count("/") == 2


def test_a_body_opens_no_earlier_than_its_parent_stands_there(tree: SimpleNamespace, office: Actor) -> None:
    move_unit(by=office, unit=tree.own, parent=tree.other_street, effective_on=MAY)
    school = {"code": "S1", "name": "小学", "tier": "community", "kind": "school", "parent": tree.own}
    with pytest.raises(ValidationError, match="stands where it stands since 2026-05-12"):
        create_unit(by=office, **school, opened_on=MAY - dt.timedelta(days=1))
    rename_unit(by=office, unit=tree.own, name="新名社区", effective_on=JUNE)
    assert create_unit(by=office, **school, opened_on=MAY).path.startswith(tree.other_street.path)


# --- rename ---------------------------------------------------------------------------------------


def test_a_new_name_leaves_the_old_one_in_the_past(tree: SimpleNamespace, office: Actor) -> None:
    rename_unit(by=office, unit=tree.own, name="新桥社区", effective_on=MAY)
    own = Unit.objects.get(pk=tree.own.pk)
    assert (own.name, own.pinyin, own.initials) == ("新桥社区", "xinqiaoshequ", "xqsq")
    assert history(own) == [
        ("城隍浦社区", own.path, "2008-01-01", "2026-05-12"),
        ("新桥社区", own.path, "2026-05-12", ""),
    ]
    event = AuditEvent.objects.get(action="unit.rename")
    assert event.changes == {"name": ["城隍浦社区", "新桥社区"], "effective_on": [None, "2026-05-12"]}


def test_a_second_name_on_the_same_day_replaces_the_first(tree: SimpleNamespace, office: Actor) -> None:
    for name in ("新桥社区", "新乔社区"):
        rename_unit(by=office, unit=tree.own, name=name, effective_on=MAY)
    assert [row[0] for row in history(tree.own)] == ["城隍浦社区", "新乔社区"]


def test_a_long_name_fits_its_search_columns(tree: SimpleNamespace, office: Actor) -> None:
    rename_unit(by=office, unit=tree.own, name="庄" * 100, effective_on=MAY)
    assert Unit.objects.get(pk=tree.own.pk).pinyin == ("zhuang" * 100)[:400]


# --- move -----------------------------------------------------------------------------------------


def test_a_move_takes_everything_below_along(tree: SimpleNamespace, office: Actor) -> None:
    school = create_unit(
        by=office, code="S1", name="小学", tier="community", kind="school", parent=tree.own, opened_on=MAY
    )
    change = move_unit(by=office, unit=tree.own, parent=tree.other_street, effective_on=MAY)
    assert [unit.pk for unit in change.placed] == [tree.own.pk, school.pk]
    own, school = Unit.objects.get(pk=tree.own.pk), Unit.objects.get(pk=school.pk)
    assert own.parent == tree.other_street
    assert own.path == f"{tree.other_street.path}{own.pk}/"
    assert school.path == f"{own.path}{school.pk}/"
    assert history(own) == [
        ("城隍浦社区", tree.own.path, "2008-01-01", "2026-05-12"),
        ("城隍浦社区", own.path, "2026-05-12", ""),
    ]
    assert list(own.placements.values_list("parent", flat=True)) == [tree.street.pk, tree.other_street.pk]
    assert history(school) == [("小学", school.path, "2026-05-12", "")], "it never stood elsewhere"


def test_a_move_marks_every_month_since_of_all_concerned(
    tree: SimpleNamespace, office: Actor, django_capture_on_commit_callbacks: Any, monkeypatch: Any
) -> None:
    rung: list[int] = []
    monkeypatch.setattr(bell, "_listeners", [lambda: rung.append(1)])
    with django_capture_on_commit_callbacks(execute=True):
        change = move_unit(by=office, unit=tree.own, parent=tree.other_street, effective_on=MAY)
    assert change.months[:2] == [dt.date(2026, 5, 1), dt.date(2026, 6, 1)]
    assert change.months[-1] == timezone.localdate().replace(day=1)
    concerned = [tree.own, tree.street, tree.other_street, tree.district]
    assert set(Mark.objects.values_list("unit_id", "month")) == {
        (unit.pk, month) for unit in concerned for month in change.months
    }
    assert rung == [1]


def test_a_move_into_the_past_rewrites_what_came_after(tree: SimpleNamespace, office: Actor) -> None:
    """A school left the community after the day on which the community turns out to have moved."""
    school = create_unit(
        by=office, code="S1", name="小学", tier="community", kind="school", parent=tree.own, opened_on=OPENED
    )
    rename_unit(by=office, unit=school, name="实验小学", effective_on=JUNE)
    move_unit(by=office, unit=school, parent=tree.sibling, effective_on=dt.date(2026, 7, 1))
    move_unit(by=office, unit=tree.own, parent=tree.other_street, effective_on=MAY)
    new_home = f"{tree.other_street.path}{tree.own.pk}/{school.pk}/"
    assert history(school) == [
        ("小学", f"{tree.own.path}{school.pk}/", "2008-01-01", "2026-05-12"),
        ("小学", new_home, "2026-05-12", "2026-06-03"),
        ("实验小学", new_home, "2026-06-03", "2026-07-01"),
        ("实验小学", f"{tree.sibling.path}{school.pk}/", "2026-07-01", ""),
    ]


@pytest.mark.parametrize(
    ("unit", "parent", "field", "words"),
    [
        ("own", "street", "parent", "stands there already"),
        ("own", "district", "parent", "under a street, town or zone"),
        ("own", "sibling", "parent", "under a street, town or zone"),
        ("own", "own", "parent", "below itself"),
        ("street", "other_street", "parent", "stands under a district"),
        ("own", "elsewhere_street", "parent", "another district"),
        ("police", "street", "parent", "of the tier that it serves"),
        ("district", "elsewhere", "", "cannot be moved"),
    ],
)
def test_where_a_unit_cannot_move(
    tree: SimpleNamespace, unit: str, parent: str, field: str, words: str
) -> None:
    before = list(Unit.objects.values_list("pk", "parent", "path"))
    with pytest.raises(ValidationError) as error:
        move_unit(by=None, unit=getattr(tree, unit), parent=getattr(tree, parent), effective_on=MAY)
    assert words in " ".join(refused(error)[field])
    assert list(Unit.objects.values_list("pk", "parent", "path")) == before
    assert not Mark.objects.exists()


def test_a_unit_cannot_stand_below_what_stands_below_it(tree: SimpleNamespace) -> None:
    squad = create_unit(
        by=None,
        code="D2",
        name="大队",
        tier="district",
        kind="department",
        parent=tree.police,
        opened_on=OPENED,
    )
    with pytest.raises(ValidationError, match="below itself"):
        move_unit(by=None, unit=tree.police, parent=squad, effective_on=MAY)


def test_units_do_not_nest_without_end(tree: SimpleNamespace) -> None:
    def office_below(parent: Unit) -> Unit:
        code = f"N{len(parent.path)}-{parent.pk}"
        body = {"name": "股", "tier": "district", "kind": "department", "opened_on": OPENED}
        return create_unit(by=None, code=code, parent=parent, **body)  # type: ignore[arg-type]

    deepest = tree.police
    while len(f"{deepest.path}{deepest.pk + 1}/") <= 200:
        deepest = office_below(deepest)
    with pytest.raises(ValidationError, match="one below the other"):
        office_below(deepest)
    other = office_below(tree.district)
    with pytest.raises(ValidationError, match="one below the other"):
        move_unit(by=None, unit=tree.police, parent=other, effective_on=MAY)


@pytest.mark.parametrize(
    ("day", "words"),
    [(dt.date(2999, 1, 1), "in the future"), (MAY - dt.timedelta(days=1), "took effect on 2026-05-12")],
)
def test_the_day_of_a_change(tree: SimpleNamespace, office: Actor, day: dt.date, words: str) -> None:
    rename_unit(by=office, unit=tree.own, name="新桥社区", effective_on=MAY)
    for action, more in (
        (rename_unit, {"name": "再改社区"}),
        (move_unit, {"parent": tree.other_street}),
        (merge_units, {"into": tree.sibling}),
        (close_unit, {}),
    ):
        with pytest.raises(ValidationError, match=words):
            action(by=office, unit=tree.own, effective_on=day, **more)  # type: ignore[operator]


def test_the_new_parent_must_have_stood_there_on_that_day(tree: SimpleNamespace, office: Actor) -> None:
    late = create_unit(
        by=office,
        code="331002009",
        name="海虹街道",
        tier="street",
        kind="street",
        parent=tree.district,
        opened_on=JUNE,
    )
    with pytest.raises(ValidationError, match="stands since 2026-06-03"):
        move_unit(by=office, unit=tree.own, parent=late, effective_on=MAY)


# --- merge ----------------------------------------------------------------------------------------


def test_a_merged_unit_keeps_its_past_and_hands_on_its_present(tree: SimpleNamespace, office: Actor) -> None:
    change = merge_units(by=office, unit=tree.street, into=tree.other_street, effective_on=MAY)
    street, own = Unit.objects.get(pk=tree.street.pk), Unit.objects.get(pk=tree.own.pk)
    assert (street.closed_on, street.merged_into) == (MAY, tree.other_street)
    assert street.path == f"{tree.other_street.path}{street.pk}/"
    assert street.parent == tree.district
    assert own.parent == tree.other_street
    assert own.path == f"{tree.other_street.path}{own.pk}/"
    assert history(own)[0] == ("城隍浦社区", tree.own.path, "2008-01-01", "2026-05-12")
    assert [unit.code for unit in change.placed] == [
        "331002001",
        "331002001003",
        "331002001004",
        "331002001S1",
    ]
    marked = set(Mark.objects.values_list("unit_id", flat=True))
    assert marked == {unit.pk for unit in change.placed} | {tree.other_street.pk, tree.district.pk}
    assert set(Unit.objects.under(tree.other_street)) >= {street, own, tree.sibling, tree.school}


def test_units_merged_earlier_point_to_the_one_that_carries_on(tree: SimpleNamespace, office: Actor) -> None:
    merge_units(by=office, unit=tree.own, into=tree.sibling, effective_on=MAY)
    merge_units(by=office, unit=tree.sibling, into=tree.cousin, effective_on=JUNE)
    own = Unit.objects.get(pk=tree.own.pk)
    assert own.merged_into == tree.cousin
    assert [row[1] for row in history(own)] == [
        tree.own.path,
        f"{tree.sibling.path}{own.pk}/",
        f"{tree.cousin.path}{own.pk}/",
    ]


def test_a_merge_hands_over_the_grants(
    tree: SimpleNamespace, people: SimpleNamespace, office: Actor, make_user: Callable[..., User]
) -> None:
    today = timezone.localdate()
    insider = people.community_officer
    holds_both = make_user("both", "community_officer", tree.own)
    make_user("both", "community_officer", tree.sibling)
    temporary = make_user("temporary", "community_officer", tree.own, valid_to=today)
    expired = make_user("expired", "community_officer", tree.own, valid_to=today - dt.timedelta(days=1))
    change = merge_units(by=office, unit=tree.own, into=tree.sibling, effective_on=MAY)
    assert not Grant.objects.active().filter(unit=tree.own).exists()
    assert {grant.user for grant in change.grants} == {insider, people.counsellor, temporary}
    at_sibling = Grant.objects.active().filter(unit=tree.sibling)
    assert {grant.user for grant in at_sibling} == {insider, people.counsellor, temporary, holds_both}
    assert at_sibling.get(user=temporary).valid_to == today
    assert not Grant.objects.filter(user=expired, unit=tree.sibling).exists()
    assert AuditEvent.objects.filter(action="grant.revoke", unit_id=tree.own.pk).count() == 4
    assert AuditEvent.objects.filter(action="grant.create", unit_id=tree.sibling.pk).count() == 3
    actor = Actor.of(insider)
    assert actor.unit == tree.sibling
    assert {unit.pk for unit in units_for(actor, Permission.RECORD_WRITE)} == {tree.own.pk, tree.sibling.pk}


@pytest.mark.parametrize(
    ("unit", "into", "words"),
    [
        ("own", "own", "into itself"),
        ("own", "street", "same tier"),
        ("own", "elsewhere_community", "another district"),
        ("school", "other_street", "same tier"),
        ("elsewhere", "district", "another district"),
    ],
)
def test_what_cannot_be_merged(tree: SimpleNamespace, unit: str, into: str, words: str) -> None:
    with pytest.raises(ValidationError) as error:
        merge_units(by=None, unit=getattr(tree, unit), into=getattr(tree, into), effective_on=MAY)
    assert words in " ".join(refused(error)["into"])


def test_a_body_is_not_merged_into_one_below_it(tree: SimpleNamespace) -> None:
    squad = create_unit(
        by=None,
        code="D2",
        name="大队",
        tier="district",
        kind="department",
        parent=tree.police,
        opened_on=OPENED,
    )
    with pytest.raises(ValidationError, match="stands below it"):
        merge_units(by=None, unit=tree.police, into=squad, effective_on=MAY)
    merge_units(by=None, unit=squad, into=tree.police, effective_on=MAY)
    squad.refresh_from_db()
    assert (squad.merged_into, squad.path) == (tree.police, f"{tree.police.path}{squad.pk}/")


@pytest.mark.parametrize("closed", ["own", "sibling"])
def test_closed_units_neither_move_nor_merge_nor_take_others_in(tree: SimpleNamespace, closed: str) -> None:
    close_unit(by=None, unit=getattr(tree, closed), effective_on=MAY)
    with pytest.raises(ValidationError, match="is closed"):
        merge_units(by=None, unit=tree.own, into=tree.sibling, effective_on=JUNE)
    if closed == "own":
        with pytest.raises(ValidationError, match="is closed"):
            rename_unit(by=None, unit=tree.own, name="新名", effective_on=JUNE)
    else:
        with pytest.raises(ValidationError, match="is closed"):
            create_unit(
                by=None,
                code="S9",
                name="小学",
                tier="community",
                kind="school",
                parent=tree.sibling,
                opened_on=JUNE,
            )


# --- close and reopen -----------------------------------------------------------------------------


def test_a_unit_with_open_units_below_stays_open(tree: SimpleNamespace, office: Actor) -> None:
    with pytest.raises(ValidationError, match=r"Open units stand below 海门街道 \(3\)"):
        close_unit(by=office, unit=tree.street, effective_on=MAY)
    for unit in (tree.own, tree.sibling, tree.school):
        close_unit(by=office, unit=unit, effective_on=MAY)
    close_unit(by=office, unit=tree.street, effective_on=MAY)
    assert not Unit.objects.under(tree.street).open().exists()


def test_a_unit_with_later_work_stays_open(
    tree: SimpleNamespace, people: SimpleNamespace, office: Actor, make_record: Callable[..., Any]
) -> None:
    make_record("activities", tree.own, people.community_officer, occurred_on=JUNE)
    with pytest.raises(ValidationError, match="logged work up to 2026-06-03"):
        close_unit(by=office, unit=tree.own, effective_on=MAY)
    change = close_unit(by=office, unit=tree.own, effective_on=JUNE)
    assert change.unit.closed_on == JUNE  # the last day of its work
    with pytest.raises(ValidationError, match="was closed on"):
        make_record("activities", change.unit, people.community_officer, occurred_on=dt.date(2026, 6, 4))


def test_reopening_takes_the_closing_back(tree: SimpleNamespace, office: Actor) -> None:
    close_unit(by=office, unit=tree.own, effective_on=MAY)
    reopen_unit(by=office, unit=tree.own)
    assert Unit.objects.get(pk=tree.own.pk).is_open
    event = AuditEvent.objects.get(action="unit.reopen")
    assert event.changes == {"closed_on": ["2026-05-12", None]}
    with pytest.raises(ValidationError, match="is open"):
        reopen_unit(by=office, unit=tree.own)


def test_what_cannot_be_reopened(tree: SimpleNamespace, office: Actor) -> None:
    close_unit(by=office, unit=tree.own, effective_on=MAY)
    merge_units(by=office, unit=tree.street, into=tree.other_street, effective_on=JUNE)
    with pytest.raises(ValidationError, match="was merged"):
        reopen_unit(by=office, unit=tree.street)
    with pytest.raises(ValidationError, match="海门街道 is closed"):
        reopen_unit(by=office, unit=tree.own)
    own = Unit.objects.get(pk=tree.own.pk)
    assert own.path == f"{tree.other_street.path}{tree.street.pk}/{own.pk}/", (
        "today it counts with the successor"
    )


# --- who may --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "role", ["leader", "street_officer", "community_officer", "auditor", "administrator"]
)
def test_other_roles_change_no_units(tree: SimpleNamespace, people: SimpleNamespace, role: str) -> None:
    by = Actor.of(getattr(people, role))
    for action in (
        lambda: rename_unit(by=by, unit=tree.own, name="新名", effective_on=MAY),
        lambda: move_unit(by=by, unit=tree.own, parent=tree.other_street, effective_on=MAY),
        lambda: merge_units(by=by, unit=tree.own, into=tree.sibling, effective_on=MAY),
        lambda: close_unit(by=by, unit=tree.own, effective_on=MAY),
        lambda: create_unit(
            by=by, code="N1", name="新", tier="street", kind="school", parent=tree.street, opened_on=MAY
        ),
    ):
        with pytest.raises(PermissionDenied):
            action()
    close_unit(by=None, unit=tree.own, effective_on=MAY)
    with pytest.raises(PermissionDenied):
        reopen_unit(by=by, unit=tree.own)


def test_the_office_of_another_district_changes_nothing_here(
    tree: SimpleNamespace, make_user: Callable[..., User]
) -> None:
    by = Actor.of(make_user("theirs", "office", tree.elsewhere))
    with pytest.raises(PermissionDenied):
        close_unit(by=by, unit=tree.own, effective_on=MAY)


# --- trial ----------------------------------------------------------------------------------------


def everything() -> dict[str, list[Any]]:
    models = (Unit, Placement, Grant, Mark, AuditEvent)
    return {model.__name__: list(model._default_manager.order_by("pk").values()) for model in models}


def test_a_trial_changes_nothing_and_tells_what_would_change(
    tree: SimpleNamespace, people: SimpleNamespace, office: Actor
) -> None:
    before = everything()
    arguments = {"by": office, "unit": tree.street, "into": tree.other_street, "effective_on": MAY}
    told = trial(merge_units, **arguments)
    assert everything() == before
    done = merge_units(**arguments)  # type: ignore[arg-type]
    assert told.placed == done.placed
    assert told.months == done.months
    assert [grant.user for grant in told.grants] == [grant.user for grant in done.grants]


# --- at once --------------------------------------------------------------------------------------


@pytest.mark.postgres
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer")
@pytest.mark.django_db(transaction=True)
def test_two_moves_at_once_keep_the_paths_right() -> None:
    """A school goes from one community to another while the communities change streets."""
    make = {"by": None, "opened_on": OPENED}
    district = create_unit(code="1", name="区", tier="district", kind="district", **make)  # type: ignore[arg-type]
    streets = [
        create_unit(code=f"1{n}", name=f"街{n}", tier="street", kind="street", parent=district, **make)  # type: ignore[arg-type]
        for n in range(2)
    ]
    communities = [
        create_unit(
            code=f"1{n}0",
            name=f"社{n}",
            tier="community",
            kind="community",
            parent=streets[n],
            **make,  # type: ignore[arg-type]
        )
        for n in range(2)
    ]
    school = create_unit(
        code="1S",
        name="校",
        tier="community",
        kind="school",
        parent=communities[0],
        **make,  # type: ignore[arg-type]
    )
    start = threading.Barrier(3)

    def back_and_forth(unit: Unit, homes: list[Unit]) -> None:
        start.wait()
        for turn in range(1, 16):
            move_unit(by=None, unit=unit, parent=homes[turn % 2], effective_on=MAY)
        connection.close()

    threads = [
        threading.Thread(target=back_and_forth, args=(school, communities)),
        threading.Thread(target=back_and_forth, args=(communities[0], streets)),
        threading.Thread(target=back_and_forth, args=(communities[1], streets[::-1])),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for unit in Unit.objects.exclude(parent=None).select_related("parent"):
        assert unit.path == f"{unit.parent.path}{unit.pk}/"
        assert unit.placements.get(valid_to=None).path == unit.path
    assert AuditEvent.objects.filter(action="unit.move").count() == 45
