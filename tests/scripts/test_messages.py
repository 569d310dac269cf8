from __future__ import annotations

from pathlib import Path

import pytest
from babel.support import Translations

from scripts import messages

pytestmark = pytest.mark.once

PYTHON = """
from django.utils.translation import gettext as _, ngettext, pgettext

print(_("Street"), _("100% done"), _("{n} files"))
print(pgettext("of a year", "May"), _("May"))
print(ngettext("%(count)s record", "%(count)s records", 2) % {"count": 2})
"""
TEMPLATE = """{% load i18n %}
  <p title="it's 5 % &quot;quoted&quot;">{% translate "Street" %}
{# Translators: who did it #}
{% translate "By whom" context "audit" %}
      <b>{{ value|default:_("none yet") }}</b>
    {% blocktranslate trimmed count n=n %}
      One unit
    {% plural %}
      {{ n }} units
    {% endblocktranslate %}
{% blocktranslate %}Hello {{ name }}, 5 %{% endblocktranslate %}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one module and one template, with an empty catalogue."""
    (tmp_path / "programs").mkdir()
    (tmp_path / "templates").mkdir()
    (tmp_path / "programs" / "views.py").write_text(PYTHON, encoding="utf-8")
    (tmp_path / "templates" / "page.html").write_text(TEMPLATE, encoding="utf-8")
    catalogue = tmp_path / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"
    monkeypatch.setattr(messages, "ROOT", tmp_path)
    monkeypatch.setattr(messages, "LOCALE", tmp_path / "locale")
    monkeypatch.setattr(messages, "CATALOGUE", catalogue)
    for function in (messages.read_catalogue, messages.write_catalogue):
        monkeypatch.setattr(function, "__defaults__", (catalogue,))
    return tmp_path


def merge(project: Path, text: str) -> int:
    table = project / "some.tsv"
    table.write_text(text, encoding="utf-8")
    return messages.main(["merge", str(table)])


def test_messages_are_found_with_their_places(project: Path) -> None:
    found = messages.all_messages()
    lines = {key: [(place.file, place.line) for place in places] for key, places in found.items()}
    assert lines == {
        ("", "%(count)s record"): [("programs/views.py", 6)],
        ("", "100% done"): [("programs/views.py", 4)],
        ("audit", "By whom"): [("templates/page.html", 4)],
        ("", "Hello %(name)s, 5 %%"): [("templates/page.html", 11)],
        ("", "May"): [("programs/views.py", 5)],
        ("of a year", "May"): [("programs/views.py", 5)],
        ("", "One unit"): [("templates/page.html", 6)],
        ("", "Street"): [("programs/views.py", 4), ("templates/page.html", 2)],
        ("", "none yet"): [("templates/page.html", 5)],
        ("", "{n} files"): [("programs/views.py", 4)],
    }


def test_only_what_is_formatted_is_flagged(project: Path) -> None:
    messages.main(["extract"])
    text = messages.CATALOGUE.read_text(encoding="utf-8")
    assert '#, python-format\nmsgid "%(count)s record"' in text
    assert '#, python-brace-format\nmsgid "{n} files"' in text
    assert '#: programs/views.py\nmsgid "100% done"' in text


def test_extracting_again_changes_nothing_and_keeps_translations(project: Path) -> None:
    messages.main(["extract"])
    assert merge(project, "Street\t街道\nof a year\tMay\t五月\nOne unit\t%(n)s 个单位\n") == 0
    before = messages.CATALOGUE.read_text(encoding="utf-8")
    messages.main(["extract"])
    assert messages.CATALOGUE.read_text(encoding="utf-8") == before
    known = messages.entries(messages.read_catalogue())
    assert messages.text_of(known["", "Street"]) == "街道"
    assert messages.text_of(known["of a year", "May"]) == "五月"
    assert messages.text_of(known["", "May"]) == ""
    assert messages.text_of(known["", "One unit"]) == "%(n)s 个单位"


def test_a_message_that_goes_and_comes_back_keeps_its_translation(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    messages.main(["extract"])
    merge(project, "none yet\t暂无\n")
    page = project / "templates" / "page.html"
    page.write_text(TEMPLATE.replace("none yet", "nothing"), encoding="utf-8")
    messages.main(["extract"])
    assert ("", "none yet") not in messages.entries(messages.read_catalogue())
    messages.main(["check"])
    assert "left over" in capsys.readouterr().out
    page.write_text(TEMPLATE, encoding="utf-8")
    messages.main(["extract"])
    assert messages.text_of(messages.entries(messages.read_catalogue())["", "none yet"]) == "暂无"


def test_a_wrong_translation_is_not_taken_over(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    messages.main(["extract"])
    assert merge(project, "%(count)s record\t%(number)s 条\nUnheard of\t未知\n") == 1
    refused = capsys.readouterr().err
    assert "placeholders differ" in refused
    assert "Unheard of" in refused
    assert messages.text_of(messages.entries(messages.read_catalogue())["", "%(count)s record"]) == ""


def test_what_templates_write_may_be_merged_as_it_stands_there(project: Path) -> None:
    messages.main(["extract"])
    assert merge(project, "Hello {{ name }}, 5 %%\t{{ name }}，您好，5 %%\n") == 0


def test_check_lists_what_is_missing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert messages.main(["check"]) == 1
    assert "templates/page.html:5: not in the catalogue" in capsys.readouterr().out
    messages.main(["extract"])
    assert messages.main(["check"]) == 1
    assert "templates/page.html:5: untranslated: 'none yet'" in capsys.readouterr().out


def test_a_complete_catalogue_passes_and_compiles(project: Path) -> None:
    messages.main(["extract"])
    for (context, singular), message in messages.entries(messages.read_catalogue()).items():
        plural = message.id if isinstance(message.id, str) else message.id[-1]
        assert (
            merge(
                project, f"{context}\t{singular}\t译 {plural}\n" if context else f"{singular}\t译 {plural}\n"
            )
            == 0
        )
    assert messages.main(["check"]) == 0
    assert messages.main(["compile"]) == 0
    compiled = Translations.load(str(project / "locale"), ["zh_Hans"], "django")
    assert compiled.gettext("Street") == "译 Street"
    assert compiled.pgettext("of a year", "May") == "译 May"
    assert compiled.ngettext("%(count)s record", "%(count)s records", 1) == "译 %(count)s records"


@pytest.mark.parametrize("wrong", ["#, fuzzy\n", ""])
def test_a_guessed_or_broken_translation_does_not_compile(project: Path, wrong: str) -> None:
    messages.main(["extract"])
    text = messages.CATALOGUE.read_text(encoding="utf-8")
    if wrong:
        text = text.replace('msgid "Street"\nmsgstr ""', f'{wrong}msgid "Street"\nmsgstr "街道"')
    else:
        text = text.replace('msgstr[0] ""', 'msgstr[0] "%(other)s"', 1)
    messages.CATALOGUE.write_text(text, encoding="utf-8")
    assert messages.main(["compile"]) == 1
