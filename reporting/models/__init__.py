"""The tables of this app."""

from reporting.models.pivot import NAME_LENGTH, SavedPivot
from reporting.models.statistics import Freshness, Reconciliation, UnitMonth

__all__ = ["NAME_LENGTH", "Freshness", "Reconciliation", "SavedPivot", "UnitMonth"]
