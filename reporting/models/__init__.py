"""The tables of this app."""

from reporting.models.pivot import NAME_LENGTH, SavedPivot
from reporting.models.statistics import Freshness, Reconciliation, UnitMonth
from reporting.models.upload import SheetMapping, Upload, UploadChange, UploadRemark, UploadSheet

__all__ = [
    "NAME_LENGTH",
    "Freshness",
    "Reconciliation",
    "SavedPivot",
    "SheetMapping",
    "UnitMonth",
    "Upload",
    "UploadChange",
    "UploadRemark",
    "UploadSheet",
]
