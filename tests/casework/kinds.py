from django.db.models import Count, Sum

from programs.forms import RecordForm
from programs.registry import Action, Indicator, Measure, RecordKind, register
from tests.casework.models import Case


class CaseForm(RecordForm):
    class Meta:
        model = Case
        fields = [
            "title",
            "hours",
            "occurred_on",
            "unit",
            "joint_units",
            "client",
            "phone",
            "id_number",
            "illness",
            "notes",
        ]


@register
class CaseKind(RecordKind):
    code = "cases"
    model, form = Case, CaseForm
    action = Action.WELLBEING
    title = "title"
    columns = ["occurred_on", "title", "unit", "client", "phone", "id_number", "illness", "hours"]
    filters = ["unit", "occurred_on"]
    search = ["title", "client"]
    sorts = ["occurred_on", "client"]
    indicators = [
        Indicator("cases.count", "Cases", Count("pk"), Measure.TIMES),
        Indicator("cases.hours", "Hours", Sum("hours"), Measure.HOURS),
        Indicator(
            "cases.clients",
            "Distinct clients",
            Count("client", distinct=True),
            Measure.PEOPLE,
            additive=False,
        ),
    ]
