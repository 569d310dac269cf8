"""Numbers as people read them, and form fields as they are drawn."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django import forms
from django.template import Context, Template
from django.utils.translation import override

from programs.forms import UnitCodeField, UnitCodesField
from programs.models import Unit
from programs.registry import Suppressed
from programs.templatetags import portal
from programs.widgets import FilesInput, UnitPicker, UnitsPicker


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        ("", "–"),
        ("abc", "–"),
        (float("nan"), "–"),
        (True, "–"),
        (0, "0"),
        (1234567, "1,234,567"),
        (Decimal("12806000.50"), "12,806,000.5"),
        (-1200, "\N{MINUS SIGN}1,200"),
    ],
)
def test_count_is_exact(value: Any, text: str) -> None:
    assert portal.count(value) == text


@pytest.mark.parametrize(
    ("value", "shown", "exact"),
    [
        (78_346, "7.83", "78,346"),
        (99_999, "10", "99,999"),
        (170_000, "17", "170,000"),
        (12_806_000, "1,281", "12,806,000"),
        (99_999_999, "1", "99,999,999"),
        (-78_346, "\N{MINUS SIGN}7.83", "\N{MINUS SIGN}78,346"),
    ],
)
def test_a_leader_reads_ten_thousands_and_finds_the_exact_value(value: int, shown: str, exact: str) -> None:
    with override("zh-hans"):
        text = portal.wan(value)
    assert f'title="{exact}"' in text
    assert f'value="{value}"' in text
    assert f">{shown}" in text


def test_small_numbers_and_english_stay_exact() -> None:
    with override("zh-hans"):
        assert portal.wan(9999) == "9,999"
        assert portal.wan(None) == "–"
    with override("en"):
        assert portal.wan(12_806_000) == "12,806,000"


def test_a_change_has_a_sign_and_words() -> None:
    assert [portal.signed(n) for n in ("12.30", -4, 0, None)] == ["+12.3", "\N{MINUS SIGN}4", "0", "–"]
    with override("en"):
        words = [portal.change_words(n) for n in (1, -1, 0, None)]
    assert len(set(words)) == 4
    assert words[0] == "more than a year before"


def test_small_pictures_bear_odd_numbers() -> None:
    assert portal.bar(None, 10)["share"] == "0.0"
    assert portal.bar(30, 0)["share"] == "0.0"
    assert portal.bar(30, 10)["share"] == "100.0"
    assert portal.spark([])["points"] == portal.spark([None, 3])["points"] == ""
    assert portal.spark([2, None, 2])["points"].count(",") == 2
    assert [portal.heat(n, 10) for n in (None, 0, 1, 5, 10, 99)] == [0, 0, 1, 3, 5, 5]


class Sample(forms.Form):
    theme = forms.CharField(label="theme", help_text="What it was about")
    setting = forms.ChoiceField(label="setting", choices=[("", "---"), ("a", "A"), ("b", "B")])
    mood = forms.ChoiceField(label="mood", choices=[("", "---"), ("x", "X")], required=False)
    many = forms.ChoiceField(label="many", choices=[(str(n), str(n)) for n in range(7)], required=False)
    day = forms.DateField(label="day", required=False)
    people = forms.IntegerField(
        label="people", required=False, widget=forms.NumberInput({"data-suffix": "person-times"})
    )
    photos = forms.FileField(label="photos", required=False, widget=FilesInput(max_bytes=1024, max_files=3))
    key = forms.UUIDField(required=False, widget=forms.HiddenInput)


def drawn(form: forms.Form, name: str, options: str = "") -> str:
    with override("en"):
        template = Template("{% load portal %}{% field bound OPTIONS %}".replace("OPTIONS", options))
        return template.render(Context({"bound": form[name]}))


def test_help_and_error_are_tied_to_the_field() -> None:
    html = drawn(Sample({}), "theme")
    assert 'aria-describedby="id_theme_helptext id_theme_error"' in html
    assert 'aria-invalid="true"' in html
    assert 'id="id_theme_helptext"' in html
    assert 'id="id_theme_error"' in html
    assert 'for="id_theme"' in html


def test_few_choices_are_shown_and_many_are_listed() -> None:
    form = Sample({"setting": "b"})
    html = drawn(form, "setting")
    assert html.count('type="radio"') == 2
    assert 'value="b" checked' in html
    assert "<legend" in html
    assert "<select" in drawn(form, "many")
    assert "<select" in drawn(form, "setting", "compact=True")


def test_an_optional_choice_can_be_left_open_in_words() -> None:
    html = drawn(Sample(), "mood")
    assert "Not stated" in html
    assert 'value="" checked' in html


def test_an_odd_value_of_a_choice_is_harmless() -> None:
    assert "checked" not in drawn(Sample({"setting": "<script>"}), "setting")


def test_controls_fit_their_values() -> None:
    form = Sample(initial={"day": "2026-03-01"})
    assert 'type="date"' in drawn(form, "day")
    assert 'value="2026-03-01"' in drawn(form, "day")
    assert "person-times" in drawn(form, "people")
    assert 'inputmode="numeric"' in drawn(form, "people")
    html = drawn(form, "photos")
    assert 'data-max-files="3"' in html
    assert "multiple" in html


def test_the_summary_links_every_error_to_its_field() -> None:
    form = Sample({"key": "no uuid", "day": "soon"})
    form.add_error(None, "Nothing fits together")
    with override("en"):
        html = Template("{% load portal %}{% error_summary form %}").render(Context({"form": form}))
    for anchor in ("#id_theme", "#id_setting_0", "#id_day"):
        assert f'href="{anchor}"' in html
    assert "Nothing fits together" in html
    assert html.count("<li>") == len(form.non_field_errors()) + sum(
        len(errors) for name, errors in form.errors.items() if name != "__all__"
    )


def test_the_unit_picker_shows_names_and_sends_codes(tree: SimpleNamespace) -> None:
    class Units(forms.Form):
        unit = UnitCodeField(queryset=Unit.objects.all(), widget=UnitPicker("/units/search/"))
        joint = UnitCodesField(
            queryset=Unit.objects.all(), widget=UnitsPicker("/units/search/"), required=False
        )

    form = Units({"unit": tree.own.code, "joint": f"{tree.street.code}, {tree.police.code}"})
    assert form.is_valid(), form.errors
    assert form.cleaned_data["unit"] == tree.own
    assert set(form.cleaned_data["joint"]) == {tree.street, tree.police}
    html = drawn(form, "joint")
    assert tree.street.name in html
    assert f'value="{tree.street.code},{tree.police.code}"' in html
    unknown = Units({"unit": "no-such", "joint": "x1；x2"})
    assert set(unknown.errors) == {"unit", "joint"}
    assert "no-such" in drawn(unknown, "unit")


def test_cells_of_figures_are_escaped_and_linked() -> None:
    cells = [
        SimpleNamespace(value=Decimal(1234), url="/a/?b=1&c=2"),
        SimpleNamespace(value=Decimal(5), url=""),
        SimpleNamespace(value=None, url=""),
        SimpleNamespace(value=Suppressed.SMALL, url=""),
    ]
    drawn = Template("{% load portal %}{% figure_cells cells %}").render(Context({"cells": cells}))
    assert drawn == (
        '<td class="text-end"><a href="/a/?b=1&amp;c=2">1,234</a></td>'
        '<td class="text-end">5</td><td class="text-end">–</td><td class="text-end">&lt;5</td>'
    )
