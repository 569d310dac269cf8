"""How sensitive a field is: declared once, on the model field, and honoured wherever data leave the server.

    contact_phone = classed(C2, models.CharField(...))

A record's field without a class is an error (`programs.checks`), and reads as the strictest class until it is mended.
"""

from __future__ import annotations

import enum
from typing import Any, TypeVar

from django.db import models


class FieldClass(enum.IntEnum):
    C0 = 0  # public count
    C1 = 1  # internal
    C2 = 2  # name, telephone, address
    C3 = 3  # ID number, illness, bank account, amount per person
    C4 = 4  # counselling content


C0, C1, C2, C3, C4 = FieldClass


class Mask(enum.Enum):
    """The shape in which a value of a masked class is shown."""

    NAME = "name"  # 张*
    PHONE = "phone"  # 138****1234
    ID_NUMBER = "id_number"  # 110***********1234
    HIDDEN = "hidden"  # nothing of the value


FieldT = TypeVar("FieldT", bound=models.Field)


def classed(field_class: FieldClass, field: FieldT, mask: Mask = Mask.HIDDEN) -> FieldT:
    """Declare the class of a model field, and the mask it wears for those who may see it masked only."""
    field.field_class = field_class  # type: ignore[attr-defined]
    field.mask = mask  # type: ignore[attr-defined]
    return field


def class_of(field: Any) -> FieldClass:
    """The declared class; what is not declared counts as the strictest."""
    return getattr(field, "field_class", C4)


def mask_of(field: Any) -> Mask:
    return getattr(field, "mask", Mask.HIDDEN)
