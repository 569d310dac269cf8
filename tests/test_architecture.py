"""How the house is laid out, kept by machine (docs/architecture.md). Each check is fed a bad sample, too."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.db import models
from django.urls import URLPattern, URLResolver, get_resolver

from programs.access import requirement_of
from programs.models.record import Record

ROOT = Path(__file__).resolve().parent.parent
APPS = ("caring_portal", "programs", "outreach", "assistance", "wellbeing", "reporting")

# Who may import whom. Nobody of ours imports the tests.
MAY_IMPORT = {
    "caring_portal": {"programs", "outreach", "assistance", "wellbeing", "reporting"},
    "programs": set(),
    "outreach": {"programs"},
    "assistance": {"programs"},
    "wellbeing": {"programs"},
    "reporting": {"programs"},
}
OURS = {*APPS, "tests"}


def sources(*, migrations: bool = False) -> Iterator[tuple[str, ast.Module]]:
    """Every module of ours: its path from the root, and its syntax tree."""
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            if migrations or "migrations" not in path.parts:
                yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def findings(check: Callable[[str, ast.Module], Iterator[str]], **options: bool) -> list[str]:
    return [finding for path, tree in sources(**options) for finding in check(path, tree)]


def bites(check: Callable[[str, ast.Module], Iterator[str]], path: str, source: str) -> list[str]:
    return list(check(path, ast.parse(source)))


def called(node: ast.Call) -> str:
    """The last part of the called name: "connect" for post_save.connect(...)."""
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def imported(node: ast.AST) -> Iterator[str]:
    """The modules that a statement or call names: imports anywhere, and those by name in a string."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield node.module or ""
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call) and called(node) in {
        "import_module",
        "import_string",
        "__import__",
        "get_model",
        "include",
        "get_app_config",
    }:
        for argument in node.args:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield argument.value


# --- imports --------------------------------------------------------------------------------------


def wrong_imports(path: str, tree: ast.Module) -> Iterator[str]:
    app = path.split("/")[0]
    for node in ast.walk(tree):
        for top in {name.split(".")[0] for name in imported(node)}:
            if top in OURS - {app} and top not in MAY_IMPORT[app]:
                yield f"{path}:{getattr(node, 'lineno', 0)} imports {top}"


def test_the_apps_import_downwards_only() -> None:
    assert findings(wrong_imports, migrations=True) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("programs/access.py", "import reporting.models"),
        ("programs/access.py", "def f():\n    from reporting.models import UnitMonth"),
        (
            "programs/access.py",
            "from django.utils.module_loading import import_string\nimport_string('reporting.x')",
        ),
        ("programs/urls/home.py", "urlpatterns = [path('', include('reporting.urls'))]"),
        ("programs/x.py", "apps.get_model('reporting', 'UnitMonth')"),
        ("outreach/kinds.py", "from assistance import models"),
        ("reporting/views.py", "if True:\n    import wellbeing"),
        ("wellbeing/forms.py", "import caring_portal.settings"),
        ("caring_portal/urls.py", "from tests import factories"),
    ],
)
def test_wrong_imports_are_found(path: str, source: str) -> None:
    assert len(bites(wrong_imports, path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("reporting/views.py", "from programs.access import requires"),
        ("caring_portal/celery.py", "import reporting.tasks"),
        ("programs/views/home.py", "from programs import registry\nfrom . import units"),
    ],
)
def test_right_imports_pass(path: str, source: str) -> None:
    assert bites(wrong_imports, path, source) == []


# --- views ----------------------------------------------------------------------------------------


def undeclared(patterns: list[URLPattern | URLResolver], prefix: str = "/") -> Iterator[str]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from undeclared(pattern.url_patterns, route)
            continue
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            if requirement_of(pattern.callback, method) is None:
                yield f"{method} {route}"


def test_every_view_declares_its_access() -> None:
    assert list(undeclared(get_resolver().url_patterns)) == []


def test_a_view_without_access_is_found() -> None:
    from django.urls import path

    def view(request: object) -> None: ...

    assert "GET /bare/" in list(undeclared([path("bare/", view)]))


# --- models ---------------------------------------------------------------------------------------

# A person without a moment or a moment without a person, and why.
UNPAIRED = {
    "programs.Grant.granted_by": "the audit event of the grant holds the moment",
    "programs.Grant.revoked_at": "the audit event of the revocation names the person",
    "programs.User.created_at": "the audit event of the account names the person",
    "programs.Attachment.removed_at": "the audit event of the removal names the person",
    "programs.Reveal.expires_at": "an end that nobody brings about; who may read is in `user_id`",
    "outreach.Opinion.closed_at": "the step that closed it names the person",
    "outreach.MoodAlert.raised_at": "a declared rule raises it, no person",
    "outreach.Digest.created_at": "the worker makes it, no person",
    "outreach.Digest.mailed_at": "a worker sends it, no person",
    "outreach.Digest.read_at": "the person is its user",
    "reporting.SavedPivot.created_at": "the person is its owner",
    "reporting.SavedPivot.updated_at": "the person is its owner",
    "reporting.Freshness.refreshed_at": "the worker refreshes the figures, no person",
    "reporting.Upload.claimed_at": "a worker takes it, no person",
    "reporting.Upload.previewed_at": "a worker read it, for whoever asked",
    "reporting.Upload.applied_at": "a worker entered it, for whoever confirmed",
    "reporting.Upload.ended_at": "the audit event of the cancellation names the person; other ends nobody brings about",
}


def unpaired(label: str, names: set[str]) -> Iterator[str]:
    for name in sorted(names):
        for ending, other in (("_by", "_at"), ("_at", "_by")):
            if name.endswith(ending) and name.removesuffix(ending) + other not in names:
                yield f"{label}.{name}"


def test_who_and_when_stand_together() -> None:
    found = {
        finding
        for config in apps.get_app_configs()
        if config.name in APPS
        for model in config.get_models()
        for finding in unpaired(model._meta.label, {field.name for field in model._meta.concrete_fields})
    }
    assert found == set(UNPAIRED), "an unpaired field without a reason, or a reason without a field"


def test_an_unpaired_field_is_found() -> None:
    assert list(unpaired("x.Y", {"signed_by", "created_at", "created_by"})) == ["x.Y.signed_by"]
    assert list(unpaired("x.Y", {"locked_at"})) == ["x.Y.locked_at"]


def test_every_record_is_of_a_kind() -> None:
    from programs import registry

    records = {model for model in apps.get_models() if issubclass(model, Record)}
    assert records == {kind.model for kind in registry.kinds()}


def test_every_field_of_a_person_has_a_class() -> None:
    from programs.models import User

    bare = [
        field.name
        for field in User._meta.concrete_fields
        if field.model is User and not field.primary_key and not hasattr(field, "field_class")
    ]
    # From Django's own base class; neither is shown anywhere.
    assert [name for name in bare if name not in {"password", "last_login"}] == []


def test_no_cascade_reaches_a_record() -> None:
    """Nothing that is deleted takes a record, a grant's unit or a figure's source with it."""
    cascading = [
        f"{model._meta.label}.{field.name}"
        for model in apps.get_models()
        if issubclass(model, Record)
        for field in model._meta.concrete_fields
        if isinstance(field, models.ForeignKey) and field.remote_field.on_delete is not models.PROTECT
    ]
    assert cascading == []


# --- SQL, admin, signals --------------------------------------------------------------------------

# Modules that speak SQL, and what for.
SQL_ALLOWED = {
    "programs/triggers.py": "triggers are SQL",
    "programs/indexes.py": "indexes that Django cannot describe",
    "programs/actions/bulk_rows.py": "the writer of uploaded records: COPY, keys reserved for it, and one DELETE",
    "reporting/recount.py": "the writer of cells: counted within the database, see docs/decisions/0007",
    "reporting/reconciliation.py": "likewise: the same once more, in another way",
    "reporting/numbers.py": "their words",
    "reporting/statistics.py": "the marks are taken, and the lock, in one statement each",
    "programs/unit_files.py": "the writer of uploaded units: a whole country by COPY, see docs/decisions/0008",
}
SQL_METHODS = {"cursor", "raw", "extra", "execute", "executemany", "copy_expert"}


def raw_sql(path: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        name = ""
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in SQL_METHODS
        ):
            name = node.func.attr
        elif isinstance(node, ast.ImportFrom):
            name = next((alias.name for alias in node.names if alias.name in {"RawSQL", "RunSQL"}), "")
        elif isinstance(node, ast.Attribute) and node.attr in {"RawSQL", "RunSQL"}:
            name = node.attr
        if name and path not in SQL_ALLOWED:
            yield f"{path}:{getattr(node, 'lineno', 0)} {name}"


def test_only_the_named_modules_speak_sql() -> None:
    assert findings(raw_sql, migrations=True) == []


@pytest.mark.parametrize(
    "source",
    [
        "with connection.cursor() as cursor: pass",
        "Unit.objects.raw('SELECT 1')",
        "queryset.extra(where=['1=1'])",
        "from django.db.models.expressions import RawSQL",
        "operations = [migrations.RunSQL('DROP TABLE x')]",
    ],
)
def test_sql_is_found(source: str) -> None:
    assert len(bites(raw_sql, "programs/access.py", source)) == 1
    assert bites(raw_sql, "programs/triggers.py", source) == []


def admin_used(path: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        names = list(imported(node))
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.append(node.value)
        if any(name.startswith("django.contrib.admin") for name in names):
            yield f"{path}:{getattr(node, 'lineno', 0)}"


def test_there_is_no_admin() -> None:
    assert findings(admin_used) == []
    assert not apps.is_installed("django.contrib.admin")


def test_the_admin_is_found() -> None:
    assert bites(admin_used, "programs/admin.py", "from django.contrib import admin")
    assert bites(admin_used, "caring_portal/settings.py", "INSTALLED_APPS = ['django.contrib.admin']")


# Modules that connect a signal: (path, signal), reason.
SIGNALS_ALLOWED = {
    ("programs/apps.py", "post_migrate"): "setting up the schema includes its triggers",
    (
        "caring_portal/celery.py",
        "signals.setup_logging",
    ): "the one way to keep Celery from setting up logs of its own",
    ("caring_portal/logs.py", "bind_extra_request_metadata"): "the log library's one way to add to its lines",
}
# Methods called `connect` that are no signals are told apart by the name before the dot.
SIGNAL = re.compile(
    r"(pre|post)_(save|delete|init|migrate)|m2m_changed|class_prepared|request_(started|finished)|"
    r"got_request_exception|setting_changed|user_log.*|connection_created|.*signals?\b.*|"
    r"(task|worker|beat|celeryd|before_task|after_task)_\w+"
)


def signals(path: str, tree: ast.Module) -> Iterator[str]:
    """Calls of `signal.connect(…)` and `receiver(signal)`, and `@signal.connect` without a call."""
    for node in ast.walk(tree):
        signal = ""
        if isinstance(node, ast.Attribute) and node.attr == "connect":
            signal = ast.unparse(node.value)
            signal = signal if SIGNAL.search(signal) else ""
        elif isinstance(node, ast.Call) and called(node) == "receiver":
            signal = ast.unparse(node.args[0]) if node.args else "receiver"
        if signal and (path, signal) not in SIGNALS_ALLOWED:
            yield f"{path}:{getattr(node, 'lineno', 0)} {signal}"


def test_nothing_happens_behind_the_reader() -> None:
    assert findings(signals) == []


@pytest.mark.parametrize(
    "source",
    [
        "post_save.connect(count, sender=Visit)",
        "django.db.models.signals.m2m_changed.connect(count)",
        "@receiver(post_save)\ndef f(**kwargs): pass",
        "post_migrate.connect(f)",
        "@signals.worker_ready.connect\ndef f(**kwargs): pass",
    ],
)
def test_signals_are_found(source: str) -> None:
    assert len(bites(signals, "reporting/apps.py", source)) == 1


# --- templates and static files -------------------------------------------------------------------

EXTERNAL = re.compile(r"""(?i)(?:https?:)?//(?!www\.w3\.org/)[a-z0-9-]+(?:\.[a-z0-9-]+)+""")
IN_TEMPLATES = {
    "inline script": re.compile(
        r"""(?is)<script\b(?![^>]*\bsrc\s*=)(?![^>]*\btype\s*=\s*["']application/json["'])[^>]*>"""
    ),
    "inline style": re.compile(r"(?i)<style\b"),
    "style attribute": re.compile(r"(?is)<[a-z][^<>]*\sstyle\s*="),
    "on… attribute": re.compile(r"(?is)<[a-z][^<>]*\son[a-z]+\s*="),
    "hx-on attribute": re.compile(r"(?is)<[a-z][^<>]*\s(?:data-)?hx-on[a-z:-]*\s*="),
    "javascript: URL": re.compile(r"(?i)javascript\s*:"),
    "external address": EXTERNAL,
}
IN_SCRIPTS = {
    "external address": EXTERNAL,
    "text as code": re.compile(r"\beval\s*\(|\bnew\s+Function\b|\bsetTimeout\s*\(\s*[\"'`]"),
    "style attribute": re.compile(r"""setAttribute\(\s*["']style["']|\sstyle=\\?["']"""),
    "document.write": re.compile(r"document\.write"),
}
IN_STYLES = {"external address": EXTERNAL, "import": re.compile(r"@import")}
CHECKS = {".html": IN_TEMPLATES, ".svg": IN_TEMPLATES, ".js": IN_SCRIPTS, ".css": IN_STYLES}
TEMPLATE_COMMENT = re.compile(r"(?s)\{#.*?#\}|\{%\s*comment\b.*?endcomment\s*%\}")
SCRIPT_COMMENT = re.compile(r"(?s)/\*.*?\*/|^\s*//[^\n]*", re.MULTILINE)


def front_end_files() -> Iterator[Path]:
    for folder in (ROOT / "templates", ROOT / "static"):
        yield from (path for path in sorted(folder.rglob("*")) if path.suffix in CHECKS)


def unsafe_markup(suffix: str, text: str) -> list[str]:
    text = TEMPLATE_COMMENT.sub("", text) if suffix == ".html" else text
    text = SCRIPT_COMMENT.sub("", text) if suffix in {".js", ".css"} else text
    return [
        f"{name}: {match[0][:60]!r}"
        for name, sought in CHECKS[suffix].items()
        for match in sought.finditer(text)
    ]


@pytest.mark.parametrize("path", list(front_end_files()), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_pages_keep_the_content_security_policy(path: Path) -> None:
    assert unsafe_markup(path.suffix, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("suffix", "text", "what"),
    [
        (".html", "<script>alert(1)</script>", "inline script"),
        (".html", "<script defer>alert(1)</script>", "inline script"),
        (".html", "<style>p {}</style>", "inline style"),
        (".html", '<p class="x"\n style="color: red">', "style attribute"),
        (".html", '<a href="#" onclick="go()">', "on… attribute"),
        (".html", '<a hx-on:click="go()">', "hx-on attribute"),
        (".html", '<a href="javascript:go()">', "javascript: URL"),
        (".html", '<script src="https://cdn.example.org/x.js"></script>', "external address"),
        (".html", '<script src="//cdn.example.org/x.js"></script>', "external address"),
        (".svg", '<svg onload="go()">', "on… attribute"),
        (".js", 'fetch("https://example.org/")', "external address"),
        (".js", "eval(text)", "text as code"),
        (".js", 'element.setAttribute("style", "x")', "style attribute"),
        (".css", "@import url(x.css);", "import"),
        (".css", "p { background: url(//example.org/x.png) }", "external address"),
    ],
)
def test_unsafe_markup_is_found(suffix: str, text: str, what: str) -> None:
    found = unsafe_markup(suffix, text)
    assert [finding.split(":")[0] for finding in found] == [what.split(":")[0]]


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".html", "<script src=\"{% static 'js/portal.js' %}\" defer></script>"),
        (".html", '<script type="application/json" id="x">{}</script>'),
        (".html", "{# never style= or https://example.org here #}"),
        (".html", '<td data-one="1" data-style="x">a / b</td>'),
        (".svg", '<svg xmlns="http://www.w3.org/2000/svg">'),
        (".js", "bar.style.width = share + '%'; // see https://example.org"),
    ],
)
def test_safe_markup_passes(suffix: str, text: str) -> None:
    safe = text.split(" // ")[0]
    assert unsafe_markup(suffix, safe) == []


def loose_policy(policy: dict[str, object]) -> list[str]:
    """Sources that would let an attacker's text run or load."""
    loose = ("unsafe-inline", "unsafe-eval", "*", "http:", "https:")
    return [
        f"{directive} {source}"
        for directive, sources_ in policy.items()
        if isinstance(sources_, list | tuple)
        for source in sources_
        if str(source).strip("'") in loose or "://" in str(source)
    ]


def test_the_content_security_policy_is_strict() -> None:
    assert loose_policy(settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]) == []
    assert "CONTENT_SECURITY_POLICY_REPORT_ONLY" not in dir(settings)
    assert "csp.middleware.CSPMiddleware" in settings.MIDDLEWARE


def test_a_loose_policy_is_found() -> None:
    assert loose_policy({"style-src": ["'self'", "'unsafe-inline'"], "img-src": ["https://example.org"]}) == [
        "style-src 'unsafe-inline'",
        "img-src https://example.org",
    ]


def loosened(path: str, tree: ast.Module) -> Iterator[str]:
    """Views that change or leave the policy."""
    for node in ast.walk(tree):
        decorator = isinstance(node, ast.ImportFrom) and node.module == "csp.decorators"
        attribute = isinstance(node, ast.Attribute) and node.attr.startswith("_csp_")
        if decorator or attribute:
            yield f"{path}:{getattr(node, 'lineno', 0)}"


def test_no_view_leaves_the_policy() -> None:
    assert findings(loosened) == []


def test_a_loosened_view_is_found() -> None:
    assert bites(loosened, "programs/api.py", "from csp.decorators import csp_exempt")
    assert bites(loosened, "programs/api.py", "response._csp_exempt = True")


# --- no competition -------------------------------------------------------------------------------

# Units are listed in administrative order; nobody is ranked, scored or watched.
COMPETITION = re.compile(
    r"(?i)leader\s?board|\brank(?:s|ed|ing|ings)?\b|\bscore\s?board|\b(?:earn|award|bonus|total)\w*\s+points?\b|"
    r"\bpoints\b(?!=)|\bcheck-ins?\b|\bonline time\b|\btop (?:ten|\d+)\b|\bbest units?\b|"
    r"排行|排名|名次|积分|签到|打卡|在线时长|光荣榜|红黑榜|龙虎榜"
)


def competing(text: str) -> list[str]:
    return [match[0] for match in COMPETITION.finditer(text)]


def spoken(template: str) -> str:
    """The template without comments and variables; of a tag, its quoted words."""
    text = TEMPLATE_COMMENT.sub("", template)
    text = re.sub(r"(?s)\{\{.*?\}\}", "", text)
    return re.sub(r"(?s)\{%(.*?)%\}", lambda tag: " ".join(re.findall(r'"([^"]*)"', tag[1])), text)


def words_shown() -> Iterator[tuple[str, str]]:
    """Every text that can reach a page: templates, the messages of the catalogue."""
    for path in sorted((ROOT / "templates").rglob("*.html")):
        yield path.relative_to(ROOT).as_posix(), spoken(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "locale").rglob("*.po")):
        lines = path.read_text(encoding="utf-8").splitlines()
        yield path.relative_to(ROOT).as_posix(), "\n".join(line for line in lines if not line.startswith("#"))


def test_no_page_lets_units_compete() -> None:
    assert [(path, word) for path, text in words_shown() for word in competing(text)] == []


@pytest.mark.parametrize(
    "text", ["Ranking of streets", "积分榜", "Units ranked by visits", "Top 10", "每日签到"]
)
def test_competition_is_found(text: str) -> None:
    assert competing(text)
    assert competing(spoken('{% translate "Ranking" %}')) == ["Ranking"]
    assert competing("Units in administrative order; a point of contact; 指标得到改善") == []
