"""Tags and filters of the portal's pages: icons, numbers as leaders and officers read them, form fields.

Every filter takes what a view may have at hand (int, Decimal, float, None) and never raises in a page.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from django import forms, template
from django.forms import BoundField
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language, pgettext
from django.utils.translation import gettext as _

from programs import form_fields
from programs.registry import Suppressed

register = template.Library()

NO_FIGURE = "–"
MINUS = "\N{MINUS SIGN}"
WAN, YI = Decimal(10_000), Decimal(100_000_000)
# One icon for each of the four actions: the hue never carries the meaning alone.
ACTION_ICONS = {"rose": "heart", "blue": "messages", "amber": "heart-handshake", "green": "leaf"}


@register.simple_tag
def icon(name: str, css: str = "") -> SafeString:
    """An icon of the sprite, for the eye only: the text beside it, or the control's label, says what it means."""
    return format_html(
        '<svg class="icon {}" width="24" height="24" aria-hidden="true" focusable="false">'
        '<use href="{}#icon-{}"></use></svg>',
        css,
        static("vendor/icons.svg"),
        name,
    )


@register.simple_tag
def action_icon(hue: str, css: str = "") -> SafeString:
    """The icon of the action that owns this hue, in its hue."""
    return icon(ACTION_ICONS.get(hue, "circle-dashed"), f"text-hue-{hue} {css}".strip())


# Numbers


def decimal_of(value: Any) -> Decimal | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        number = Decimal(str(value))
    except (InvalidOperation, ValueError):
        return None
    return number if number.is_finite() else None


def grouped(number: Decimal) -> str:
    """12806000.50 -> 12,806,000.5"""
    text = f"{number:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@register.filter
def count(value: Any) -> str:
    """The exact number with thousands separators; a dash where there is none, a mark where it is not shown."""
    if isinstance(value, Suppressed):
        return str(value)
    number = decimal_of(value)
    return NO_FIGURE if number is None else grouped(number).replace("-", MINUS)


@register.filter
def wan(value: Any) -> str | SafeString:
    """A number as a leader reads it (7.8万, 1.28亿), with the exact value on hover and for machines.

    Languages that count in thousands get the exact number.
    """
    if isinstance(value, Suppressed):
        return str(value)
    number = decimal_of(value)
    if number is None:
        return NO_FIGURE
    exact = count(number)
    if not (get_language() or "").startswith("zh") or abs(number) < WAN:
        return exact
    return format_html('<data value="{}" title="{}">{}</data>', f"{number:f}", exact, shortened(number))


def shortened(number: Decimal) -> str:
    in_wan = rounded(number / WAN)
    if abs(in_wan) < WAN:
        text = grouped(in_wan).replace("-", MINUS)
        return pgettext("ten thousands", "%(number)s wan") % {"number": text}
    text = grouped(rounded(number / YI)).replace("-", MINUS)
    return pgettext("hundred millions", "%(number)s yi") % {"number": text}


def rounded(number: Decimal) -> Decimal:
    """Two decimals below a hundred, one below a thousand, none above: four figures at most mislead nobody."""
    places = "0.01" if abs(number) < 100 else "0.1" if abs(number) < 1000 else "1"
    return number.quantize(Decimal(places), ROUND_HALF_UP)


@register.filter
def signed(value: Any) -> str:
    """+12.3, −4, 0: a change with its sign, also when it is a rise."""
    number = decimal_of(value)
    if number is None:
        return NO_FIGURE
    sign = "+" if number > 0 else MINUS if number < 0 else ""
    return sign + grouped(abs(number))


@register.filter
def change_direction(value: Any) -> str:
    """One of up, down, same and none (nothing to compare with): for the icon beside the words."""
    number = decimal_of(value)
    if number is None:
        return "none"
    return "up" if number > 0 else "down" if number < 0 else "same"


@register.filter
def change_words(value: Any, against: str = "year") -> str:
    """What a change on the same months of last year means, in words; or on the months right before ("previous")."""
    if against == "previous":
        words = {
            "up": _("more than in the period before"),
            "down": _("less than in the period before"),
            "same": _("the same as in the period before"),
            "none": _("no figure of the period before"),
        }
    else:
        words = {
            "up": _("more than a year before"),
            "down": _("less than a year before"),
            "same": _("the same as a year before"),
            "none": _("no figure of a year before"),
        }
    return words[change_direction(value)]


@register.simple_tag
def figure_cells(cells: Iterable[Any]) -> SafeString:
    """Table cells of figures, each a link where its `url` says so.

    Joined here, since a page has hundreds of them and a template takes several times as long for each.
    """
    # The standard library's escape: Django's asks of every text whether it is a lazy one.
    shown = ((html.escape(cell.url), html.escape(count(cell.value))) for cell in cells)
    return SafeString(
        "".join(
            f'<td class="text-end"><a href="{url}">{value}</a></td>'
            if url
            else f'<td class="text-end">{value}</td>'
            for url, value in shown
        )
    )


# Small pictures


@register.inclusion_tag("components/bar.html")
def bar(value: Any, largest: Any, hue: str = "") -> dict[str, Any]:
    """An in-cell bar, `value` of `largest`; the number itself stands beside it."""
    number, whole = decimal_of(value), decimal_of(largest)
    share = 0.0 if number is None or not whole else float(number / whole) * 100
    return {"share": f"{min(max(share, 0), 100):.1f}", "hue": hue}


@register.inclusion_tag("components/spark.html")
def spark(values: Iterable[Any], hue: str = "") -> dict[str, Any]:
    """A tiny trend of a figure's past; gaps (None) are left out."""
    numbers = [float(number) for number in map(decimal_of, values or []) if number is not None]
    return {"points": spark_points(numbers), "hue": hue}


def spark_points(numbers: list[float], width: float = 96, height: float = 24) -> str:
    if len(numbers) < 2:
        return ""
    low, high = min(numbers), max(numbers)
    step, span = width / (len(numbers) - 1), (high - low) or 1
    return " ".join(
        f"{i * step:.1f},{2 + (height - 4) * (1 - (n - low) / span):.1f}" for i, n in enumerate(numbers)
    )


@register.filter
def heat(value: Any, largest: Any) -> int:
    """The step 0–5 of a heat-map cell: the class is `heat-N`, the number stands in the cell."""
    number, whole = decimal_of(value), decimal_of(largest)
    if not number or not whole or number <= 0:
        return 0
    return min(5, 1 + int(number * 5 / whole)) if number < whole else 5


# Forms


@register.inclusion_tag("components/field.html")
def field(bound: BoundField, compact: bool = False) -> dict[str, Any]:
    """A form field with label, help, error and the right control; `compact` never spreads choices out (filter bars)."""
    return form_fields.context(bound, compact=compact)


@register.inclusion_tag("components/error_summary.html")
def error_summary(form: forms.BaseForm) -> dict[str, Any]:
    """Every error of the form with a link to its field; nothing when there is none."""
    return {"form": form, "errors": form_fields.errors(form)}
