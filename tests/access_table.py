"""The expected table of access: who may do what, where, worked out from positions alone.

It knows the roles' declarations (which permission, how far) and nothing of how the portal keeps them: no path,
no query, no `programs.access`. What a reach covers is read off one small drawing of the tree.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from programs.field_classes import C3
from programs.roles import ROLES, Disclosure, Permission, Reach

# --- where things are -----------------------------------------------------------------------------
#
#            PARENT (district)              ELSEWHERE's district
#           /        |                                |
#        OWN      SIBLING     (streets)          ELSEWHERE
#       /   \
#   CHILD  (MERGED: a street that was merged into OWN)

OWN, CHILD, SIBLING, PARENT, ELSEWHERE, MERGED = "own", "child", "sibling", "parent", "elsewhere", "merged"
POSITIONS = (OWN, CHILD, SIBLING, PARENT, ELSEWHERE, MERGED)

# The units that a grant at OWN covers.
COVERED = {
    Reach.OWN: {OWN, MERGED},
    Reach.SUBTREE: {OWN, MERGED, CHILD},
    Reach.DISTRICT: {OWN, MERGED, CHILD, SIBLING, PARENT},
}

# Records have three positions more: led by SIBLING with a joint unit, and one of OWN that was removed.
JOINT, JOINT_BELOW, REMOVED = "joint", "joint_below", "removed"
RECORD_SCOPES = (*POSITIONS, JOINT, JOINT_BELOW, REMOVED)
LED_BY = {
    **{position: position for position in POSITIONS},
    JOINT: SIBLING,
    JOINT_BELOW: SIBLING,
    REMOVED: OWN,
}
JOINED_BY = {JOINT: OWN, JOINT_BELOW: CHILD}

# People besides those with a grant at one unit: one who holds a role at OWN and another ELSEWHERE.
BOTH = "both"
PERSON_SCOPES = (*POSITIONS, BOTH)


# --- who asks -------------------------------------------------------------------------------------


class Standing(enum.Enum):
    ACTIVE = "active"
    EXPIRED = "expired"  # ended yesterday
    REVOKED = "revoked"
    FUTURE = "future"  # begins another day
    DEACTIVATED = "deactivated"  # the account is closed
    STRANGER = "stranger"  # not signed in


@dataclass(frozen=True)
class Person:
    """Somebody with at most one role at OWN that counts."""

    name: str
    role: str = ""
    below: bool = False  # whether the grant includes the units below
    standing: Standing = Standing.ACTIVE
    # A second grant that rests: the person acts for OWN.
    rests: str = ""

    @property
    def is_signed_in(self) -> bool:
        return self.standing not in {Standing.STRANGER, Standing.DEACTIVATED}

    def reach(self, permission: Permission) -> Reach | None:
        if self.standing is not Standing.ACTIVE or not self.role:
            return None
        reach = ROLES[self.role].permissions.get(permission)
        return Reach.OWN if reach is Reach.SUBTREE and not self.below else reach

    def holds(self, permission: Permission) -> bool:
        return self.reach(permission) is not None

    def covers(self, permission: Permission, position: str) -> bool:
        reach = self.reach(permission)
        return reach is not None and position in COVERED[reach]


PEOPLE = (
    *(Person(code, code, role.with_descendants) for code, role in ROLES.items()),
    Person("leader_alone", "leader", below=False),
    Person("office_alone", "office", below=False),
    Person("resting", "community_officer", rests="auditor"),
    Person("nobody"),
    Person("expired", "office", below=True, standing=Standing.EXPIRED),
    Person("revoked", "office", below=True, standing=Standing.REVOKED),
    Person("future", "office", below=True, standing=Standing.FUTURE),
    Person("deactivated", "office", below=True, standing=Standing.DEACTIVATED),
    Person("stranger", standing=Standing.STRANGER),
)
A_FEW = [
    person for person in PEOPLE if person.name in {"office", "administrator", "auditor", "nobody", "stranger"}
]


# --- what is there to see -------------------------------------------------------------------------


def sees_record(person: Person, scope: str, permission: Permission = Permission.RECORD_VIEW) -> bool:
    """Records led, or joined, by a unit in reach; removed ones only by who may write or audit them."""
    if scope == REMOVED:
        return sees_removed(person, OWN)
    joined = JOINED_BY.get(scope)
    return person.covers(permission, LED_BY[scope]) or (
        joined is not None and person.covers(permission, joined)
    )


def sees_removed(person: Person, position: str) -> bool:
    """A removed record of the unit at this position."""
    return person.covers(Permission.RECORD_VIEW, position) and (
        person.covers(Permission.RECORD_WRITE, position) or person.covers(Permission.AUDIT_VIEW, position)
    )


def listed_records(person: Person, permission: Permission = Permission.RECORD_VIEW) -> set[str]:
    """The scopes whose record stands in this person's lists: removed ones stand in none."""
    return {scope for scope in RECORD_SCOPES if scope != REMOVED and sees_record(person, scope, permission)}


def listed_removed(person: Person, permission: Permission) -> set[str]:
    """What was removed, for those who may bring it back: led by a unit in reach."""
    gone = {f"gone_{position}" for position in POSITIONS if person.covers(permission, position)}
    return gone | ({REMOVED} if person.covers(permission, OWN) else set())


def listed(rule: Rule, person: Person) -> set[str]:
    match rule.lists:
        case "records":
            return listed_records(person, rule.by)
        case "removed records":
            return listed_removed(person, rule.by)
        case "events":
            return {scope for scope in POSITIONS if sees_event(person, scope)}
        case "units":
            return {scope for scope in POSITIONS if sees_unit(person, scope)}
        case "open units":
            return {scope for scope in POSITIONS if scope != MERGED and sees_unit(person, scope)}
        case "people":
            return {scope for scope in PERSON_SCOPES if sees_person(person, scope)}
        case "saved":
            return {scope for scope in POSITIONS if sees_shared(person, scope)}
        case "uploads":
            return {scope for scope in POSITIONS if sees_upload(person, scope)}
    raise ValueError(rule.lists)


def opens_files(person: Person, sensitive: bool) -> bool:
    """Files of records with fields of class C3 are opened by who reads these in the clear."""
    reads = ROLES[person.role].reads if person.role else {}
    return not sensitive or reads.get(C3) is Disclosure.CLEAR


def sees_unit(person: Person, scope: str) -> bool:
    return person.covers(Permission.UNIT_VIEW, scope)


def sees_person(person: Person, scope: str) -> bool:
    """An account belongs to the pages of who covers every unit at which its person stands."""
    homes = {OWN, ELSEWHERE} if scope == BOTH else {scope}
    return all(person.covers(Permission.PEOPLE_MANAGE, home) for home in homes)


def sees_event(person: Person, scope: str) -> bool:
    return person.covers(Permission.AUDIT_VIEW, scope)


def sees_shared(person: Person, scope: str) -> bool:
    """A table shared at the unit one acts for, or above it, or where one sees the figures."""
    return person.holds(Permission.STATISTICS_VIEW) and (
        scope in {OWN, PARENT} or person.covers(Permission.STATISTICS_VIEW, scope)
    )


def sees_upload(person: Person, scope: str) -> bool:
    """A spreadsheet of a unit that one may enter records for."""
    return person.covers(Permission.RECORD_BRING, scope)


# --- what each route asks for ---------------------------------------------------------------------


class Open(enum.Enum):
    PUBLIC = "public"
    SIGNED_IN = "signed in"
    ROLE = "any role that counts today"


Need = Permission | Open


class Subject(enum.Enum):
    """What a route's parameters name, with the scopes in which it is tried."""

    NOTHING = ("", ("",))
    RECORD = ("record", RECORD_SCOPES)
    REMOVED_RECORD = ("removed record", POSITIONS)
    UNIT = ("unit", POSITIONS)
    UNIT_IN_BODY = ("unit named in what is sent", POSITIONS)
    OPEN_UNIT_IN_BODY = ("open unit named in what is sent", POSITIONS[:-1])
    FILE = ("file of a record", RECORD_SCOPES)
    PERSON = ("person", PERSON_SCOPES)
    EVENT = ("audit event", POSITIONS)
    SHARED = ("saved table that somebody shares", POSITIONS)
    UPLOAD = ("spreadsheet", POSITIONS)
    SHARED_BY_ANOTHER = ("saved table that is another's to change", POSITIONS)

    def __init__(self, label: str, scopes: tuple[str, ...]) -> None:
        self.label = label
        self.scopes = scopes


@dataclass(frozen=True)
class Rule:
    """What a route is expected to ask of whom, method by method. HEAD goes with GET."""

    methods: dict[str, Need]
    subject: Subject = Subject.NOTHING
    # Methods that leave a trace in the database when they are allowed: a proof that allowed means done.
    writes: frozenset[str] = field(default_factory=frozenset)
    # What the answer to GET lists: exactly what the person may see (of records, by this permission).
    lists: str = ""
    by: Permission = Permission.RECORD_VIEW
    query: str = ""
    # Sorts of things that the route names to everybody: units that listen, places shown to citizens.
    open_names: frozenset[str] = frozenset()


class Outcome(enum.Enum):
    OK = "ok"
    REFUSED = "refused"  # answered, and nothing was done: a form with its errors, 400, 403, 404
    SIGN_IN = "sign-in"  # redirected there; 401 from the API
    FORBIDDEN = "403"
    NOT_FOUND = "404"
    NO_METHOD = "405"


def matches(pattern: str, name: str) -> bool:
    return fnmatchcase(name, pattern)


def rule_for(name: str) -> Rule | None:
    """The rule of a route by its name; patterns stand for the routes made for each kind."""
    if name in RULES:
        return RULES[name]
    return next((rule for pattern, rule in RULES.items() if matches(pattern, name)), None)


def expected(rule: Rule, method: str, person: Person, scope: str) -> set[Outcome]:
    """The outcomes that the table allows in one cell; more than one only where no harm can come of either."""
    need = rule.methods.get("GET" if method == "HEAD" else method)
    if need is None:
        return _without_method(rule, method, person, scope)
    if need is Open.PUBLIC:
        return {Outcome.OK}
    if not person.is_signed_in:
        return {Outcome.SIGN_IN}
    if need is Open.SIGNED_IN:
        return {Outcome.OK}
    if need is Open.ROLE:
        return {Outcome.OK if person.holds(Permission.UNIT_VIEW) else Outcome.FORBIDDEN}
    if not person.holds(need):
        return {Outcome.FORBIDDEN}
    return {_by_subject(rule.subject, need, person, scope, method)}


def _by_subject(subject: Subject, need: Permission, person: Person, scope: str, method: str) -> Outcome:
    match subject:
        case Subject.NOTHING:
            return Outcome.OK
        case Subject.UNIT_IN_BODY | Subject.OPEN_UNIT_IN_BODY:
            done = method in {"GET", "HEAD"} or person.covers(need, scope)
            return Outcome.OK if done else Outcome.REFUSED
        case Subject.RECORD | Subject.FILE:
            seen, position = sees_record(person, scope), LED_BY[scope]
            if scope == REMOVED and method not in {"GET", "HEAD"}:
                return Outcome.NOT_FOUND  # nothing can be done to it but to restore it
            seen = seen and (need is Permission.RECORD_VIEW or scope != REMOVED)
            if need is Permission.RECORD_VIEW:
                return Outcome.OK if seen else Outcome.NOT_FOUND
        case Subject.REMOVED_RECORD:
            seen, position = person.covers(Permission.RECORD_VIEW, scope), scope
            may_know = person.covers(Permission.RECORD_WRITE, scope) or person.covers(
                Permission.AUDIT_VIEW, scope
            )
            seen = seen and may_know
        case Subject.UNIT:
            seen, position = sees_unit(person, scope), scope
        case Subject.PERSON:
            return Outcome.OK if sees_person(person, scope) else Outcome.NOT_FOUND
        case Subject.EVENT:
            return Outcome.OK if sees_event(person, scope) else Outcome.NOT_FOUND
        case Subject.UPLOAD:
            return Outcome.OK if sees_upload(person, scope) else Outcome.NOT_FOUND
        case Subject.SHARED:
            return Outcome.OK if sees_shared(person, scope) else Outcome.NOT_FOUND
        case Subject.SHARED_BY_ANOTHER:
            return Outcome.FORBIDDEN if sees_shared(person, scope) else Outcome.NOT_FOUND
    if not seen:
        return Outcome.NOT_FOUND
    return Outcome.OK if person.covers(need, position) else Outcome.FORBIDDEN


def _without_method(rule: Rule, method: str, person: Person, scope: str) -> set[Outcome]:
    """A method that the route does not have: 405, or the person is turned away before; never anything more.

    A page that is only read may answer POST as it answers GET; what is no method of a page it does not answer. That
    nothing is written, and nothing leaks, is checked all the same.
    """
    if not person.is_signed_in:
        return {
            Outcome.NO_METHOD,
            Outcome.SIGN_IN,
            *([Outcome.OK] if method == "POST" and Open.PUBLIC in rule.methods.values() else []),
        }
    read = expected(rule, "GET", person, scope) if method == "POST" and "GET" in rule.methods else set()
    needs = [need for need in rule.methods.values() if isinstance(need, Permission)]
    turned_away = bool(needs) and not all(person.holds(need) for need in needs)
    return {Outcome.NO_METHOD} | read | ({Outcome.FORBIDDEN} if turned_away else set())


def cells(
    rule: Rule, *, roles_only: bool = False, third: int | None = None
) -> Iterator[tuple[str, Person, str]]:
    """The cells of one route: every method × person × scope that says something of its own.

    HEAD goes with GET, so one scope shows it. A method that the route does not have is the same for everybody who is
    turned away: a few people show that. `roles_only` leaves out the people whose grants do not count or reach less.
    `third` (0, 1 or 2) gives of person × scope every third pair: each person and each scope stays, and the three
    together are the whole.
    """
    several = PEOPLE[: len(ROLES)] if roles_only else PEOPLE
    for method in METHODS:
        answers = method in rule.methods
        for person in several if answers or method == "HEAD" else A_FEW:
            scopes = rule.subject.scopes if answers else rule.subject.scopes[:1]
            for number, scope in enumerate(scopes):
                if third is None or len(scopes) < 3 or (number + PEOPLE.index(person)) % 3 == third:
                    yield method, person, scope


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
VIEW, WRITE, EXPORT = Permission.RECORD_VIEW, Permission.RECORD_WRITE, Permission.RECORD_EXPORT
REVEAL, STATISTICS, AUDIT = Permission.RECORD_REVEAL, Permission.STATISTICS_VIEW, Permission.AUDIT_VIEW
BRING = Permission.RECORD_BRING
UNITS, MANAGE, PEOPLE_ = Permission.UNIT_VIEW, Permission.UNIT_MANAGE, Permission.PEOPLE_MANAGE
POST = frozenset({"POST"})
UNITS_THAT_LISTEN = frozenset({"units"})

RULES: dict[str, Rule] = {
    # signing in, and one's own account
    "sign_in": Rule({"GET": Open.PUBLIC, "POST": Open.PUBLIC}),
    "sign_in_code": Rule({"GET": Open.PUBLIC, "POST": Open.PUBLIC}),
    "sign_out": Rule({"POST": Open.SIGNED_IN}),
    "sign_out_everywhere": Rule({"POST": Open.SIGNED_IN}, writes=POST),
    "set_language": Rule({"POST": Open.PUBLIC}),
    "switch_unit": Rule({"POST": Open.ROLE}),
    "account": Rule({"GET": Open.SIGNED_IN}),
    "password_change": Rule({"GET": Open.SIGNED_IN, "POST": Open.SIGNED_IN}, writes=POST),
    "two_factor": Rule({"GET": Open.SIGNED_IN, "POST": Open.SIGNED_IN}),
    # home and search
    "home": Rule({"GET": Open.SIGNED_IN}),
    "search": Rule({"GET": Open.SIGNED_IN}, query="q=RZ7"),
    # records
    "record_list": Rule({"GET": VIEW}, lists="records", by=VIEW),
    "record_removed": Rule({"GET": WRITE}, lists="removed records", by=WRITE),
    "record_export": Rule({"GET": EXPORT}, lists="records", by=EXPORT),
    "record_new": Rule({"GET": WRITE, "POST": WRITE}, Subject.UNIT_IN_BODY, writes=POST),
    "record_detail": Rule({"GET": VIEW}, Subject.RECORD),
    "record_edit": Rule({"GET": WRITE, "POST": WRITE}, Subject.RECORD, writes=POST),
    "record_remove": Rule({"GET": WRITE, "POST": WRITE}, Subject.RECORD, writes=POST),
    "record_restore": Rule({"GET": WRITE, "POST": WRITE}, Subject.REMOVED_RECORD, writes=POST),
    "record_reveal": Rule({"GET": REVEAL, "POST": REVEAL}, Subject.RECORD),
    "attachment": Rule({"GET": VIEW}, Subject.FILE),
    "attachment_remove": Rule({"GET": WRITE, "POST": WRITE}, Subject.FILE, writes=POST),
    "attachment_restore": Rule({"GET": WRITE, "POST": WRITE}, Subject.FILE, writes=POST),
    # people
    "people_list": Rule({"GET": PEOPLE_}, lists="people"),
    "person_new": Rule({"GET": PEOPLE_, "POST": PEOPLE_}, Subject.OPEN_UNIT_IN_BODY, writes=POST),
    "person_detail": Rule({"GET": PEOPLE_}, Subject.PERSON),
    # What was locked stands in the cache, which no transaction takes back: it leaves an audit event only.
    "person_unlock": Rule({"GET": PEOPLE_, "POST": PEOPLE_}, Subject.PERSON),
    "person_*": Rule({"GET": PEOPLE_, "POST": PEOPLE_}, Subject.PERSON, writes=POST),
    "grant_new": Rule({"GET": PEOPLE_, "POST": PEOPLE_}, Subject.PERSON, writes=POST),
    "grant_revoke": Rule({"GET": PEOPLE_, "POST": PEOPLE_}, Subject.PERSON, writes=POST),
    # the audit log
    "audit_list": Rule({"GET": AUDIT}, lists="events"),
    "audit_export": Rule({"GET": AUDIT}, lists="events"),
    "audit_detail": Rule({"GET": AUDIT}, Subject.EVENT),
    # units
    "unit_list": Rule({"GET": UNITS}, lists="open units", query="q=RZ7"),
    "unit_search": Rule({"GET": UNITS}, lists="open units", query="q=RZ7"),
    "unit_create": Rule({"GET": MANAGE, "POST": MANAGE}, Subject.OPEN_UNIT_IN_BODY, writes=POST),
    "unit_detail": Rule({"GET": UNITS}, Subject.UNIT),
    "unit_*": Rule({"GET": MANAGE, "POST": MANAGE}, Subject.UNIT),
    # statistics
    "health": Rule({"GET": Open.PUBLIC}),
    "dashboard": Rule({"GET": STATISTICS}),
    "dashboard_unit": Rule({"GET": STATISTICS}, Subject.UNIT),
    "pivot": Rule({"GET": STATISTICS}),
    "pivot_export": Rule({"GET": STATISTICS}),
    "pivot_save": Rule({"GET": STATISTICS, "POST": STATISTICS}, writes=POST),
    "pivot_list": Rule({"GET": STATISTICS}, lists="saved"),
    "pivot_saved": Rule({"GET": STATISTICS}, Subject.SHARED),
    "pivot_remove": Rule({"GET": STATISTICS, "POST": STATISTICS}, Subject.SHARED_BY_ANOTHER),
    "heat_map": Rule({"GET": STATISTICS}, Subject.UNIT),
    "zero_declare": Rule({"GET": WRITE, "POST": WRITE}, Subject.UNIT, writes=POST),
    "zero_withdraw": Rule({"GET": WRITE, "POST": WRITE}, Subject.UNIT, writes=POST),
    "indicators": Rule({"GET": STATISTICS}),
    # spreadsheets
    "upload_list": Rule({"GET": BRING, "POST": BRING}, Subject.UNIT_IN_BODY, writes=POST, lists="uploads"),
    "upload_blank": Rule({"GET": BRING}),
    "upload_detail": Rule({"GET": BRING}, Subject.UPLOAD),
    "upload_remarks": Rule({"GET": BRING}, Subject.UPLOAD),
    "upload_original": Rule({"GET": BRING}, Subject.UPLOAD),
    "upload_marked": Rule({"GET": BRING}, Subject.UPLOAD),
    "upload_*": Rule({"GET": BRING, "POST": BRING}, Subject.UPLOAD, writes=POST),
    # the citizens' channel: pages without an account, and what staff do for it
    "citizen_start": Rule({"GET": Open.PUBLIC}, query="q=RZ7", open_names=UNITS_THAT_LISTEN),
    "citizen_track": Rule({"GET": Open.PUBLIC, "POST": Open.PUBLIC}),
    "citizen_say": Rule(
        {"GET": Open.PUBLIC, "POST": Open.PUBLIC}, Subject.UNIT, open_names=UNITS_THAT_LISTEN
    ),
    "citizen_say_place": Rule(
        {"GET": Open.PUBLIC, "POST": Open.PUBLIC}, Subject.UNIT, open_names=UNITS_THAT_LISTEN
    ),
    "citizen_answers": Rule({"GET": Open.PUBLIC}, Subject.UNIT, open_names=UNITS_THAT_LISTEN),
    "citizen_places": Rule({"GET": Open.PUBLIC}, Subject.UNIT, open_names=UNITS_THAT_LISTEN),
    "poster_own": Rule({"GET": WRITE}),
    "poster_unit": Rule({"GET": UNITS}, Subject.UNIT),
    "poster_place": Rule({"GET": VIEW}, Subject.RECORD),
    "opinion_code": Rule({"GET": WRITE, "POST": WRITE}, Subject.RECORD, writes=POST),
    "opinion_release": Rule({"GET": WRITE, "POST": WRITE}, Subject.RECORD),
    "opinion_withdraw": Rule({"GET": WRITE, "POST": WRITE}, Subject.RECORD),
    "opinions_similar": Rule({"GET": VIEW}, query="title=RZ7-opinions"),
    "opinions_widely": Rule({"GET": VIEW}),
    # public mood
    "mood_overview": Rule({"GET": VIEW}),
    "mood_seen": Rule({"POST": WRITE}),
    # the reminder of the day: one's own only (tests/outreach/test_digests.py)
    "digest_read": Rule({"POST": WRITE}),
    # the life of an opinion (tests/outreach/test_life.py walks every step; "accept" stands for them here)
    "opinion_step": Rule({"GET": WRITE, "POST": WRITE}, Subject.RECORD, writes=POST),
    "opinion_inbox": Rule({"GET": WRITE}),
    "opinion_overview": Rule({"GET": STATISTICS}),
    # the API
    "api_schema": Rule({"GET": Open.SIGNED_IN}),
    "api_docs": Rule({"GET": Open.SIGNED_IN}),
    "api_me": Rule({"GET": Open.SIGNED_IN}),
    "api_kinds": Rule({"GET": VIEW}),
    "api_units_list": Rule({"GET": UNITS}, lists="units"),
    "api_units_detail": Rule({"GET": UNITS}, Subject.UNIT),
    "api_figures": Rule({"GET": STATISTICS}, Subject.UNIT),
    "api_indicators": Rule({"GET": STATISTICS}),
    "api_uploads_list": Rule(
        {"GET": BRING, "POST": BRING}, Subject.UNIT_IN_BODY, writes=POST, lists="uploads"
    ),
    "api_uploads_blank": Rule({"GET": BRING}),
    "api_uploads_detail": Rule({"GET": BRING}, Subject.UPLOAD),
    "api_uploads_remarks": Rule({"GET": BRING}, Subject.UPLOAD),
    "api_uploads_original": Rule({"GET": BRING}, Subject.UPLOAD),
    "api_uploads_marked": Rule({"GET": BRING}, Subject.UPLOAD),
    "api_uploads_*": Rule({"POST": BRING}, Subject.UPLOAD, writes=POST),
    "api_*_list": Rule(
        {"GET": VIEW, "POST": WRITE}, Subject.UNIT_IN_BODY, writes=POST, lists="records", by=VIEW
    ),
    "api_*_detail": Rule(
        {"GET": VIEW, "PUT": WRITE, "PATCH": WRITE, "DELETE": WRITE},
        Subject.RECORD,
        writes=frozenset({"PUT", "PATCH", "DELETE"}),
    ),
    "api_*_restore": Rule({"POST": WRITE}, Subject.REMOVED_RECORD, writes=POST),
}
