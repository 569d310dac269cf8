"""The one settings module. Everything that differs between installations comes from the environment.

`CARING_MODE` must be set:

- `embedded`: one machine, nothing but Python: SQLite, a broker in files, keys made on first use (in `var/`).
- `production`: PostgreSQL, Redis and HTTPS; every secret and address comes from the environment.

All missing and unsafe values are listed at once, and nothing starts with one of them.
`.env.example` names every variable.
"""

from __future__ import annotations

import base64
import logging
import os
import secrets
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from celery.schedules import crontab
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from caring_portal import logs

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
problems: list[str] = []


# --- reading the environment ----------------------------------------------------------------------


def read(kind: Callable[..., Any], name: str, default: Any) -> Any:
    """The variable's value; the default when it is empty, or unreadable, which is noted as a problem."""
    if not os.environ.get(name, "").strip():
        return default
    try:
        return kind(name, default=default)
    except (ValueError, ImproperlyConfigured):
        problems.append(f"{name} cannot be read")
        return default


def read_number(name: str, default: int, *, low: int, high: int) -> int:
    number: int = read(env.int, name, default)
    if not low <= number <= high:
        problems.append(f"{name} must lie between {low} and {high}")
    return number


def kept_secret(file: Path, length: int) -> str:
    """Random bytes made on first use and kept in a file of the owner alone; safe when many start at once."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        draft = file.with_name(f"{file.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(base64.urlsafe_b64encode(secrets.token_bytes(length)).decode(), encoding="ascii")
        try:
            os.link(draft, file)
        except FileExistsError:
            pass  # another process was first
        finally:
            draft.unlink()
    return file.read_text(encoding="ascii").strip()


def is_field_key(text: str) -> bool:
    try:
        return len(base64.urlsafe_b64decode(text)) == 32
    except ValueError:
        return False


def is_redis(url: str) -> bool:
    return urlsplit(url).scheme in {"redis", "rediss"}


# --- mode, secrets, addresses ---------------------------------------------------------------------

CARING_MODE = os.environ.get("CARING_MODE", "")
if CARING_MODE not in {"embedded", "production"}:
    raise ImproperlyConfigured(
        "CARING_MODE must be set to 'embedded' (one machine, for trial and development) or 'production'."
    )
PRODUCTION = CARING_MODE == "production"
VAR_DIR = Path(read(env.str, "VAR_DIR", str(BASE_DIR / "var"))).resolve()

DEBUG = read(env.bool, "DEBUG", False)
if PRODUCTION and DEBUG:
    problems.append("DEBUG must be off in production")

SECRET_KEY = read(env.str, "SECRET_KEY", "")
SECRET_KEY_FALLBACKS = read(env.list, "SECRET_KEY_FALLBACKS", [])
# Encrypts fields of class C4; the first key writes, all of them read. Each is 32 random bytes in base64.
FIELD_KEYS = read(env.list, "FIELD_KEYS", [])
if not PRODUCTION:
    SECRET_KEY = SECRET_KEY or kept_secret(VAR_DIR / "secret-key", 48)
    FIELD_KEYS = FIELD_KEYS or [kept_secret(VAR_DIR / "field-key", 32)]
for name, key in [
    ("SECRET_KEY", SECRET_KEY),
    *(("SECRET_KEY_FALLBACKS", old) for old in SECRET_KEY_FALLBACKS),
]:
    if len(key) < 50 or len(set(key)) < 10:
        problems.append(f"{name} must hold at least 50 random characters")
    elif key.lower().startswith("django-insecure") or "change" in key.lower():
        problems.append(f"{name} is a well-known example")
if not FIELD_KEYS or not all(is_field_key(key) for key in FIELD_KEYS):
    problems.append("FIELD_KEYS must list keys of 32 random bytes in URL-safe base64, the newest first")

ALLOWED_HOSTS = read(env.list, "ALLOWED_HOSTS", [] if PRODUCTION else ["localhost", "127.0.0.1", "[::1]"])
if not ALLOWED_HOSTS:
    problems.append("ALLOWED_HOSTS must name the host names of the portal")
if any(host.strip() in {"*", "."} for host in ALLOWED_HOSTS):
    problems.append("ALLOWED_HOSTS must not hold a wildcard for every host")
CSRF_TRUSTED_ORIGINS = read(env.list, "CSRF_TRUSTED_ORIGINS", [])
if PRODUCTION and not all(origin.startswith("https://") for origin in CSRF_TRUSTED_ORIGINS):
    problems.append("CSRF_TRUSTED_ORIGINS must begin with https://")
# How many reverse proxies stand before the portal; their X-Forwarded-* headers are believed, nobody else's.
PROXY_COUNT = read_number("PROXY_COUNT", 0, low=0, high=5)
# What posters and slips lead citizens to, as https://caring.example.gov.cn; empty: the host of the request.
PUBLIC_URL = read(env.str, "PUBLIC_URL", "")
if PUBLIC_URL and urlsplit(PUBLIC_URL).scheme not in {"http", "https"}:
    problems.append("PUBLIC_URL must begin with https://")

# --- applications ---------------------------------------------------------------------------------

INSTALLED_APPS = [
    "programs",
    "outreach",
    "reporting",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.forms",
    "axes",
    "csp",
    "django_filters",
    "django_htmx",
    "django_otp",
    "django_otp.plugins.otp_static",
    "django_otp.plugins.otp_totp",
    "django_structlog",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "programs.middleware.RequestIdMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "programs.middleware.LanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "programs.middleware.AccessMiddleware",
    "programs.middleware.IdleSessionMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "caring_portal.urls"
WSGI_APPLICATION = "caring_portal.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "programs.context.frame",
            ],
        },
    },
]
# Form widgets can be overridden in templates/ like every other template.
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

# --- language and time ----------------------------------------------------------------------------

LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", "简体中文"), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
TIME_ZONE = "Asia/Shanghai"
USE_TZ = True

# --- database -------------------------------------------------------------------------------------

DATABASE_URL = read(env.str, "DATABASE_URL", "" if PRODUCTION else f"sqlite:///{VAR_DIR / 'db.sqlite3'}")
# Milliseconds that one statement of this process may take; 0: no limit (worker, migrations).
STATEMENT_TIMEOUT_MS = read_number("STATEMENT_TIMEOUT_MS", 0, low=0, high=600_000)


def database(url: str) -> dict[str, Any]:
    config: dict[str, Any] = dict(env.db_url_config(url))
    options = config.setdefault("OPTIONS", {})
    if config["ENGINE"] == "django.db.backends.sqlite3":
        VAR_DIR.mkdir(parents=True, exist_ok=True)
        options |= {
            # A writer takes its lock at BEGIN and waits there, instead of failing in the middle.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            # Django switches foreign keys on by itself.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        }
    else:
        config |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
        options.setdefault("connect_timeout", 5)
        if STATEMENT_TIMEOUT_MS:
            options["options"] = f"-c statement_timeout={STATEMENT_TIMEOUT_MS}"
    return config


if not DATABASE_URL or (PRODUCTION and urlsplit(DATABASE_URL).scheme not in {"postgres", "postgresql"}):
    problems.append("DATABASE_URL must name a PostgreSQL database (postgres://…)")
    DATABASES = {}
else:
    DATABASES = {"default": database(DATABASE_URL)}

# --- cache and background work --------------------------------------------------------------------

CACHE_URL = read(env.str, "CACHE_URL", "")
BROKER_URL = read(env.str, "BROKER_URL", "" if PRODUCTION else "filesystem://localhost")
if PRODUCTION:
    problems += [
        f"{name} must name a Redis database (redis://…)"
        for name, url in (("BROKER_URL", BROKER_URL), ("CACHE_URL", CACHE_URL))
        if not is_redis(url)
    ]
if is_redis(BROKER_URL) and BROKER_URL == CACHE_URL:
    problems.append("BROKER_URL and CACHE_URL must differ: clearing the cache must not empty the queue")

if CACHE_URL:
    CACHES: dict[str, Any] = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": CACHE_URL,
            "KEY_PREFIX": "caring",
            "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1},
        }
    }
else:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# The queue is a doorbell only; what there is to do stands in the database (see docs/architecture.md).
CELERY_BROKER_URL = BROKER_URL
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {}
CELERY_TASK_SOFT_TIME_LIMIT = 540
CELERY_TASK_TIME_LIMIT = 600
if is_redis(BROKER_URL):
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        # Above the hard limit, so that a task which still runs is never handed out a second time.
        "visibility_timeout": 900,
        # A dead broker costs a web request two seconds at most and never the saved record: the sweeper rings
        # again. (A worker goes on trying; its own settings decide that.)
        "socket_connect_timeout": 1,
        "socket_timeout": 2,
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0.1,
        "interval_max": 0.1,
    }
elif BROKER_URL.startswith("filesystem:"):
    _queue_dir = VAR_DIR / "broker"
    for _folder in ("queue", "control"):
        (_queue_dir / _folder).mkdir(parents=True, exist_ok=True)
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_queue_dir / "queue"),
        "data_folder_out": str(_queue_dir / "queue"),
        "control_folder": str(_queue_dir / "control"),
        "polling_interval": 0.1,
    }
    CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_BROKER_CONNECTION_TIMEOUT = 1
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = "caring"
CELERY_TIMEZONE = TIME_ZONE
# After so long without a sign the worker at a spreadsheet is taken for dead, and another one may go on.
UPLOAD_LEASE_SECONDS = 30.0
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "beat-schedule")
# An unanswered ring expires before the next one, so that a stopped worker comes back to a short queue.
CELERY_BEAT_SCHEDULE = {
    "refresh": {"task": "reporting.refresh", "schedule": 30.0, "options": {"expires": 30}},
    "sweep": {"task": "reporting.sweep", "schedule": 60.0, "options": {"expires": 60}},
    "reconcile": {"task": "reporting.reconcile", "schedule": crontab(hour=2, minute=30)},
    "sweep_uploads": {"task": "reporting.sweep_uploads", "schedule": 60.0, "options": {"expires": 60}},
    "sweep_mood": {"task": "outreach.sweep_mood", "schedule": 45.0, "options": {"expires": 45}},
    # Twice: the second finishes what a crash or a mail server that was down left of the first.
    "make_digests": {"task": "outreach.make_digests", "schedule": crontab(hour=8, minute="0,30")},
    "forget_uploads": {"task": "reporting.forget_uploads", "schedule": crontab(hour=3, minute=20)},
}

# --- e-mail ---------------------------------------------------------------------------------------

# Without a host the portal sends none.
EMAIL_HOST = read(env.str, "EMAIL_HOST", "")
EMAIL_PORT = read_number("EMAIL_PORT", 25, low=1, high=65_535)
EMAIL_HOST_USER = read(env.str, "EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = read(env.str, "EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = read(env.bool, "EMAIL_USE_TLS", False)
EMAIL_USE_SSL = read(env.bool, "EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = read(env.str, "EMAIL_FROM", "")
if EMAIL_USE_TLS and EMAIL_USE_SSL:
    problems.append("EMAIL_USE_TLS and EMAIL_USE_SSL exclude each other")
if EMAIL_HOST and not (DEFAULT_FROM_EMAIL and PUBLIC_URL):
    problems.append("EMAIL_HOST needs EMAIL_FROM, and PUBLIC_URL for the links in messages")

# --- sign-in and sessions -------------------------------------------------------------------------

AUTH_USER_MODEL = "programs.User"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "programs.backends.PortalBackend"]
LOGIN_URL = "sign_in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "sign_in"

PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("username", "name", "phone", "email")},
    },
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# An account that is being guessed at is locked, from whatever address the guesses come.
AXES_LOCKOUT_PARAMETERS = ["username"]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_ON_SUCCESS = True
# Otherwise somebody who goes on trying could keep a colleague out for ever.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_ENABLE_ADMIN = False
# What axes keeps of a failed attempt names these without their values.
AXES_SENSITIVE_PARAMETERS = ["new_password1", "new_password2", "code", "csrfmiddlewaretoken", "next"]
AXES_DISABLE_ACCESS_LOG = True  # the audit trail holds the sign-ins
AXES_CLIENT_IP_CALLABLE = "programs.middleware.client_ip"

OTP_TOTP_ISSUER = "Caring Portal"
# Codes of the roles that must sign in with a second factor: administrators, and who reads classes C3 or C4.
TWO_FACTOR_REQUIRED_ROLES = read(
    env.list,
    "TWO_FACTOR_REQUIRED_ROLES",
    [
        "administrator",
        "counsellor",
        "counselling_supervisor",
        "office",
        "street_officer",
        "unit_officer",
        "community_officer",
    ]
    if PRODUCTION
    else [],
)

# A session ends after so long without a request.
SESSION_COOKIE_AGE = 60 * read_number("SESSION_IDLE_MINUTES", 30, low=1, high=720)
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"

# --- transport and browser security ---------------------------------------------------------------

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if PRODUCTION:
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^health/$"]  # asked for by the container's own health check
    SECURE_HSTS_SECONDS = read_number("HSTS_SECONDS", 31_536_000, low=1, high=63_072_000)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = read(env.bool, "HSTS_INCLUDE_SUBDOMAINS", True)
if PROXY_COUNT:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SILENCED_SYSTEM_CHECKS = [
    # HSTS preloading would bind the whole domain, a government's, which is not the portal's to decide.
    "security.W021",
    # It asks to lock addresses too; a whole office shares one, and locking accounts leaves no way around.
    "axes.W006",
]

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "object-src": [NONE],
        "frame-ancestors": [NONE],
    },
}

# --- files ----------------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static", *(path for path in [BASE_DIR / "build" / "static"] if path.is_dir())]
# The embedded installation collects nothing and serves the files from where they lie.
STATIC_ROOT = Path(read(env.str, "STATIC_ROOT", str(VAR_DIR / "static"))) if PRODUCTION else None
WHITENOISE_USE_FINDERS = not PRODUCTION
# Only what carries a content hash in its name may be kept for ever.
WHITENOISE_MAX_AGE = 3600 if PRODUCTION else 0

# Uploaded files have no URL: a view checks who may have them.
MEDIA_ROOT = VAR_DIR / "media"
FILE_UPLOAD_PERMISSIONS = 0o640
FILE_UPLOAD_HANDLERS = [
    "programs.attachments.LimitedUploads",  # refuses an oversized request before reading it
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o750
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000
FILE_UPLOAD_HANDLERS = [
    "programs.attachments.LimitedUploads",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage",
    },
}

# --- API ------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["programs.api.access.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["programs.api.access.DeclaredPermission"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["programs.api.bodies.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "programs.api.schema.PortalSchema",
    # OPTIONS would describe fields; the schema does, to those who are signed in.
    "DEFAULT_METADATA_CLASS": None,
    "URL_FORMAT_OVERRIDE": None,
    "EXCEPTION_HANDLER": "programs.api.errors.exception_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Caring Portal",
    "DESCRIPTION": "Records, units and declared kinds, under the same rules as the pages.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "DISABLE_DOCSTRING_DESCRIPTIONS": True,
    "POSTPROCESSING_HOOKS": ["programs.api.schema.add_components"],
}

# --- logs -----------------------------------------------------------------------------------------

LOG_LEVEL = read(env.str, "LOG_LEVEL", "INFO").upper()
if LOG_LEVEL not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
    problems.append("LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR")
    LOG_LEVEL = "INFO"
LOGGING = logs.configure(LOG_LEVEL, as_json=PRODUCTION)
DJANGO_STRUCTLOG_CELERY_ENABLED = True
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = logging.DEBUG  # one line a request is enough
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False  # the audit trail holds addresses, logs do not

if problems:
    raise ImproperlyConfigured(
        f"CARING_MODE={CARING_MODE}: the portal does not start with these settings:\n"
        + "\n".join(f"  - {problem}" for problem in problems)
    )
