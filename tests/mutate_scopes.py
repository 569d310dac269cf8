#!/usr/bin/env python3
"""Break each scope filter and permission check in turn, and see the tests go red.

    python tests/mutate_scopes.py [NUMBER …] [--list]

Works on copies of the tree in a temporary folder. Each mutation replaces one piece of source and runs the few tests
that must notice; one that survives, or whose source is no longer there, fails the run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "var", "node_modules", "__pycache__", ".*_cache", "*.pyc", "test-results", "screenshots"
)
MODULES = ["tests/test_every_url.py", "tests/test_action_scopes.py"]
RECORDS = "test_access and activities and (record_detail or record_edit)"
LISTS = "test_access and activities and record_export"
UNITS = "test_access and api_units"
PEOPLE = "test_access and (people_list or person_edit)"
EVENTS = "test_access and audit_export"
ACTIONS = "test_actions"
PROCESSES = 2


@dataclass(frozen=True)
class Mutation:
    what: str
    path: str
    old: str
    new: str
    tests: str  # pytest -k, within `module`, or MODULES without one
    module: str = ""

    def apply(self, tree: Path) -> None:
        file = tree / self.path
        text = file.read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise LookupError(f"{self.path} holds {text.count(self.old)} times: {self.old!r}")
        file.write_text(text.replace(self.old, self.new), encoding="utf-8")


ACCESS, MIDDLEWARE, PERSONS = "programs/access.py", "programs/middleware.py", "programs/models/people.py"
PAGES, API, READING = "programs/record_views.py", "programs/api/records.py", "programs/api/reading.py"
SAVING, ACCOUNTS, TREE = (
    "programs/actions/records.py",
    "programs/actions/people.py",
    "programs/actions/units.py",
)
GRANT_FILTER = "self.filter(Q(valid_to=None) | Q(valid_to__gte=day), valid_from__lte=day, revoked_at=None)"
SUBTREE_CONDITION = "        case Reach.SUBTREE:\n            return subtree(home.path)\n"
DISTRICT_CONDITION = '            return subtree(f"/{home.root_id}/")\n'

MUTATIONS = [
    # how far a reach goes
    Mutation(
        "a grant without the units below reaches them",
        ACCESS,
        "if reach is Reach.SUBTREE and not grant.include_descendants:",
        "if False:",
        RECORDS,
    ),
    Mutation(
        "the subtree is everything (query)",
        ACCESS,
        SUBTREE_CONDITION,
        "        case Reach.SUBTREE:\n            return ~Q(pk=None)\n",
        RECORDS,
    ),
    Mutation(
        "the subtree is the unit alone (query)",
        ACCESS,
        SUBTREE_CONDITION,
        "        case Reach.SUBTREE:\n            return Q(pk=home.pk)\n",
        RECORDS,
    ),
    Mutation(
        "the subtree is everything (object)",
        ACCESS,
        "return home.contains(unit)",
        "return True",
        "test_actions_units",
    ),
    Mutation(
        "the district is every district (query)",
        ACCESS,
        DISTRICT_CONDITION,
        "            return ~Q(pk=None)\n",
        UNITS,
    ),
    Mutation(
        "the own unit leaves out merged ones (query)",
        ACCESS,
        "return Q(pk=home.pk) | Q(merged_into=home.pk)",
        "return Q(pk=home.pk)",
        RECORDS,
    ),
    Mutation(
        "the own unit leaves out merged ones (object)",
        ACCESS,
        "return unit.pk == home.pk or unit.merged_into_id == home.pk",
        "return unit.pk == home.pk",
        RECORDS,
    ),
    Mutation(
        "the own unit is every unit (object)",
        ACCESS,
        "return unit.pk == home.pk or unit.merged_into_id == home.pk",
        "return True",
        RECORDS,
    ),
    Mutation(
        "who holds nothing reaches everything",
        ACCESS,
        "condition = Q(pk__in=())\n    for home, reach in actor.reaches(permission):\n        condition |= _reach",
        "condition = ~Q(pk=None)\n    for home, reach in actor.reaches(permission):\n        condition |= _reach",
        "test_access and search",
    ),
    # records
    Mutation(
        "lists show every record",
        ACCESS,
        "return queryset.filter(Q(unit__in=units) | joined)",
        "return queryset",
        LISTS,
    ),
    Mutation(
        "joint units do not see their records",
        ACCESS,
        "return queryset.filter(Q(unit__in=units) | joined)",
        "return queryset.filter(unit__in=units)",
        LISTS,
    ),
    Mutation(
        "joint units may bring back what others removed",
        ACCESS,
        "    if permission is Permission.RECORD_WRITE:\n        return queryset.filter(unit__in=units)\n",
        "",
        "test_access and activities and record_removed",
    ),
    Mutation(
        "a record is fetched without its scope",
        ACCESS,
        "record = visible(kind.model.objects.for_detail(), actor).filter(pk=pk).first()",
        "record = kind.model.objects.for_detail().filter(pk=pk).first()",
        RECORDS,
    ),
    Mutation(
        "a record's permission is not asked for",
        ACCESS,
        "if permission is not Permission.RECORD_VIEW and not actor.covers(permission, record.unit):",
        "if False:",
        RECORDS,
    ),
    Mutation(
        "removed records show to everybody",
        ACCESS,
        "if record.is_removed and not (",
        "if False and not (",
        RECORDS,
    ),
    Mutation(
        "removed records can be changed",
        ACCESS,
        "if removed is not None and record.is_removed is not removed:",
        "if False:",
        RECORDS,
    ),
    Mutation(
        "a district's list shows every district",
        ACCESS,
        "        joined = Q(pk__in=())  # a joint",
        "        return queryset  # a joint",
        "test_a_leader_of_the_district",
    ),
    # units, people, events
    Mutation(
        "a unit is fetched without its district",
        ACCESS,
        "unit = units_for(actor, Permission.UNIT_VIEW).filter(**lookup)",
        "unit = Unit.objects.filter(**lookup)",
        UNITS,
    ),
    Mutation(
        "a unit's permission is not asked for",
        ACCESS,
        "    if not actor.covers(permission, unit):\n        raise PermissionDenied\n    return unit",
        "    return unit",
        "test_access and dashboard_unit",
    ),
    Mutation(
        "administrators keep everybody's accounts",
        ACCESS,
        "Exists(grants.filter(unit__in=units)), ~Exists(standing.exclude(unit__in=units))",
        "Exists(grants)",
        PEOPLE,
    ),
    Mutation(
        "administrators keep accounts of people who act elsewhere too",
        ACCESS,
        "Exists(grants.filter(unit__in=units)), ~Exists(standing.exclude(unit__in=units))",
        "Exists(grants.filter(unit__in=units))",
        PEOPLE,
    ),
    Mutation(
        "auditors read every district's log",
        ACCESS,
        "                condition |= Q(unit_path__startswith=home.path)\n",
        "                condition |= ~Q(pk=None)\n",
        EVENTS,
    ),
    # grants and sessions
    Mutation(
        "grants never end",
        PERSONS,
        GRANT_FILTER,
        "self.filter(valid_from__lte=day, revoked_at=None)",
        RECORDS,
    ),
    Mutation(
        "grants begin early",
        PERSONS,
        GRANT_FILTER,
        "self.filter(Q(valid_to=None) | Q(valid_to__gte=day), revoked_at=None)",
        RECORDS,
    ),
    Mutation(
        "revoked grants go on",
        PERSONS,
        GRANT_FILTER,
        "self.filter(Q(valid_to=None) | Q(valid_to__gte=day), valid_from__lte=day)",
        RECORDS,
    ),
    Mutation(
        "closed accounts go on",
        "programs/backends.py",
        "if user is None or not user.is_active:",
        "if user is None:",
        RECORDS,
    ),
    Mutation(
        "resting grants count",
        MIDDLEWARE,
        "tuple(grant for grant in choices if grant.unit_id == picked),",
        "choices,",
        RECORDS,
    ),
    # declared permissions
    Mutation(
        "declared permissions are not asked for",
        MIDDLEWARE,
        "if requirement.permission and not actor.may(requirement.permission):",
        "if False:",
        RECORDS,
    ),
    Mutation(
        "a view that declares nothing is open",
        MIDDLEWARE,
        'is denied.", view)\n            raise PermissionDenied',
        'is denied.", view)\n            return None',
        "test_a_view_that_declares_nothing",
    ),
    Mutation(
        "the export asks for nothing",
        PAGES,
        "@requires(Permission.RECORD_EXPORT)\ndef record_export",
        "@requires(Permission.UNIT_VIEW)\ndef record_export",
        "(test_access or declares) and activities and record_export",
    ),
    # pages of records
    Mutation(
        "the list shows every record",
        PAGES,
        "    records = visible(this.model.objects.present(), actor, listing=True)\n",
        "    records = this.model.objects.present()\n",
        "test_access and activities and record_list",
    ),
    Mutation(
        "the export holds every record",
        PAGES,
        "visible(this.model.objects.present().for_list(), actor, Permission.RECORD_EXPORT, listing=True)",
        "this.model.objects.present().for_list()",
        LISTS,
    ),
    Mutation(
        "the list of removed records shows all of them",
        PAGES,
        "records = visible(removed, _actor(request), Permission.RECORD_WRITE)",
        "records = removed",
        "test_access and activities and record_removed",
    ),
    Mutation(
        "files of sensitive records open to who may not read them",
        PAGES,
        "    if not _may_open_files(kind, record, actor):\n        raise PermissionDenied\n",
        "",
        "test_access and cases and attachment and not remove and not restore",
    ),
    Mutation(
        "a file is fetched without its record",
        PAGES,
        "pk=file, kind=kind.code, record_id=record.pk, removed_at__isnull=not removed",
        "pk=file, removed_at__isnull=not removed",
        "test_a_file_goes_with_its_record",
    ),
    # the API
    Mutation(
        "the API lists every record",
        API,
        "records = visible(self.kind.model.objects.present().for_detail(), actor, listing=True)",
        "records = self.kind.model.objects.present().for_detail()",
        "test_access and api_activities_list",
    ),
    Mutation(
        "the API lists every unit",
        READING,
        "units = units_for(actor, Permission.UNIT_VIEW).filter(**wanted)",
        "units = Unit.objects.filter(**wanted)",
        UNITS,
    ),
    # actions, which check by themselves whatever the page did
    Mutation(
        "a record is saved for a unit out of reach",
        SAVING,
        "    if not by.covers(permission, record.unit):\n",
        "    if False:\n",
        ACTIONS,
    ),
    Mutation(
        "a record out of reach is changed",
        SAVING,
        "        if not by.covers(Permission.RECORD_WRITE, record.unit):\n",
        "        if False:\n",
        ACTIONS,
    ),
    Mutation(
        "a record out of reach is removed",
        SAVING,
        "        if not by.covers(Permission.RECORD_WRITE, current.unit):\n",
        "        if False:\n",
        ACTIONS,
    ),
    Mutation(
        "a role is granted out of reach",
        ACCOUNTS,
        "if by is not None and not _may_grant(by, grant):",
        "if False:",
        ACTIONS,
    ),
    Mutation(
        "an account out of reach is changed",
        ACCOUNTS,
        "    if not people_for(by).filter(pk=user.pk).exists():\n        raise PermissionDenied",
        "    return",
        ACTIONS,
    ),
    Mutation(
        "people change what they may do themselves",
        ACCOUNTS,
        "    if by.user.pk == user.pk:\n        raise PermissionDenied(",
        "    if False:\n        raise PermissionDenied(",
        ACTIONS,
    ),
    Mutation(
        "a unit out of reach is changed",
        TREE,
        "if by is not None and (unit is None or not by.covers(Permission.UNIT_MANAGE, unit)):",
        "if False:",
        ACTIONS,
    ),
    Mutation(
        "a record out of reach is revealed",
        "programs/disclosure.py",
        "    if not by.covers(Permission.RECORD_REVEAL, record.unit):\n        raise PermissionDenied\n    reason",
        "    reason",
        ACTIONS,
    ),
    Mutation(
        "a reveal of one person opens to all",
        "programs/disclosure.py",
        "user_id=actor.user.pk, object_type=record._meta.label_lower, expires_at__gt",
        "object_type=record._meta.label_lower, expires_at__gt",
        "test_a_reveal",
    ),
    Mutation(
        "saved tables open to everybody",
        "reporting/pivot_views.py",
        "return SavedPivot.objects.filter(Q(owner=actor.user) | Q(shared=True) & seen)",
        "return SavedPivot.objects.all()",
        "test_access and pivot",
    ),
    Mutation(
        "a zero is declared for a unit out of reach",
        "programs/actions/zero.py",
        "    if not by.covers(Permission.RECORD_WRITE, unit):\n        raise PermissionDenied\n    month",
        "    month",
        ACTIONS,
    ),
    # listening visits
    Mutation(
        "the inbox holds every unit's opinions",
        "outreach/inbox.py",
        'return Q(responsible__in=own) if whose == "hand" else Q(unit__in=own)',
        "return ~Q(pk=None)",
        "counts_are_those",
        "tests/outreach/test_inbox.py",
    ),
    Mutation(
        "an office supervises every district's opinions",
        "outreach/inbox.py",
        'return Q(unit__in=units_for(actor, Permission.OPINION_SUPERVISE).values("pk"))',
        "return ~Q(pk=None)",
        "own_district_alone",
        "tests/outreach/test_inbox.py",
    ),
    Mutation(
        "everybody has the tabs of the office",
        "outreach/inbox.py",
        "if t.whose == whose and (t.permission is None or actor.may(t.permission))]",
        "if t.whose == whose]",
        "counts_are_those",
        "tests/outreach/test_inbox.py",
    ),
    Mutation(
        "a step is taken by anybody",
        "outreach/actions/opinions.py",
        "if by is None else life.parties(by, opinion)",
        "if by is None else frozenset(Party)",
        "test_every_step_by_everybody",
        "tests/outreach/test_life.py",
    ),
    Mutation(
        "a step is taken by who had a part in it before",
        "outreach/actions/opinions.py",
        "        if not _who(by, current) & step.parties:",
        "        if False:",
        "only_before",
        "tests/outreach/test_inbox.py",
    ),
    Mutation(
        "the office of another district takes steps",
        "outreach/life.py",
        "if actor.covers(Permission.OPINION_SUPERVISE, opinion.unit):",
        "if actor.may(Permission.OPINION_SUPERVISE):",
        "own_district_alone",
        "tests/outreach/test_inbox.py",
    ),
    Mutation(
        "who writes anywhere is responsible everywhere",
        "outreach/life.py",
        "if actor.covers(Permission.RECORD_WRITE, opinion.responsible):",
        "if actor.may(Permission.RECORD_WRITE):",
        "test_every_step_by_everybody",
        "tests/outreach/test_life.py",
    ),
    Mutation(
        "an answer is released by anybody",
        "outreach/actions/release.py",
        "    if not by.covers(Permission.RECORD_WRITE, opinion.unit):\n        raise PermissionDenied\n",
        "",
        "released_and_withdrawn",
        "tests/outreach/test_inbox.py",
    ),
    Mutation(
        "the overview of public mood counts everything",
        "outreach/mood.py",
        "seen = visible(MoodObservation.objects.present(), actor).filter(",
        "seen = MoodObservation.objects.present().filter(",
        "overview",
        "tests/outreach/test_mood.py",
    ),
    Mutation(
        "early warnings show to every unit",
        "outreach/mood.py",
        "return found.filter(told=actor.unit)",
        "return found",
        "seen_with_one_click",
        "tests/outreach/test_mood.py",
    ),
    Mutation(
        "an early warning is put away by anybody",
        "outreach/mood.py",
        "    if not by.covers(Permission.RECORD_WRITE, alert.told):\n        raise PermissionDenied\n",
        "",
        "the_action_itself",
        "tests/outreach/test_mood.py",
    ),
    Mutation(
        "the overview of opinions counts everything",
        "outreach/opinion_overview.py",
        "visible(Opinion.objects.present(), actor)",
        "Opinion.objects.present()",
        "every_number_is_that_of_its_list",
        "tests/outreach/test_overview.py",
    ),
    Mutation(
        "similar opinions are looked for everywhere",
        "outreach/similar.py",
        "scope = visible(Opinion.objects.present(), actor, listing=True).filter(",
        "scope = Opinion.objects.present().filter(",
        "nobody_sees",
        "tests/outreach/test_similar.py",
    ),
    Mutation(
        "matters of every district count as raised widely",
        "outreach/similar.py",
        "        visible(Opinion.objects.present(), actor, listing=True)\n        .filter",
        "        Opinion.objects.present()\n        .filter",
        "other_districts",
        "tests/outreach/test_similar.py",
    ),
    Mutation(
        "what was raised widely shows on every home page",
        "outreach/similar.py",
        "if not actor.may(Permission.OPINION_SUPERVISE):",
        "if False:",
        "panel",
        "tests/outreach/test_similar.py",
    ),
    Mutation(
        "a visit shows opinions out of sight",
        "outreach/visit_parts.py",
        'visible(heard.for_list(), actor).order_by("pk")',
        'heard.for_list().order_by("pk")',
        "no_more_than_that",
        "tests/outreach/test_visits.py",
    ),
    Mutation(
        "an opinion leads to a visit out of sight",
        "outreach/visit_parts.py",
        "return visible(named.for_list(), actor).first()",
        "return named.for_list().first()",
        "not_told_of_the_visit",
        "tests/outreach/test_visits.py",
    ),
    Mutation(
        "a place shows visits out of sight",
        "outreach/visit_parts.py",
        "visible(held.for_list(), actor).order_by",
        "held.for_list().order_by",
        "no_more_than_that",
        "tests/outreach/test_visits.py",
    ),
    Mutation(
        "opinions are filtered by units out of sight",
        "programs/filters.py",
        "label=field.verbose_name, queryset=_units",
        "label=field.verbose_name, queryset=lambda request: Unit.objects.all()",
        "asked_for",
        "tests/outreach/test_visits.py",
    ),
    Mutation(
        "the citizen's code is issued by who only reads",
        "outreach/citizen_staff.py",
        'registry.kind("opinions"), _actor(request), pk, Permission.RECORD_WRITE',
        'registry.kind("opinions"), _actor(request), pk, Permission.RECORD_VIEW',
        "test_access and (opinion_code or opinion_release)",
    ),
    # spreadsheets
    Mutation(
        "uploads of every unit are listed and opened",
        "reporting/uploads/jobs.py",
        "Upload.objects.filter(unit__in=units_for(by, Permission.RECORD_BRING)).select",
        "Upload.objects.select",
        "test_access and upload_detail",
    ),
    Mutation(
        "a spreadsheet is brought for a unit out of reach",
        "reporting/uploads/jobs.py",
        "if by.unit is None or not by.covers(Permission.RECORD_BRING, unit):",
        "if False:",
        "nobody_may_ask",
        "tests/reporting/uploads/test_jobs.py",
    ),
    Mutation(
        "a file of an upload opens with columns that are not read",
        "reporting/uploads/downloads.py",
        "    if not may_open(by, upload):\n        raise PermissionDenied\n",
        "",
        "sensitive_columns",
        "tests/reporting/uploads/test_upload_pages.py",
    ),
    Mutation(
        "a lost role goes on bringing a spreadsheet",
        "reporting/uploads/claims.py",
        "if not user.is_active or not by.covers(Permission.RECORD_BRING, upload.unit):",
        "if False:",
        "rights_are_those_of_the_moment",
        "tests/reporting/uploads/test_jobs.py",
    ),
    Mutation(
        "rows are entered for units out of reach",
        "programs/actions/bulk.py",
        "    if wanted - found.keys():\n        raise PermissionDenied\n",
        "",
        "out_of_reach",
        "tests/reporting/uploads/test_bulk.py",
    ),
]


# --- running --------------------------------------------------------------------------------------


def copy_tree(to: Path) -> Path:
    shutil.copytree(ROOT, to, ignore=LEFT_OUT, symlinks=True)
    return to


def run_tests(tree: Path, tests: str, module: str = "") -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "TEST_", "COV_"))
    }
    environment |= {"VAR_DIR": str(tree / "var"), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    quick = [
        "-x",
        "-q",
        "--reuse-db",
        "-p",
        "no:schemathesis",
        "-p",
        "no:hypothesispytest",
        "-p",
        "no:cacheprovider",
        "--show-capture=no",
    ]
    command = [sys.executable, "-m", "pytest", *([module] if module else MODULES), "-k", tests, *quick]
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


def survives(mutation: Mutation, tree: Path) -> str:
    """Why the mutation was not found; "" if it was. The tree is as before afterwards."""
    file = tree / mutation.path
    original = file.read_text(encoding="utf-8")
    try:
        mutation.apply(tree)
    except LookupError as error:
        return f"cannot be applied: {error}"
    try:
        result = run_tests(tree, mutation.tests, mutation.module)
    finally:
        file.write_text(original, encoding="utf-8")
    if result.returncode == 1:
        return ""
    # 0: all passed. Anything else (no test found, broken import) says nothing of the mutation.
    return (
        "SURVIVED"
        if result.returncode == 0
        else f"no verdict ({result.returncode}):\n{result.stdout[-2000:]}"
    )


def run(mutations: list[Mutation], *, processes: int = PROCESSES) -> int:
    """Try the mutations in turn; returns how many were not found."""
    with tempfile.TemporaryDirectory(prefix="caring-portal-mutants-") as folder:
        trees: SimpleQueue[Path] = SimpleQueue()
        for number in range(min(processes, len(mutations))):
            trees.put(copy_tree(Path(folder, str(number))))
        print(f"{len(mutations)} mutations, {processes} at a time", flush=True)

        def attempt(mutation: Mutation) -> bool:
            tree, began = trees.get(), time.monotonic()
            try:
                why = survives(mutation, tree)
            finally:
                trees.put(tree)
            print(
                f"{why or 'found':9} {time.monotonic() - began:5.1f} s  {mutation.what}",
                flush=True,
            )
            return not why

        with ThreadPoolExecutor(processes) as pool:
            found = sum(pool.map(attempt, mutations))
    print(f"{found} of {len(mutations)} found")
    return len(mutations) - found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("numbers", nargs="*", type=int, help="which mutations (default: all)")
    parser.add_argument("--list", action="store_true", help="list them with their numbers")
    options = parser.parse_args()
    if options.list:
        for number, mutation in enumerate(MUTATIONS):
            print(f"{number:3} {mutation.what}")
        return 0
    return 1 if run([MUTATIONS[number] for number in options.numbers] or MUTATIONS) else 0


if __name__ == "__main__":
    sys.exit(main())
