"""The portal's writes: keyword-only, atomic, audited verbs. There is no other way into the tables."""

from programs.actions.audit import audit, note_denial
from programs.actions.bulk import save_records, take_back_records
from programs.actions.records import EditConflict, remove_record, restore_record, save_record

__all__ = [
    "EditConflict",
    "audit",
    "note_denial",
    "remove_record",
    "restore_record",
    "save_record",
    "save_records",
    "take_back_records",
]
