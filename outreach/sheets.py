"""What ledgers (台账) of listening visits call their columns, and how their rows hang together.

Opinions name the visit they were heard on by its number, in the same workbook or among the records of the unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from outreach.models.mood import MoodObservation
from outreach.models.opinion import Opinion
from outreach.models.place import Place
from outreach.models.visit import Visit
from programs.sheets import DATE, UNIT, RecordSheet, TogetherRow

SOME = 500
DAY = ["走访日期", "走访时间", "接访日期", "接待日期", "接待时间", "登记日期", "登记时间"]
PHONE = ["电话", "联系电话", "手机", "手机号码", "联系方式", "电话号码", "phone", "mobile"]
REMARKS = ["备注", "情况说明", "remarks"]
Numbers = set[tuple[int, str]]


class VisitSheet(RecordSheet):
    together = ("number",)
    synonyms = {
        "theme": ["走访主题", "主题", "走访内容", "走访事由", "事由", "活动名称", "topic", "title"],
        DATE: DAY,
        "form": ["走访形式", "形式", "走访方式", "走访类型", "类型", "类别", "kind of visit"],
        "purpose": ["走访目的", "目的", "事项类别", "走访事项", "aim"],
        "person_times": [
            "走访人次",
            "接访人次",
            "接待人次",
            "走访人数",
            "接待人数",
            "走访户数（人次）",
            "人次",
            "人数",
            "person-times",
            "people",
        ],
        "visitors": ["走访人", "走访人员", "带队领导", "接访领导", "接访人", "参加人员", "who visited"],
        "met": ["走访对象", "接访对象", "被走访人", "来访人", "受访人", "whom"],
        "place": ["走访地点", "地点", "接访地点", "阵地", "location", "venue"],
        "number": ["走访编号", "编号", "台账编号", "走访序号", "visit no.", "no. of visit"],
        "summary": ["走访情况", "走访记录", "主要内容", "内容摘要", "情况", *REMARKS],
    }
    choice_synonyms = {
        "form": {
            Visit.Form.LEADER: ["领导走访", "领导下访", "领导带队走访"],
            Visit.Form.UNIT: ["单位走访", "干部走访", "入户走访", "走访"],
            Visit.Form.OFFICE_DAY: ["固定办公日", "办公日"],
            Visit.Form.MEDIATION_DAY: ["民情调处日", "调处日"],
            Visit.Form.OPEN_TALK: ["思想交流会", "交流会", "恳谈会", "座谈会"],
            Visit.Form.RECEPTION: ["接待来访", "接访", "来访接待"],
        },
        "purpose": {
            Visit.Purpose.OPINION_POLL: ["民意调查", "征求意见", "收集民意"],
            Visit.Purpose.PETITION_SCREENING: ["信访排查", "矛盾排查"],
            Visit.Purpose.CIVIL_MEDIATION: ["民事调解", "调解", "矛盾调处"],
            Visit.Purpose.LEGAL_ADVICE: ["法律咨询", "法律服务"],
            Visit.Purpose.GREETING: ["慰问", "走访慰问", "关怀慰问"],
            Visit.Purpose.OTHER: ["其他", "其它"],
        },
    }
    samples = {
        "theme": "走访老旧小区居民",
        "visitors": "李主任、王干事",
        "person_times": "12",
        "place": "阳光活动室",
        "number": "2026-0311-01",
    }
    notes = {
        "number": gettext_lazy(
            "Opinions name it in their own sheet, so that they are found with this visit."
        ),
    }

    @classmethod
    def refusals(
        cls, rows: Sequence[TogetherRow], workbook: Mapping[str, Sequence[TogetherRow]]
    ) -> dict[int, dict[str, ValidationError]]:
        """A number stands for one visit of a unit."""
        numbered = [row for row in rows if row.values["number"]]
        others = {
            (unit, number): pk
            for start in range(0, len(numbered), SOME)
            for unit, number, pk in _standing(numbered[start : start + SOME], "number").values_list(
                "unit_id", "number", "pk"
            )
        }
        found: dict[int, dict[str, ValidationError]] = {}
        seen: set[tuple[int, str]] = set()
        for row in numbered:
            key = (row.unit, row.values["number"])
            if key in seen:
                message = _("Another row of the workbook has this visit number.")
            elif others.get(key, row.pk) != row.pk:
                message = _("The visit No. %(number)d of this unit has this visit number.") % {
                    "number": others[key]
                }
            else:
                seen.add(key)
                continue
            found[row.at] = {"number": ValidationError(message, code="unique")}
        return found


def _standing(rows: Sequence[TogetherRow], name: str) -> QuerySet[Visit]:
    """Visits with the numbers that these rows name; the units may be any of theirs."""
    return Visit.objects.present().filter(
        unit__in={row.unit for row in rows}, number__in={row.values[name] for row in rows}
    )


class OpinionSheet(RecordSheet):
    together = ("visit_number",)
    synonyms = {
        "title": [
            "诉求主题",
            "诉求标题",
            "意见主题",
            "事项",
            "反映事项",
            "问题",
            "问题摘要",
            "主题",
            "topic",
        ],
        DATE: [*DAY, "受理日期", "反映日期", "反映时间", "收集日期", "收集时间", "received on"],
        "type": ["诉求类型", "民情类型", "性质"],
        "category": ["诉求类别", "问题类别", "问题分类", "分类", "领域", "类别"],
        "channel": ["反映渠道", "来源", "渠道", "诉求来源", "受理渠道", "收集方式", "source"],
        "content": [
            "诉求内容",
            "反映内容",
            "意见建议",
            "意见和建议",
            "问题内容",
            "具体内容",
            "内容",
            "details",
        ],
        "location": ["涉及地点", "地点", "问题地点", "发生地点", "address"],
        "citizen": ["反映人", "诉求人", "群众姓名", "姓名", "来访人", "联系人", "name"],
        "phone": PHONE,
        "voices": ["反映人数", "联名人数", "涉及人数", "people"],
        "visit_number": ["走访编号", "对应走访编号", "所属走访", "走访台账编号", "visit no."],
    }
    choice_synonyms = {
        "type": {
            Opinion.Kind.OPINION: ["意见", "建议", "意见建议"],
            Opinion.Kind.PROBLEM: ["问题", "困难", "诉求"],
            Opinion.Kind.DISPUTE: ["纠纷", "矛盾", "矛盾纠纷"],
        },
        "category": {
            Opinion.Category.HOUSING: ["住房", "物业", "物业管理"],
            Opinion.Category.ENVIRONMENT: ["环境", "环境卫生", "环保", "卫生"],
            Opinion.Category.TRAFFIC: ["交通", "道路", "道路交通"],
            Opinion.Category.EDUCATION: ["教育", "学校"],
            Opinion.Category.HEALTH: ["医疗", "卫生健康", "看病"],
            Opinion.Category.LABOUR: ["劳动", "工资", "欠薪", "就业"],
            Opinion.Category.WELFARE: ["社保", "社会保障", "救助", "低保"],
            Opinion.Category.LAND: ["征地", "拆迁", "征地拆迁", "土地"],
            Opinion.Category.FAMILY: ["邻里", "家庭", "邻里纠纷", "婚姻家庭"],
            Opinion.Category.ORDER: ["治安", "公共安全", "社会治安"],
            Opinion.Category.SERVICE: ["作风", "服务", "干部作风"],
            Opinion.Category.OTHER: ["其他", "其它"],
        },
        "channel": {
            Opinion.Channel.VISIT: ["走访", "入户走访", "上门走访"],
            Opinion.Channel.WEB: ["网络", "网上", "扫码", "二维码"],
            Opinion.Channel.TELEPHONE: ["来电", "热线"],
            Opinion.Channel.LETTER: ["来信", "书信"],
            Opinion.Channel.RECEPTION: ["来访", "接待", "接访"],
            Opinion.Channel.OTHER: ["其他", "其它"],
        },
    }
    samples = {
        "title": "小区路灯不亮",
        "content": "三幢楼前路灯损坏，晚上出行不便。",
        "location": "三幢楼前",
        "citizen": "王芳",
        "phone": "0576-88000000",
        "voices": "1",
        "visit_number": "2026-0311-01",
    }
    notes = {
        "visit_number": gettext_lazy("Of a visit of the same unit: in this workbook, or entered before."),
    }

    @classmethod
    def refusals(
        cls, rows: Sequence[TogetherRow], workbook: Mapping[str, Sequence[TogetherRow]]
    ) -> dict[int, dict[str, ValidationError]]:
        """A visit that an opinion names is there, in the workbook or among the records of the unit."""
        naming = [row for row in rows if row.values["visit_number"]]
        known: Numbers = {(row.unit, row.values["number"]) for row in workbook.get("visits", ())}
        for start in range(0, len(naming), SOME):
            known |= set(
                _standing(naming[start : start + SOME], "visit_number").values_list("unit_id", "number")
            )
        message = _(
            "No visit of this unit has this number, neither in a row of the workbook that can be entered nor among the "
            "records. Add the visit, correct its row if that is refused, or leave the cell empty."
        )
        return {
            row.at: {"visit_number": ValidationError(message, code="unknown_visit")}
            for row in naming
            if (row.unit, row.values["visit_number"]) not in known
        }


class PlaceSheet(RecordSheet):
    # A place is opened once: its day may be mended without its becoming another one.
    key = (UNIT, "name")
    synonyms = {
        "name": ["阵地名称", "场所名称", "活动室名称", "名称", "阵地", "title"],
        "type": ["阵地类型", "阵地类别", "场所类型", "类别", "类型", "kind"],
        DATE: ["启用日期", "启用时间", "建成日期", "建成时间", "设立日期", "设立时间", "开放日期", "since"],
        "address": ["地址", "阵地地址", "场所地址", "具体地址", "地点", "location"],
        "opening_times": ["开放时间", "开放时段", "服务时间", "hours"],
        "responsible": ["负责人", "责任人", "联系人", "管理员", "姓名", "contact", "person in charge"],
        "phone": PHONE,
        "is_public": ["是否公开", "对外公开", "是否对外开放", "public"],
        "description": ["简介", "功能", "设施", "阵地简介", *REMARKS],
    }
    choice_synonyms = {
        "type": {
            Place.Type.SUNSHINE_ROOM: ["阳光室", "阳光活动中心"],
            Place.Type.TALKING_ROOM: ["谈心室", "谈心谈话室", "沟通室"],
            Place.Type.BOOK_CORNER: ["书角", "阅览室", "图书室"],
            Place.Type.RECEPTION: ["接待点", "来访接待室", "调解室"],
            Place.Type.OTHER: ["其他", "其它"],
        }
    }
    samples = {
        "name": "阳光活动室",
        "address": "社区服务中心二楼",
        "opening_times": "周一至周五 9:00–17:00",
        "responsible": "王芳",
        "phone": "0576-88000000",
    }


class MoodSheet(RecordSheet):
    key = (UNIT, DATE, "topic", "gist")
    synonyms = {
        "gist": ["舆情摘要", "心态摘要", "情况摘要", "摘要", "主要情况", "标题", "summary"],
        DATE: ["监测日期", "监测时间", "观察日期", "研判日期", "上报日期", "observed on"],
        "topic": ["话题", "热点", "热点话题", "类别", "舆情类别", "领域"],
        "level": ["等级", "级别", "舆情等级", "预警等级", "程度"],
        "trend": ["走势", "趋势", "变化趋势", "发展趋势"],
        "source": ["来源", "信息来源", "渠道"],
        "groups": ["涉及群体", "人群", "相关群体", "群体", "groups"],
        "details": ["具体情况", "详细情况", "分析研判", *REMARKS],
    }
    choice_synonyms = {
        "topic": {
            MoodObservation.Topic.LIVELIHOOD: ["就业", "民生", "生计"],
            MoodObservation.Topic.PRICES: ["物价", "房价", "住房"],
            MoodObservation.Topic.HEALTH: ["医疗", "看病"],
            MoodObservation.Topic.EDUCATION: ["教育", "上学"],
            MoodObservation.Topic.ENVIRONMENT: ["环保", "污染"],
            MoodObservation.Topic.LAND: ["征地", "拆迁"],
            MoodObservation.Topic.LABOUR: ["欠薪", "劳资"],
            MoodObservation.Topic.ORDER: ["治安", "社会治安"],
            MoodObservation.Topic.CADRES: ["作风", "干部"],
            MoodObservation.Topic.OTHER: ["其他", "其它"],
        }
    }
    samples = {"gist": "渔民关注休渔期补贴发放", "groups": "渔民"}
    notes = {
        "gist": gettext_lazy("Of groups and matters; no names, and nothing by which a person is recognised.")
    }
