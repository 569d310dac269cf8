"""What each role may do, how far it reaches, and which classes of fields it reads.

This module only declares. `programs.access` turns the declarations into scopes, and
`tests/test_every_url.py` walks every route against them.
"""

from __future__ import annotations

import enum
from typing import Any, ClassVar

from django.utils.translation import gettext_lazy as _

from programs.field_classes import C2, C3, C4, FieldClass


class Permission(enum.StrEnum):
    RECORD_VIEW = "record.view"
    RECORD_WRITE = "record.write"
    # Entering records from a spreadsheet: it may reach units for which nobody writes a single record.
    RECORD_BRING = "record.bring"
    RECORD_EXPORT = "record.export"
    RECORD_REVEAL = "record.reveal"
    STATISTICS_VIEW = "statistics.view"
    UNIT_VIEW = "unit.view"
    UNIT_MANAGE = "unit.manage"
    PEOPLE_MANAGE = "people.manage"
    AUDIT_VIEW = "audit.view"
    # Pressing on with, and handing to another unit, what citizens raised anywhere in reach.
    OPINION_SUPERVISE = "opinion.supervise"


class Reach(enum.Enum):
    """Which units a permission covers, seen from the unit of the grant."""

    OWN = "own"  # the unit itself, and units merged into it
    SUBTREE = "subtree"  # the unit and, if the grant says so, everything below it
    DISTRICT = "district"  # every unit of the district (root) that the unit belongs to


class Disclosure(enum.Enum):
    CLEAR = "clear"
    MASKED = "masked"
    WITHHELD = "withheld"


class Duty(enum.Enum):
    """Roles of different duties exclude one another: nobody checks or configures their own work."""

    WORK = "work"
    AUDIT = "audit"
    CONFIGURATION = "configuration"


class Role:
    """A role. Permissions that are not listed are denied; classes that are not listed are withheld."""

    code: ClassVar[str]
    label: ClassVar[Any]
    duty: ClassVar[Duty] = Duty.WORK
    permissions: ClassVar[dict[Permission, Reach]] = {}
    # C0 and C1 are read by everybody who may see the record at all.
    reads: ClassVar[dict[FieldClass, Disclosure]] = {}
    # Whether a grant of this role reaches below its unit unless it says otherwise.
    with_descendants: ClassVar[bool] = False


READ_SUBTREE = {
    Permission.RECORD_VIEW: Reach.SUBTREE,
    Permission.RECORD_EXPORT: Reach.SUBTREE,
    Permission.STATISTICS_VIEW: Reach.SUBTREE,
    Permission.UNIT_VIEW: Reach.DISTRICT,
}
WORK_IN_OWN_UNIT = {
    Permission.RECORD_VIEW: Reach.OWN,
    Permission.RECORD_WRITE: Reach.OWN,
    Permission.RECORD_BRING: Reach.OWN,
    Permission.RECORD_EXPORT: Reach.OWN,
    Permission.STATISTICS_VIEW: Reach.OWN,
    Permission.UNIT_VIEW: Reach.DISTRICT,
}


class Leader(Role):
    code = "leader"
    label = _("District leader")
    permissions = READ_SUBTREE
    reads = {C2: Disclosure.MASKED}
    with_descendants = True


class Office(Role):
    code = "office"
    label = _("Leading-group office")
    permissions = {
        **READ_SUBTREE,
        Permission.RECORD_WRITE: Reach.OWN,
        Permission.RECORD_BRING: Reach.SUBTREE,
        Permission.RECORD_REVEAL: Reach.SUBTREE,
        Permission.UNIT_MANAGE: Reach.SUBTREE,
        Permission.OPINION_SUPERVISE: Reach.SUBTREE,
    }
    reads = {C2: Disclosure.CLEAR, C3: Disclosure.MASKED}
    with_descendants = True


class StreetOfficer(Role):
    code = "street_officer"
    label = _("Street officer")
    permissions = {
        **READ_SUBTREE,
        Permission.RECORD_WRITE: Reach.OWN,
        Permission.RECORD_BRING: Reach.SUBTREE,
        Permission.RECORD_REVEAL: Reach.SUBTREE,
    }
    reads = {C2: Disclosure.CLEAR, C3: Disclosure.MASKED}
    with_descendants = True


class CommunityOfficer(Role):
    code = "community_officer"
    label = _("Community officer")
    permissions = WORK_IN_OWN_UNIT
    reads = {C2: Disclosure.CLEAR, C3: Disclosure.CLEAR}


class UnitOfficer(Role):
    code = "unit_officer"
    label = _("Department or unit officer")
    permissions = WORK_IN_OWN_UNIT
    reads = {C2: Disclosure.CLEAR}


class Counsellor(Role):
    """Reads and writes no kind of record but those of the counselling room, which declare it by name."""

    code = "counsellor"
    label = _("Counsellor")
    permissions = {Permission.UNIT_VIEW: Reach.DISTRICT}
    reads = {C2: Disclosure.CLEAR, C3: Disclosure.CLEAR, C4: Disclosure.CLEAR}


class CounsellingSupervisor(Role):
    code = "counselling_supervisor"
    label = _("Counselling supervisor")
    permissions = {Permission.UNIT_VIEW: Reach.DISTRICT}
    reads = {C2: Disclosure.CLEAR, C3: Disclosure.CLEAR, C4: Disclosure.CLEAR}


class Auditor(Role):
    code = "auditor"
    label = _("Auditor")
    duty = Duty.AUDIT
    permissions = {**READ_SUBTREE, Permission.AUDIT_VIEW: Reach.SUBTREE}
    reads = {C2: Disclosure.MASKED, C3: Disclosure.MASKED}
    with_descendants = True


class Administrator(Role):
    code = "administrator"
    label = _("System administrator")
    duty = Duty.CONFIGURATION
    permissions = {Permission.PEOPLE_MANAGE: Reach.SUBTREE, Permission.UNIT_VIEW: Reach.DISTRICT}
    with_descendants = True


ROLES: dict[str, type[Role]] = {
    role.code: role
    for role in (
        Leader,
        Office,
        StreetOfficer,
        CommunityOfficer,
        UnitOfficer,
        Counsellor,
        CounsellingSupervisor,
        Auditor,
        Administrator,
    )
}
