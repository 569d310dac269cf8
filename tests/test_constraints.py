"""Every rule that the database holds is broken once by a direct write, past forms and actions.

A constraint, unique column or trigger without a sample here fails the suite.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.db import DatabaseError, IntegrityError, connection, models, transaction
from django.utils import timezone

from programs import registry, triggers
from programs.models import AuditEvent, Grant, Mark, Placement, Unit, User, ZeroReport
from programs.models.record import Record
from tests.factories import sample_values

OURS = {"caring_portal", "programs", "outreach", "assistance", "wellbeing", "reporting", "tests"}
DAY = dt.date(2026, 3, 5)


def our_models() -> Iterator[type[models.Model]]:
    for config in apps.get_app_configs():
        if config.name.split(".")[0] in OURS:
            yield from config.get_models(include_auto_created=True)


def declared_rules() -> dict[str, type[models.Model]]:
    """Constraints by name, unique columns as "table.column"."""
    found: dict[str, type[models.Model]] = {}
    for model in our_models():
        found |= {constraint.name: model for constraint in model._meta.constraints}
        found |= {
            f"{model._meta.db_table}.{field.column}": model
            for field in model._meta.concrete_fields
            if field.unique and not field.primary_key
        }
        found |= {
            f"{model._meta.db_table}: {', '.join(names)}": model for names in model._meta.unique_together
        }
    return found


# --- the samples ----------------------------------------------------------------------------------


@pytest.fixture
def world(tree: SimpleNamespace, people: SimpleNamespace) -> SimpleNamespace:
    return SimpleNamespace(
        **vars(tree), **{f"{role}_person": person for role, person in vars(people).items()}
    )


def record(world: SimpleNamespace, kind: registry.RecordKind, **values: Any) -> Record:
    """A record by a direct write: no form, no action, no `full_clean`."""
    person = world.community_officer_person
    fields = {**sample_values(kind), "unit": world.own, "created_by": person, "updated_by": person, **values}
    made = kind.model(**fields)
    kind.prepare(made)
    for name in values:  # what is being tried stays as it is
        setattr(made, name, fields[name])
    return kind.model.objects.bulk_create([made])[0]


def mood_alert(world: SimpleNamespace, **values: Any) -> Any:
    model = apps.get_model("outreach", "MoodAlert")
    seen = values.pop("observation", None) or record(world, registry.kind("mood"))
    return model.objects.bulk_create([model(observation=seen, rule="level", told=world.street, **values)])[0]


def opinion_step(world: SimpleNamespace, opinion: Any) -> Any:
    model = apps.get_model("outreach", "OpinionStep")
    return model.objects.bulk_create(
        [model(opinion=opinion, number=1, transition="receive", to_unit=world.own, day=DAY)]
    )[0]


def unit(world: SimpleNamespace, **values: Any) -> Unit:
    fields = {
        "code": "331002001099",
        "name": "新社区",
        "tier": "community",
        "kind": "community",
        "parent": world.street,
        "path": "/0/",
        "opened_on": DAY,
        **values,
    }
    return Unit.objects.bulk_create([Unit(**fields)])[0]


def placement(world: SimpleNamespace, **values: Any) -> Placement:
    fields = {"unit": world.own, "name": "旧名", "path": "/0/", "valid_from": DAY, "valid_to": DAY, **values}
    return Placement.objects.bulk_create([Placement(**fields)])[0]


def grant(world: SimpleNamespace, **values: Any) -> Grant:
    fields = {
        "user": world.community_officer_person,
        "role": "unit_officer",
        "unit": world.own,
        "valid_from": DAY,
        **values,
    }
    return Grant.objects.bulk_create([Grant(**fields)])[0]


def zero(world: SimpleNamespace, **values: Any) -> ZeroReport:
    fields = {
        "unit": world.own,
        "kind": "activities",
        "month": DAY.replace(day=1),
        "declared_by": world.community_officer_person,
        **values,
    }
    return ZeroReport.objects.bulk_create([ZeroReport(**fields)])[0]


def unit_month(world: SimpleNamespace, **values: Any) -> Any:
    model = apps.get_model("reporting", "UnitMonth")
    fields = {
        "unit": world.own,
        "path": world.own.path,
        "month": DAY.replace(day=1),
        "kind": "x",
        "total": [1],
        **values,
    }
    return model.objects.bulk_create([model(**fields)])[0]


def saved_pivot(world: SimpleNamespace, **values: Any) -> Any:
    model = apps.get_model("reporting", "SavedPivot")
    fields = {"name": "月报", "owner": world.leader_person, "unit": world.district, "query": "", **values}
    return model.objects.bulk_create([model(**fields)])[0]


def upload(world: SimpleNamespace, **values: Any) -> Any:
    model = apps.get_model("reporting", "Upload")
    person = world.community_officer_person
    fields = {
        "unit": world.own,
        "kind": "activities",
        "name": "台账.xlsx",
        "sha256": "0",
        "size": 1,
        "created_by": person,
        "asked_by": person,
        "asked_for": world.own,
        **values,
    }
    return model.objects.bulk_create([model(**fields)])[0]


def upload_sheet(world: SimpleNamespace, whole: Any) -> Any:
    model = apps.get_model("reporting", "UploadSheet")
    return model.objects.bulk_create([model(upload=whole, position=0, name="台账")])[0]


def sheet_mapping(world: SimpleNamespace) -> Any:
    model = apps.get_model("reporting", "SheetMapping")
    person = world.community_officer_person
    return model.objects.bulk_create(
        [model(unit=world.own, kind="activities", columns={}, updated_by=person)]
    )[0]


def digest(world: SimpleNamespace) -> Any:
    model = apps.get_model("outreach", "Digest")
    return model.objects.bulk_create([model(user=world.office_person, day=DAY)])[0]


def kind_of_model(model: type[models.Model]) -> registry.RecordKind:
    return next(kind for kind in registry.kinds() if kind.model is model)


def twice(make: Callable[..., Any], *args: Any, **values: Any) -> None:
    make(*args, **values)
    make(*args, **values)


def twin_submission(world: SimpleNamespace, kind: registry.RecordKind) -> None:
    first = record(world, kind)
    record(world, kind, submission_key=first.submission_key)


LATER = DAY + dt.timedelta(days=1)

BREAKERS: dict[str, Callable[[SimpleNamespace], Any]] = {
    "unit_tier_matches_kind": lambda w: unit(w, tier="street"),
    "unit_only_districts_are_roots": lambda w: unit(w, parent=None),
    # With a path that does not name it, or the trigger against cycles is faster.
    "unit_is_not_its_own_parent": lambda w: (
        Unit.objects.filter(pk=w.police.pk).update(path="/0/"),
        Unit.objects.filter(pk=w.police.pk).update(parent=w.police),
    ),
    "unit_closes_after_it_opens": lambda w: unit(w, opened_on=LATER, closed_on=DAY),
    "unit_merged_units_are_closed": lambda w: unit(w, merged_into=w.own),
    "programs_unit.code": lambda w: unit(w, code=w.own.code),
    "placement_starts_once": lambda w: placement(w, valid_from=w.own.opened_on, valid_to=LATER),
    "placement_one_is_current": lambda w: placement(w, valid_to=None),
    "placement_ends_after_start": lambda w: placement(w, valid_from=DAY, valid_to=DAY),
    "programs_user.username": lambda w: User.objects.bulk_create(
        [User(username=w.office_person.username, name="同名")]
    ),
    "grant_open_once": lambda w: twice(grant, w),
    "grant_ends_after_start": lambda w: grant(w, valid_from=LATER, valid_to=DAY),
    "grant_role_is_known": lambda w: grant(w, role="emperor"),
    "activity_festival_names_one": lambda w: record(
        w, registry.kind("activities"), series="festival", festival=""
    ),
    "activity_participants_in_range": lambda w: record(w, registry.kind("activities"), participants=200_001),
    "gratitude_numbers_in_range": lambda w: record(w, registry.kind("gratitude"), media_reports=1001),
    "visit_person_times_in_range": lambda w: record(w, registry.kind("visits"), person_times=100_001),
    "visit_number_names_one": lambda w: twice(record, w, registry.kind("visits"), number="1"),
    "opinion_voices_in_range": lambda w: record(w, registry.kind("opinions"), voices=0),
    "opinion_merged_names_another": lambda w: record(w, registry.kind("opinions"), state="merged"),
    "opinion_answer_has_outcome_and_day": lambda w: record(w, registry.kind("opinions"), outcome="solved"),
    "outreach_opinion.tracking_digest": lambda w: twice(
        record, w, registry.kind("opinions"), tracking_digest="0" * 64
    ),
    "opinion_step_in_its_place": lambda w: twice(opinion_step, w, record(w, registry.kind("opinions"))),
    "mood_level_in_range": lambda w: record(w, registry.kind("mood"), level=6),
    "mood_alert_raised_once": lambda w: twice(mood_alert, w, observation=record(w, registry.kind("mood"))),
    "mood_alert_seen_by_somebody": lambda w: mood_alert(w, seen_at=timezone.now()),
    "digest_once_a_day": lambda w: twice(digest, w),
    "zero_stands_once": lambda w: twice(zero, w),
    "zero_month_is_a_first_day": lambda w: zero(w, month=DAY),
    "zero_withdrawn_by_somebody": lambda w: zero(w, withdrawn_at=timezone.now()),
    "saved_pivot_named_once": lambda w: twice(saved_pivot, w),
    "reporting_upload.public_id": lambda w: upload(w, sha256="1", public_id=upload(w).public_id),
    "upload_file_once": lambda w: twice(upload, w),
    "upload_one_runs_per_unit": lambda w: [
        upload(w, sha256=sha256, state="reading", lease_until=timezone.now()) for sha256 in "01"
    ],
    "upload_lease_is_of_work": lambda w: upload(w, state="previewed", lease_until=timezone.now()),
    "upload_state_is_known": lambda w: upload(w, state="lost"),
    "upload_rows_add_up": lambda w: upload(w, read=3, new=2),
    "upload_applied_at_some_time": lambda w: upload(w, state="applied"),
    "upload_confirmed_by_somebody": lambda w: upload(w, confirmed_at=timezone.now()),
    "upload_undone_by_somebody": lambda w: upload(w, undone_at=timezone.now()),
    "upload_sheet_once": lambda w: twice(upload_sheet, w, upload(w)),
    "sheet_mapping_once": lambda w: twice(sheet_mapping, w),
    "unit_month_once": lambda w: twice(unit_month, w),
    "unit_month_own_not_negative": lambda w: unit_month(w, own=[1, -1]),
    "unit_month_total_not_negative": lambda w: unit_month(w, total=[-1]),
    "unit_month_own_joint_not_negative": lambda w: unit_month(w, own_joint=[0, -1]),
    "unit_month_total_joint_not_negative": lambda w: unit_month(w, total_joint=[-200]),
    "unit_month_not_all_zero": lambda w: unit_month(w, total=None),
}
# Rules that every kind of record inherits, by the end of their names.
OF_EVERY_KIND: dict[str, Callable[[SimpleNamespace, registry.RecordKind], Any]] = {
    "_not_before_programme": lambda w, kind: record(w, kind, occurred_on=dt.date(2007, 12, 31)),
    "_removed_by_somebody": lambda w, kind: record(w, kind, removed_at=timezone.now()),
    ".submission_key": twin_submission,
}


def breaker(name: str, model: type[models.Model]) -> Callable[[SimpleNamespace], Any] | None:
    if name in BREAKERS:
        return BREAKERS[name]
    for ending, break_it in OF_EVERY_KIND.items():
        if issubclass(model, Record) and name.endswith(ending):
            return lambda world: break_it(world, kind_of_model(model))
    if model._meta.auto_created and ": " in name:  # the table between records and joint units
        return lambda world: twin_joint(world, model)
    return None


def twin_joint(world: SimpleNamespace, through: Any) -> None:
    owner = through._meta.auto_created
    made = record(world, kind_of_model(owner))
    row = {f"{owner._meta.model_name}_id": made.pk, "unit_id": world.sibling.pk}
    through.objects.bulk_create([through(**row)])
    through.objects.bulk_create([through(**row)])


def test_every_rule_has_a_sample_and_every_sample_a_rule() -> None:
    rules = declared_rules()
    assert [name for name, model in rules.items() if breaker(name, model) is None] == []
    assert [name for name in BREAKERS if name not in rules] == []


@pytest.mark.parametrize("name", sorted(declared_rules()))
def test_the_database_refuses(name: str, world: SimpleNamespace) -> None:
    model = declared_rules()[name]
    break_it = breaker(name, model)
    assert break_it is not None
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        break_it(world)
    for word in words_of(name, model):
        assert word in str(refusal.value), f"{refusal.value} is not about {name}"


def words_of(name: str, model: type[models.Model]) -> list[str]:
    """What a refusal by this rule says: SQLite names the columns of a unique rule, not the rule."""
    constraint = next((c for c in model._meta.constraints if c.name == name), None)
    if isinstance(constraint, models.CheckConstraint):
        return [name]
    if constraint is None:
        return [part.split(".")[-1] for part in name.split(": ")[-1].split(", ")]
    if connection.vendor == "postgresql":
        return [name]
    return [model._meta.get_field(field).column for field in constraint.fields]


# --- triggers -------------------------------------------------------------------------------------

MISPLACED: dict[str, Callable[[SimpleNamespace], Any]] = {
    "a community under a district": lambda w: unit(w, parent=w.district),
    "a community under a community": lambda w: unit(w, parent=w.own),
    "a street under a street": lambda w: unit(w, kind="street", tier="street", parent=w.street),
    "a department of the district under a street": lambda w: unit(
        w, kind="department", tier="district", parent=w.street
    ),
    "a community moved under a district": lambda w: Unit.objects.filter(pk=w.own.pk).update(
        parent=w.district
    ),
    "a street that becomes a community": lambda w: Unit.objects.filter(pk=w.street.pk).update(
        kind="community", tier="community"
    ),
    "a parent that does not exist": lambda w: Unit.objects.filter(pk=w.own.pk).update(parent_id=10**9),
    "a cycle": lambda w: cycle(w),
}


def cycle(world: SimpleNamespace) -> None:
    """Two bodies of one tier, each above the other."""
    below = unit(world, code="B", kind="department", tier="district", parent=world.police)
    Unit.objects.filter(pk=below.pk).update(path=f"{world.police.path}{below.pk}/")
    Unit.objects.filter(pk=world.police.pk).update(parent=below)


@pytest.mark.parametrize("case", MISPLACED)
def test_a_unit_stands_under_a_parent_of_the_right_tier(case: str, world: SimpleNamespace) -> None:
    with pytest.raises(IntegrityError, match="unit_parent_fits"), transaction.atomic():
        MISPLACED[case](world)


def test_a_body_may_stand_under_a_body_of_its_tier(world: SimpleNamespace) -> None:
    """What the rule allows, so that the refusals above are not refusals of everything."""
    assert unit(world, kind="department", tier="district", parent=world.police).pk
    assert unit(world, code="T", kind="town", tier="street", parent=world.district).pk


MONTH, OTHER_MONTH = dt.date(2026, 3, 1), dt.date(2025, 11, 1)


def marks() -> set[tuple[int, dt.date]]:
    return set(Mark.objects.values_list("unit_id", "month"))


def no_marks() -> None:
    Mark.objects.all().delete()


@pytest.mark.parametrize("kind", registry.kinds(), ids=str)
def test_every_direct_write_leaves_marks(kind: registry.RecordKind, world: SimpleNamespace) -> None:
    """Each trigger of a kind's two tables, by inserts, updates and deletes past the actions."""
    own, sibling, cousin = world.own, world.sibling, world.cousin
    joint = kind.model.joint_model()
    no_marks()
    made = record(world, kind, occurred_on=DAY)
    assert marks() == {(own.pk, MONTH)}, "insert"

    no_marks()
    row = {f"{kind.model._meta.model_name}_id": made.pk, "unit_id": sibling.pk}
    joint.objects.bulk_create([joint(**row)])
    assert marks() == {(sibling.pk, MONTH)}, "insert of a joint unit"

    no_marks()
    kind.model.objects.filter(pk=made.pk).update(occurred_on=dt.date(2025, 11, 30), unit=cousin)
    old, new = {(own.pk, MONTH), (sibling.pk, MONTH)}, {(cousin.pk, OTHER_MONTH), (sibling.pk, OTHER_MONTH)}
    assert marks() == old | new, "update"

    no_marks()
    joint.objects.filter(**row).update(unit_id=own.pk)
    assert marks() == {(sibling.pk, OTHER_MONTH), (own.pk, OTHER_MONTH)}, "update of a joint unit"

    no_marks()
    joint.objects.all().delete()
    assert marks() == {(own.pk, OTHER_MONTH)}, "delete of a joint unit"

    no_marks()
    kind.model.objects.filter(pk=made.pk).delete()
    assert marks() == {(cousin.pk, OTHER_MONTH)}, "delete"


@pytest.mark.postgres
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="on SQLite the model's own refusal must do")
@pytest.mark.parametrize(
    "statement", ["UPDATE programs_auditevent SET reason = 'x'", "DELETE FROM programs_auditevent"]
)
def test_the_audit_log_only_grows(statement: str, db: None) -> None:
    AuditEvent.objects.create(action="test")
    with (
        pytest.raises(DatabaseError, match="never changed"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


# What each trigger is for, and the test above that sets it off.
PURPOSES = {
    "mark_insert",
    "mark_update",
    "mark_delete",
    "parent",
    "parent_insert",
    "parent_update",
    "append_only",
}


def test_every_trigger_is_installed_and_has_a_sample(db: None) -> None:
    assert triggers.missing() == []
    purposes = {
        trigger.purpose for vendor in ("sqlite", "postgresql") for trigger in triggers.declared(vendor)
    }
    assert purposes == PURPOSES
