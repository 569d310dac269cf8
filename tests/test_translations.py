"""Every word of every page in both languages: Chinese without English left over, English without Chinese."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings

from tests import payloads, walker
from tests.access_table import OWN, PEOPLE, Outcome, Person, expected, rule_for
from tests.walker import Route, content_of, fill, pages, passing_world

ROOT = Path(__file__).resolve().parent.parent
CATALOGUE = ROOT / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.mo"
# The sample application of the tests has no translations.
PAGES = [(route, person) for route, person in pages() if route.kind is None or str(route.kind) != "cases"]


# --- the catalogue --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def messages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("messages", ROOT / "scripts" / "messages.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.once
def test_every_message_is_translated(messages: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """None missing, none guessed, none left over, the same placeholders."""
    code = messages.check()
    assert code == 0, capsys.readouterr().out


CJK = re.compile(r"[\u3400-\u9fff\U00020000-\U0003134f]")
LATIN = re.compile(r"[A-Za-z]")


@pytest.mark.once
def test_translations_are_chinese(messages: ModuleType) -> None:
    """A translation holds Chinese, unless it is made of signs and names alone."""
    found = [
        (key[1], messages.text_of(message))
        for key, message in messages.entries(messages.read_catalogue()).items()
        if LATIN.search(messages.PERCENT.sub("", key[1])) and messages.text_of(message)
    ]
    english = [
        (text, chinese) for text, chinese in found if not CJK.search(chinese) and list(english_words(chinese))
    ]
    assert english == []
    assert [(text, chinese) for text, chinese in found if "！" in chinese or "!" in chinese] == []


@pytest.mark.once
@pytest.mark.parametrize("folder", ["templates", "static/js"])
def test_sources_are_english(folder: str) -> None:
    """Chinese stands in the catalogue; scripts get their words from the templates."""
    comment = re.compile(
        r"(?s)\{#.*?#\}|\{%\s*comment\b.*?endcomment\s*%\}|/\*.*?\*/|^\s*//[^\n]*", re.MULTILINE
    )
    found = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in {".html", ".js", ".txt"}
        and CJK.search(comment.sub("", path.read_text(encoding="utf-8")))
    ]
    assert found == []


# --- the words of a page --------------------------------------------------------------------------

SHOWN_ATTRIBUTES = {"title", "alt", "placeholder", "aria-label", "aria-description", "label"}
SILENT = {"script", "style", "template"}


class Words(HTMLParser):
    """The texts that a page shows or tells: text nodes and the attributes that are read out."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.silent += tag in SILENT
        attributes = dict(attrs)
        for name, value in attributes.items():
            # Words that scripts show come from data-text-… and data-label-… attributes.
            if value and (
                name in SHOWN_ATTRIBUTES or name.startswith(("data-text", "data-label", "data-message"))
            ):
                self.texts.append(value)
        if tag == "input" and attributes.get("type") in {"submit", "button", "reset"}:
            self.texts.append(attributes.get("value") or "")

    def handle_endtag(self, tag: str) -> None:
        self.silent -= tag in SILENT

    def handle_data(self, data: str) -> None:
        if not self.silent and data.strip():
            self.texts.append(data.strip())


def texts_of(html: str) -> list[str]:
    words = Words()
    words.feed(html)
    return words.texts


# Words that stand in Chinese pages as they are.
ALLOWED = {
    "csv", "xlsx", "docx", "excel", "pdf", "jpg", "jpeg", "png", "webp", "url", "api", "json", "openapi", "id", "ip",
    "mb", "kb", "pin", "enter", "esc", "ctrl", "english", "get", "post", "put", "patch", "delete", "http", "https",
    "totp", "app", "microsoft", "google", "authenticator", "f11", "a4", "utf", "xls", "ods",
}  # fmt: skip
WORD = re.compile(r"[A-Za-z]{2,}")
# What people and machines write, as the walker's world holds it: names by sort and scope, sample values, user names,
# permissions and routes in audit events, keys and passwords made by the portal, pinyin, places for scripts to fill.
DATA = re.compile(
    r"RZ7-[a-z]+-[a-z_]+(?:\.png)?|样例\w+|(?:person|colleague)-\w+|人员\w+|\bkeeper\b|\b[a-z_]+\.[a-z_.]+\b|"
    r"(?:GET|POST|PUT|PATCH|DELETE|HEAD) /\S*|/[\w/.-]+/|\b(?:[A-Z2-7]{4} )+[A-Z2-7]{1,4}\b|[\w.+-]+@[\w.-]+|"
    r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\{\w+\}|样\*+|\b[a-z0-9]{4}(?:-[a-z0-9]{4})+\b|\b[0-9A-Z]{4}(?:-[0-9A-Z]{4}){3}\b|\b[a-z]+z?7-units-[a-z]+\b|\bhmjd\w*"
)


def english_words(text: str) -> Iterator[str]:
    yield from (word for word in WORD.findall(DATA.sub(" ", text)) if word.lower() not in ALLOWED)


def words_of_the_sample_app() -> set[str]:
    """tests/casework is no part of the portal and has no translations."""
    from programs import registry

    kind, model = registry.kind("cases"), apps.get_model("casework", "Case")
    own = {str(field.verbose_name) for field in model._meta.concrete_fields}
    own |= {str(kind.label), str(kind.label_plural), *(str(i.label) for i in kind.indicators)}
    return own | {word.capitalize() for word in own}


# --- the pages ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: Any) -> Iterator[SimpleNamespace]:
    with django_db_blocker.unblock(), passing_world(PEOPLE) as made:
        yield made


def page(world: SimpleNamespace, route: Route, person: Person, language: str, method: str = "GET") -> str:
    client = world.sign_in(person)
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = language
    rule = rule_for(route.name)
    assert rule
    address = fill(route, world, OWN if rule.subject.scopes[0] else "")
    sent = {} if method == "GET" else {"data": "nothing=1", "content_type": payloads.FORM}
    response = client.generic(method, address, follow=True, **sent)
    content = content_of(response)
    if not response.headers.get("Content-Type", "").startswith("text/html"):
        return ""
    assert response.status_code < 500, f"{route}: {response.status_code}"
    return content.decode()


def ids(case: tuple[Route, Person]) -> str:
    return f"{case[0]}-{case[1].name}"


def left_over_english(html: str) -> list[str]:
    known = words_of_the_sample_app()
    # Sentences quote the names of fields.
    quoted = re.compile("“(?:{})”".format("|".join(map(re.escape, sorted(known)))))
    return [
        f"{word!r} in {text[:90]!r}"
        for text in texts_of(html)
        if text not in known
        for word in english_words(quoted.sub(" ", text))
    ]


def left_over_chinese(html: str, world: SimpleNamespace) -> list[str]:
    data = [unit.name for unit in world.units.values()] + ["简体中文", "黄岩区RZ7-units-elsewhere", "经办人"]
    # The headers of the world's spreadsheet; its rows and remarks are cells of their own.
    data += walker.HEADERS
    found = []
    for text in texts_of(html):
        if text in walker.CELLS:
            continue
        rest = DATA.sub(" ", text)
        for value in data:
            rest = rest.replace(DATA.sub(" ", value), " ").replace(value, " ")
        if CJK.search(rest):
            found.append(rest[:90])
    return found


def test_the_chinese_messages_are_compiled() -> None:
    assert CATALOGUE.is_file(), "run `make setup`"


@pytest.mark.django_db
@pytest.mark.parametrize("case", PAGES, ids=ids)
def test_chinese_pages_hold_no_english(case: tuple[Route, Person], world: SimpleNamespace) -> None:
    assert left_over_english(page(world, *case, "zh-hans")) == []


@pytest.mark.django_db
@pytest.mark.parametrize("case", PAGES, ids=ids)
def test_english_pages_hold_no_chinese(case: tuple[Route, Person], world: SimpleNamespace) -> None:
    assert left_over_chinese(page(world, *case, "en"), world) == []


FORMS = [
    (route, person)
    for route, person in PAGES
    if (rule := rule_for(route.name))
    and expected(rule, "POST", person, rule.subject.scopes[0]) == {Outcome.OK}
]


@pytest.mark.django_db
@pytest.mark.parametrize("case", FORMS, ids=ids)
def test_refused_forms_speak_chinese(case: tuple[Route, Person], world: SimpleNamespace) -> None:
    """A form sent empty, with the messages beside its fields."""
    from django.db import transaction

    with transaction.atomic():
        html = page(world, *case, "zh-hans", method="POST")
        transaction.set_rollback(True)
    assert left_over_english(html) == []


@pytest.mark.django_db
@pytest.mark.parametrize("language", ["zh-hans", "en"])
@pytest.mark.parametrize(
    "address", ["/nothing/here/", "/people/", "/records/activities/?unit=x&sort=y&occurred_on_from=z"]
)
def test_pages_of_refusal_speak_the_language(address: str, language: str, world: SimpleNamespace) -> None:
    client = world.sign_in(next(person for person in PEOPLE if person.name == "community_officer"))
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = language
    html = content_of(client.get(address)).decode()
    assert (left_over_english(html) if language != "en" else left_over_chinese(html, world)) == []


# --- that the checks bite -------------------------------------------------------------------------


def test_left_over_words_are_found() -> None:
    html = '<p>保存 and go on</p><input placeholder="Search" type="text"><script>var x = "no text"</script>'
    assert [word.split(" in ")[0] for word in left_over_english(html)] == [
        "'and'",
        "'go'",
        "'on'",
        "'Search'",
    ]
    assert left_over_english("<p>导出 CSV：RZ7-activities-own</p>") == []
    world = SimpleNamespace(units={}, people={})
    assert left_over_chinese("<p>Save 保存</p>", world) == ["Save 保存"]
    assert left_over_chinese("<p>Save 经办人</p>", world) == []


def test_the_walker_finds_the_pages() -> None:
    names = {route.name for route, _person in PAGES}
    assert {"home", "record_list", "record_new", "record_detail", "account", "sign_in"} <= names
    assert len(walker.routes()) > len(names) > 20
