#!/usr/bin/env python3
"""Keep the Chinese messages with Babel alone; GNU gettext is not needed.

    messages.py extract [--prune]   bring the catalogue up to date with the sources; translations stay
    messages.py merge FILE.tsv …    take translations over: msgid TAB translation, before it a context if any
    messages.py compile             write the .mo files
    messages.py check               list what is missing, left over or wrong; exit 1 if there is anything

In a TSV file `\\n` stands for a newline, and a plural message is named by its singular. The catalogue names
files but no line numbers, so that it changes only when messages do; `check` tells the lines.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from babel.messages import Catalog
from babel.messages.catalog import Message
from babel.messages.extract import extract as babel_extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parent.parent
LOCALE = ROOT / "locale"
CATALOGUE = LOCALE / "zh_Hans" / "LC_MESSAGES" / "django.po"
LANGUAGE = "zh_Hans"

SOURCES = ("caring_portal", "programs", "outreach", "assistance", "wellbeing", "reporting", "templates")
SKIPPED = {"migrations", "__pycache__"}
TEMPLATE_SUFFIXES = {".html", ".txt"}
KEYWORDS = {
    **dict.fromkeys(("_", "gettext", "gettext_lazy", "gettext_noop")),
    **dict.fromkeys(("ngettext", "ngettext_lazy"), (1, 2)),
    **dict.fromkeys(("pgettext", "pgettext_lazy"), ((1, "c"), 2)),
    **dict.fromkeys(("npgettext", "npgettext_lazy"), ((1, "c"), 2, 3)),
}

# %(name)s, %s, %.1f, %%: what the % operator understands.
PERCENT = re.compile(r"%(?:\((?P<name>[^)]*)\))?[#0\- +]*\d*(?:\.\d+)?(?P<kind>[diouxXeEfFgGcrsa%])")
NAMED = re.compile(r"%\([^)]+\)[#0\- +]*\d*(?:\.\d+)?[diouxXeEfFgGcrsa]")
POSITIONAL = re.compile(r"%(?:\d*(?:\.\d+)?)[sdifr]")
BRACE = re.compile(r"\{[a-zA-Z_][\w.\[\]]*(?:![rsa])?(?::[^{}]*)?\}")
TEMPLATE_VARIABLE = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")
IDLE_HEADERS = re.compile(
    r'(?m)^"(?:POT-Creation-Date|PO-Revision-Date|Generated-By|Report-Msgid-Bugs-To|Last-Translator|Language-Team):.*\n'
)

Key = tuple[str, str]  # context ("" for none) and msgid (the singular)


class Found(NamedTuple):
    """A message in a source file. `ids` holds the singular and, of a plural message, the plural."""

    context: str
    ids: tuple[str, ...]
    comments: tuple[str, ...]
    file: str
    line: int

    @property
    def key(self) -> Key:
        return self.context, self.ids[0]


class MessageError(Exception):
    """The catalogue or a file to be merged cannot be used."""


# --- reading the sources ------------------------------------------------------------------------------


def source_files() -> Iterator[Path]:
    for top in SOURCES:
        for folder, subfolders, names in os.walk(ROOT / top):
            subfolders[:] = sorted(set(subfolders) - SKIPPED)
            for name in sorted(names):
                path = Path(folder, name)
                if path.suffix == ".py" or path.suffix in TEMPLATE_SUFFIXES:
                    yield path


def as_python(template: str, origin: str) -> str:
    """The template as Python source with the same lines. The parenthesis makes its indentation harmless."""
    from django.conf import settings
    from django.utils.translation.template import templatize

    if not settings.configured:
        settings.configure()
    return f"({templatize(template, origin=origin)}\n)"


def messages_in(path: Path) -> Iterator[Found]:
    origin = path.relative_to(ROOT).as_posix()
    text = path.read_text(encoding="utf-8")
    if path.suffix in TEMPLATE_SUFFIXES:
        text = as_python(text, origin)
    for line, ids, comments, context in babel_extract(
        "python", io.BytesIO(text.encode()), keywords=KEYWORDS, comment_tags=("Translators:",)
    ):
        found = (ids,) if isinstance(ids, str) else tuple(ids)
        if found[0]:
            yield Found(context or "", found, tuple(comments), origin, line)


def all_messages() -> dict[Key, list[Found]]:
    """Every message of the sources with the places it stands at, in the catalogue's order."""
    messages: dict[Key, list[Found]] = {}
    for path in source_files():
        for found in messages_in(path):
            messages.setdefault(found.key, []).append(found)
    return dict(sorted(messages.items(), key=lambda item: (item[0][1], item[0][0])))


def plural_of(places: list[Found]) -> tuple[str, ...]:
    """The singular and plural; a message that is plural anywhere is plural in the catalogue."""
    forms = {found.ids for found in places if len(found.ids) > 1}
    if len(forms) > 1:
        where = ", ".join(f"{found.file}:{found.line}" for found in places)
        raise MessageError(f"one singular with different plurals: {places[0].ids[0]!r} ({where})")
    return forms.pop() if forms else places[0].ids


# --- the catalogue ------------------------------------------------------------------------------------


def key_of(message: Message) -> Key:
    singular = message.id if isinstance(message.id, str) else message.id[0]
    return message.context or "", singular


def text_of(message: Message) -> str:
    """The translation; Chinese has one plural form."""
    return message.string if isinstance(message.string, str) else (message.string or [""])[0]


def read_catalogue(path: Path = CATALOGUE) -> Catalog:
    if not path.is_file():
        return Catalog(locale=LANGUAGE)
    with path.open("rb") as file:
        return read_po(file, locale=LANGUAGE)


def entries(catalogue: Catalog) -> dict[Key, Message]:
    return {key_of(message): message for message in catalogue if message.id}


def flags_of(ids: tuple[str, ...]) -> set[str]:
    """Only what Django will really format: a per cent sign in running text is no placeholder."""
    if any(NAMED.search(text) or POSITIONAL.search(text) for text in ids):
        return {"python-format"}
    return {"python-brace-format"} if any(BRACE.search(text) for text in ids) else set()


def add(catalogue: Catalog, ids: tuple[str, ...], translation: str, places: list[Found]) -> None:
    catalogue.add(
        id=ids if len(ids) > 1 else ids[0],
        string=(translation,) if len(ids) > 1 else translation,
        locations=[(file, 0) for file in sorted({found.file for found in places})],
        auto_comments=sorted({comment for found in places for comment in found.comments}),
        context=places[0].context or None,
    )


def updated(old: Catalog, messages: dict[Key, list[Found]], *, prune: bool) -> Catalog:
    known = {key: text_of(message) for key, message in entries(old).items()}
    left_over = {key_of(message): message for message in old.obsolete.values()}
    known = {**{key: text_of(message) for key, message in left_over.items()}, **known}
    new = Catalog(locale=LANGUAGE, fuzzy=False)
    for key, places in messages.items():
        add(new, plural_of(places), known.get(key, ""), places)
    if not prune:
        for key in sorted(known.keys() - messages.keys()):
            gone = left_over.get(key) or entries(old)[key]
            if text_of(gone):
                gone.locations, gone.auto_comments, gone.flags = [], [], set()
                new.obsolete[gone.id if isinstance(gone.id, str) else gone.id[0]] = gone
    return new


def write_catalogue(catalogue: Catalog, path: Path = CATALOGUE) -> None:
    for message in entries(catalogue).values():
        # Babel guesses flags when it reads; see flags_of.
        kept = message.flags & {"fuzzy"}
        message.flags = kept | flags_of((message.id,) if isinstance(message.id, str) else tuple(message.id))
    catalogue.project, catalogue.version = "Caring Portal", "1"
    catalogue.header_comment = "# Chinese messages of the Caring Portal. scripts/messages.py keeps this file."
    buffer = io.BytesIO()
    write_po(buffer, catalogue, width=100, include_lineno=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(IDLE_HEADERS.sub("", buffer.getvalue().decode()), encoding="utf-8")


# --- checking -----------------------------------------------------------------------------------------


def placeholders(text: str, flags: set[str]) -> Counter[str]:
    if "python-brace-format" in flags:
        return Counter(BRACE.findall(text))
    return Counter(match[0] for match in PERCENT.finditer(text) if match["kind"] != "%")


def fault(message: Message) -> str | None:
    """What is wrong with a translation, or None. Of a plural message the plural's placeholders count."""
    translation = text_of(message)
    ids = (message.id,) if isinstance(message.id, str) else tuple(message.id)
    flags = flags_of(ids)
    if not translation or not flags:
        return None
    wanted, given = placeholders(ids[-1], flags), placeholders(translation, flags)
    if set(wanted) != set(given) or (
        "python-format" in flags and not NAMED.search(ids[-1]) and wanted != given
    ):
        return f"placeholders differ: {sorted(wanted)} and {sorted(given)}"
    if "python-format" in flags and "%" in PERCENT.sub("", translation):
        return "a per cent sign must be written %%"
    return None


def faults(catalogue: Catalog) -> list[str]:
    """What makes a catalogue unusable: guessed translations and wrong placeholders."""
    found = []
    for message in entries(catalogue).values():
        if message.fuzzy:
            found.append(f"fuzzy: {message.id!r}")
        if problem := fault(message):
            found.append(f"{problem}: {message.id!r}")
    return found


# --- commands -----------------------------------------------------------------------------------------


def extract(*, prune: bool) -> int:
    messages = all_messages()
    catalogue = updated(read_catalogue(), messages, prune=prune)
    write_catalogue(catalogue)
    missing = sum(not text_of(message) for message in entries(catalogue).values())
    print(f"{len(messages)} messages, {missing} untranslated, {len(catalogue.obsolete)} left over.")
    return 0


def rows(file: Path) -> Iterator[tuple[Key, str]]:
    for number, line in enumerate(file.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not line.strip():
            continue
        fields = [TEMPLATE_VARIABLE.sub(r"%(\1)s", part.replace("\\n", "\n")) for part in line.split("\t")]
        if len(fields) == 2:
            yield ("", fields[0]), fields[1]
        elif len(fields) == 3:
            yield (fields[0], fields[1]), fields[2]
        else:
            raise MessageError(f"{file}:{number}: two or three columns are needed, there are {len(fields)}")


def merge(files: Iterable[Path]) -> int:
    catalogue = read_catalogue()
    known = entries(catalogue)
    taken, unknown = 0, []
    for file in files:
        for key, translation in rows(file):
            message = known.get(key)
            if message is None:
                unknown.append(f"{file.name}: not in the sources: {key[1]!r}")
                continue
            old = text_of(message)
            if old and old != translation:
                print(f"{file.name}: {key[1]!r}: {old!r} becomes {translation!r}")
            message.string = translation if isinstance(message.id, str) else (translation,)
            taken += 1
            if problem := fault(message):
                message.string = old if isinstance(message.id, str) else (old,)
                unknown.append(f"{file.name}: {problem}: {key[1]!r}")
    write_catalogue(catalogue)
    for line in unknown:
        print(line, file=sys.stderr)
    print(f"{taken} translations taken over, {len(unknown)} refused.")
    return 1 if unknown else 0


def compile_all() -> int:
    for source in sorted(LOCALE.glob("*/LC_MESSAGES/django.po")):
        catalogue = read_catalogue(source)
        if wrong := faults(catalogue):
            raise MessageError(f"{source.relative_to(ROOT)}:\n" + "\n".join(wrong))
        draft = source.with_suffix(f".mo.{os.getpid()}")
        with draft.open("wb") as file:
            write_mo(file, catalogue)
        draft.replace(source.with_suffix(".mo"))
        done = sum(bool(text_of(message)) for message in entries(catalogue).values())
        print(f"{source.relative_to(ROOT)}: {done} of {len(entries(catalogue))} messages.")
    return 0


def check() -> int:
    catalogue, messages = read_catalogue(), all_messages()
    known = entries(catalogue)
    problems = faults(catalogue)
    for key, places in messages.items():
        where = f"{places[0].file}:{places[0].line}"
        if key not in known:
            problems.append(f"{where}: not in the catalogue (run `make messages`): {key[1]!r}")
        elif not text_of(known[key]):
            problems.append(f"{where}: untranslated: {key[1]!r}")
        elif known[key].pluralizable != (len(plural_of(places)) > 1):
            problems.append(f"{where}: singular or plural has changed (run `make messages`): {key[1]!r}")
    left_over = known.keys() - messages.keys() | {key_of(message) for message in catalogue.obsolete.values()}
    problems += [f"left over (run `messages.py extract --prune`): {key[1]!r}" for key in sorted(left_over)]
    for problem in problems:
        print(problem)
    print(f"{len(messages)} messages, {len(problems)} problems.")
    return 1 if problems else 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Keep the Chinese messages.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("extract").add_argument("--prune", action="store_true", help="drop what is left over")
    commands.add_parser("merge").add_argument("files", nargs="+", type=Path)
    commands.add_parser("compile")
    commands.add_parser("check")
    options = parser.parse_args(arguments)
    try:
        match options.command:
            case "extract":
                return extract(prune=options.prune)
            case "merge":
                return merge(options.files)
            case "compile":
                return compile_all()
            case _:
                return check()
    except (MessageError, SyntaxError) as error:
        print(f"messages: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
