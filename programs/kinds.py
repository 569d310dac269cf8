"""The kinds of records of love education."""

from __future__ import annotations

from django.db.models import Count, Q, Sum
from django.utils.translation import gettext_lazy as _

from programs.forms import CarrierForm, EducationActivityForm, GratitudeEventForm
from programs.models.education import Carrier, EducationActivity, GratitudeEvent
from programs.registry import Action, Average, Indicator, Measure, Promise, Rate, RecordKind, Total, register
from programs.sheets import CarrierSheet, EducationActivitySheet, GratitudeEventSheet


@register
class EducationActivityKind(RecordKind):
    code = "activities"
    model, form, sheet = EducationActivity, EducationActivityForm, EducationActivitySheet
    action = Action.EDUCATION
    icon = "school"
    title = "theme"
    columns = ["occurred_on", "theme", "unit", "series", "setting", "participants"]
    filters = ["unit", "occurred_on", "series", "festival", "setting"]
    search = ["theme", "place"]
    sorts = ["occurred_on", "participants", "created_at"]
    indicators = [
        Indicator(
            "activities.count",
            _("Love-education activities"),
            Count("pk"),
            Measure.TIMES,
            description=_("Activities of love education that took place, of every series."),
            splits=("series", "setting"),
        ),
        Indicator(
            "activities.six_ones",
            _("“Six ones” activities"),
            Count("pk"),
            Measure.TIMES,
            filter=Q(series=EducationActivity.Series.SIX_ONES),
            description=_("Activities of the “six ones” series."),
        ),
        Indicator(
            "activities.festivals",
            _("Festival activities"),
            Count("pk"),
            Measure.TIMES,
            filter=Q(series=EducationActivity.Series.FESTIVAL),
            description=_(
                "Activities of the festivals: enterprise culture, neighbours, sports, youth science and others."
            ),
            splits=("festival", "setting"),
        ),
        Indicator(
            "activities.participants",
            _("Participants"),
            Sum("participants"),
            Measure.PERSON_TIMES,
            description=_("People who took part, counted once for each activity."),
            splits=("series", "setting"),
        ),
    ]
    derived = [
        Average(
            "activities.participants_each",
            _("Participants per activity"),
            of=("activities.participants", "activities.count"),
            description=_("Participants of love-education activities, for each activity."),
        ),
        Rate(
            "activities.six_ones_share",
            _("Share of “six ones” activities"),
            of=("activities.six_ones", "activities.count"),
            description=_("“Six ones” activities in percent of all love-education activities."),
        ),
    ]


@register
class GratitudeEventKind(RecordKind):
    code = "gratitude"
    model, form, sheet = GratitudeEvent, GratitudeEventForm, GratitudeEventSheet
    action = Action.EDUCATION
    icon = "heart-handshake"
    title = "title"
    columns = ["occurred_on", "title", "unit", "form", "enterprise", "participants", "media_reports"]
    filters = ["unit", "occurred_on", "form"]
    search = ["title", "enterprise"]
    sorts = ["occurred_on", "participants", "created_at"]
    indicators = [
        Indicator(
            "gratitude.count",
            _("Gratitude-culture events"),
            Count("pk"),
            Measure.TIMES,
            description=_("Walls, talks, awards and gardens of gratitude in enterprises."),
            splits=("form",),
        ),
        Indicator(
            "gratitude.media_reports",
            _("Media reports on gratitude culture"),
            Sum("media_reports"),
            Measure.ITEMS,
            description=_("Reports by media on these events."),
        ),
    ]
    derived = [
        Total(
            "education.count",
            _("Activities and events of love education"),
            of=("activities.count", "gratitude.count"),
            description=_("Love-education activities and gratitude-culture events together."),
        ),
    ]


@register
class CarrierKind(RecordKind):
    code = "carriers"
    model, form, sheet = Carrier, CarrierForm, CarrierSheet
    action = Action.EDUCATION
    icon = "flag"
    title = "name"
    columns = ["name", "type", "unit", "responsible", "occurred_on", "rhythm"]
    filters = ["unit", "type", "rhythm", "occurred_on"]
    search = ["name"]
    sorts = ["occurred_on", "created_at"]
    indicators = [
        Indicator(
            "carriers.count",
            _("Carriers set up"),
            Count("pk"),
            Measure.PIECES,
            description=_("Carriers of the work, in the month in which they were set up."),
            splits=("type",),
        ),
    ]
    promises = {
        Promise.CHANNEL: ["carriers.count@type=spokesperson", "carriers.count@type=office_day"],
        Promise.LISTENING: ["carriers.count@type=workshop_adviser"],
        Promise.RESOLUTION: ["carriers.count@type=mediation_day"],
    }
