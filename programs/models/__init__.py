from programs.models.attachment import Attachment
from programs.models.audit import AppendOnly, AuditEvent, Reveal
from programs.models.education import Carrier, EducationActivity, GratitudeEvent, Setting
from programs.models.mark import Mark
from programs.models.people import Grant, User
from programs.models.record import Record
from programs.models.unit import Placement, Tier, Unit, UnitKind
from programs.models.zero import ZeroReport

__all__ = [
    "AppendOnly",
    "Attachment",
    "AuditEvent",
    "Carrier",
    "EducationActivity",
    "Grant",
    "GratitudeEvent",
    "Mark",
    "Placement",
    "Record",
    "Reveal",
    "Setting",
    "Tier",
    "Unit",
    "UnitKind",
    "User",
    "ZeroReport",
]
