"""Spreadsheets of records: what the columns of a kind are, and what real ledgers (台账) call them.

A kind needs no sheet of its own: `sheet_of` makes one from its form. What a kind knows better it declares,

    class VisitSheet(RecordSheet):
        key = ("unit", "occurred_on", "person")
        synonyms = {"theme": ["走访主题", "purpose of the visit"]}
        amount = Field("amount", "Amount (yuan)", widget=YuanWidget())

and names in `RecordKind.sheet`. It is a resource of django-import-export: fields, widgets and column names mean what
they mean there. The widget of a field that is declared reads the cells of its column; all others are read by
`reporting.uploads.values`, after the model's field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import models
from import_export.fields import Field
from import_export.resources import ModelResource
from import_export.widgets import ForeignKeyWidget, ManyToManyWidget

from programs.access import Actor
from programs.facts import form_fields, label_of
from programs.models.education import Carrier, EducationActivity, GratitudeEvent
from programs.models.unit import Unit

if TYPE_CHECKING:
    from programs.registry import RecordKind, Text

UNIT, JOINT_UNITS, DATE = "unit", "joint_units", "occurred_on"

# What ledgers call the fields that every kind has; the first that stands in a sheet is taken.
COMMON_SYNONYMS: dict[str, list[str]] = {
    UNIT: [
        "主办单位",
        "单位名称",
        "填报单位",
        "所属单位",
        "开展单位",
        "组织单位",
        "举办单位",
        "牵头单位",
        "责任单位",
        "承办单位",
        "单位代码",
        "单位编码",
        "村社",
        "村居",
        "村（社区）",
        "社区（村）",
        "社区名称",
        "lead unit",
        "organiser",
        "organizer",
        "unit name",
        "unit code",
    ],
    JOINT_UNITS: [
        "联合单位",
        "合办单位",
        "联办单位",
        "共同主办单位",
        "参与单位",
        "配合单位",
        "joint unit",
        "co-organisers",
        "co-organizers",
        "partners",
        "together with",
    ],
    DATE: [
        "活动日期",
        "活动时间",
        "开展日期",
        "开展时间",
        "举办日期",
        "举办时间",
        "发生日期",
        "发生时间",
        "时间",
        "day",
        "when",
        "activity date",
        "event date",
        "time",
    ],
}


class DerivedField(Field):
    """A field that nobody declared: it follows from the model, and its cells are read by the form."""


@dataclass(frozen=True, slots=True)
class TogetherRow:
    """A row that is good by itself, as `RecordSheet.refusals` sees it: `at` names it there, `pk` is that of the record
    it changes, `values` are those of the fields named in `together`, as they would stand."""

    at: int
    pk: int | None
    unit: int
    values: dict[str, Any]


class RecordSheet(ModelResource):
    """The base of every kind's sheet.

    `key` names the fields by which, with the unit, a row is known again as a record; the others may have changed.
    `synonyms` are further headers of a field, `choice_synonyms` further words for a choice, by its code: {field:
    {code: [words]}}. `samples` and `notes` stand in the blank sheet.
    """

    DEFAULT_RESOURCE_FIELD = DerivedField

    unit = DerivedField(UNIT, UNIT, ForeignKeyWidget(Unit, "code"))
    joint_units = DerivedField(JOINT_UNITS, JOINT_UNITS, ManyToManyWidget(Unit, separator="、", field="code"))

    key: ClassVar[tuple[str, ...]] = ()
    synonyms: ClassVar[dict[str, list[str]]] = {}
    choice_synonyms: ClassVar[dict[str, dict[str, list[str]]]] = {}
    samples: ClassVar[dict[str, str]] = {}
    notes: ClassVar[dict[str, Text]] = {}
    # Fields by which rows hang together with others; a sheet that names some says in `refusals` what must hold.
    together: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def refusals(
        cls, rows: Sequence[TogetherRow], workbook: Mapping[str, Sequence[TogetherRow]]
    ) -> dict[int, dict[str, ValidationError]]:
        """What is wrong, by `TogetherRow.at` and field, with rows in view of each other, of the records that stand, and
        of the good rows of the kinds declared before (`workbook`, by kind). Asked once for all rows of a workbook.
        Unique constraints of the kind are for this to judge."""
        return {}

    @classmethod
    def names(cls) -> list[str]:
        """The model's fields that have a column, in their order."""
        return list(cls._meta.fields or cls.fields)

    @classmethod
    def headers(cls, name: str) -> list[str]:
        """What the column of a field may be called, besides the words of the form and the model."""
        return [*cls.synonyms.get(name, ()), *COMMON_SYNONYMS.get(name, ())]

    @classmethod
    def widget_of(cls, name: str) -> Any:
        """The declared widget that reads the cells of this field; None if the form does."""
        field = cls.fields[name]
        return None if isinstance(field, DerivedField) else field.widget


def sheet_of(kind: RecordKind) -> type[RecordSheet]:
    """The sheet that the kind declares, with everything it does not say taken from the kind's form."""
    declared = getattr(kind, "sheet", RecordSheet)
    given = declared._meta
    names = list(given.fields or _columns(kind))
    # A kind whose title is made by itself is known again by everything that can be filled in.
    usual = (UNIT, DATE, kind.title) if kind.title in names else tuple(n for n in names if n != JOINT_UNITS)
    key = tuple(dict.fromkeys((UNIT, *(declared.key or usual))))
    named = {*key, *declared.synonyms, *declared.choice_synonyms, *declared.samples, *declared.notes}
    if unknown := sorted((named - set(names)) | ({JOINT_UNITS} & set(key))):
        raise ImproperlyConfigured(f"the sheet of '{kind.code}' has no column {', '.join(unknown)}")
    meta: Any = type("Meta", (), {"model": kind.model, "fields": names})
    return type(f"{kind.model.__name__}Columns", (declared,), {"Meta": meta, "key": key})


def _columns(kind: RecordKind) -> list[str]:
    """What can stand in a cell: the fields of the form that records are written from, but for files."""
    return [
        name
        for name in form_fields(kind)
        if not isinstance(kind.field(name), models.FileField | models.BinaryField)
        and (not kind.field(name).many_to_many or name == JOINT_UNITS)
    ]


def header_of(kind: RecordKind, name: str) -> Text:
    """What our own sheets call the column."""
    field = kind.sheet.fields[name]
    return field.column_name if field.column_name != name else label_of(kind, name)


def columns_for(kind: RecordKind, by: Actor) -> list[str]:
    """The fields of the sheet that this person may fill in on a new record."""
    from programs.forms import unwritable

    names = kind.sheet.names()
    withheld = unwritable(kind.model(), names, by)
    return [name for name in names if name not in withheld]


# --- love education ----------------------------------------------------------------------------------------------


PARTICIPANTS = [
    "参加人数",
    "参与人次",
    "参与人数",
    "参加人员数",
    "人数",
    "人次",
    "受教育人数",
    "受教育人次",
    "number of participants",
    "people",
    "attendance",
]
SUMMARY = ["内容", "活动内容", "主要内容", "内容简介", "活动简介", "活动情况", "活动概况", "简介", "content"]


class EducationActivitySheet(RecordSheet):
    synonyms = {
        "theme": ["活动主题", "活动名称", "活动内容主题", "名称", "活动项目", "activity", "topic", "title"],
        "series": ["系列", "活动系列", "活动类别", "活动类型", "类别", "类型", "category"],
        "festival": ["节庆", "节日", "节庆活动", "节庆活动名称", "节日名称"],
        "setting": ["场所", "场合", "开展场所", "活动场所类别", "领域", "活动领域", "对象", "where held"],
        "participants": PARTICIPANTS,
        "place": ["活动地点", "举办地点", "开展地点", "具体地点", "location", "venue"],
        "summary": [*SUMMARY, "备注"],
    }
    choice_synonyms = {
        "series": {
            EducationActivity.Series.SIX_ONES: ["六个一", "六个一活动", "六个一系列活动", "six ones"],
            EducationActivity.Series.FESTIVAL: ["节庆", "节日活动", "节日"],
            EducationActivity.Series.OTHER: ["其他", "其它", "其它活动", "other"],
        },
        "festival": {EducationActivity.Festival.OTHER: ["其他", "其它", "其它节庆", "其他节日"]},
        "setting": {
            "school": ["校园", "进学校", "进校园"],
            "enterprise": ["进企业", "厂区"],
            "organ": ["机关单位", "进机关", "党政机关"],
            "community": ["村社", "村居", "社区（村）", "村（社区）", "进社区", "农村"],
        },
    }
    samples = {
        "theme": "“一堂感恩课”走进校园",
        "place": "学校礼堂",
        "participants": "120",
        "summary": "师生共同诵读家书。",
    }


class GratitudeEventSheet(RecordSheet):
    synonyms = {
        "title": ["活动主题", "活动名称", "主题", "名称", "event", "theme"],
        "form": ["活动形式", "感恩文化形式", "类型", "类别", "kind of event"],
        "enterprise": ["企业", "公司", "公司名称", "所在企业", "company"],
        "participants": PARTICIPANTS,
        "media_reports": ["媒体报道数", "报道条数", "报道数", "媒体报道次数", "media coverage", "reports"],
        "media": ["媒体", "媒体名称", "媒体报道", "报道媒体名称", "reported by"],
        "summary": [*SUMMARY, "备注"],
    }
    choice_synonyms = {
        "form": {
            GratitudeEvent.Form.WALL: ["墙", "感恩文化墙"],
            GratitudeEvent.Form.TALK: ["谈", "感恩座谈", "感恩谈话"],
            GratitudeEvent.Form.AWARD: ["奖", "感恩奖项"],
            GratitudeEvent.Form.GARDEN: ["园", "感恩园地"],
        },
    }
    samples = {
        "title": "“感恩企业、感恩员工”座谈",
        "enterprise": "海风鞋业有限公司",
        "participants": "60",
        "media_reports": "1",
        "media": "台州日报",
    }


class CarrierSheet(RecordSheet):
    # A carrier is set up once: its day may be mended without its becoming another one.
    key = (UNIT, "type", "name")
    synonyms = {
        "name": ["载体名称", "工作载体", "工作载体名称", "carrier", "title"],
        "type": ["载体类型", "载体类别", "类别", "种类", "kind"],
        DATE: ["设立时间", "成立日期", "成立时间", "建立日期", "建立时间", "设立日期", "set up", "since"],
        "rhythm": ["频次", "活动频率", "频率", "开展频次", "活跃情况", "frequency"],
        "responsible": [
            "负责人",
            "联系人",
            "责任人姓名",
            "负责人姓名",
            "姓名",
            "contact",
            "person in charge",
        ],
        "phone": ["电话", "手机", "手机号码", "联系方式", "电话号码", "负责人电话", "phone", "mobile"],
        "description": ["备注", "简介", "内容", "工作内容", "载体简介", "remarks"],
    }
    choice_synonyms = {
        "type": {
            Carrier.Type.SPOKESPERSON: ["新闻发言人", "发言人"],
            Carrier.Type.WORKSHOP_ADVISER: ["车间指导员", "思想政治工作指导员", "企业车间指导员", "指导员"],
            Carrier.Type.MEDIATION_DAY: ["调处日"],
            Carrier.Type.OTHER: ["其他", "其它", "其它载体"],
        },
        "rhythm": {
            Carrier.Rhythm.WEEKLY: ["每周一次", "一周一次", "周"],
            Carrier.Rhythm.MONTHLY: ["每月一次", "一月一次", "月"],
            Carrier.Rhythm.QUARTERLY: ["每季度一次", "每季", "一季一次", "季度"],
            Carrier.Rhythm.OCCASIONAL: ["不定时", "视需要"],
            Carrier.Rhythm.DORMANT: ["暂停", "停止活动"],
        },
    }
    samples = {"name": "百姓新闻发言人工作室", "responsible": "王芳", "phone": "0576-88000000"}
