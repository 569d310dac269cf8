"""Settings of the test run: the portal's own, quicker passwords, and the sample application.

`TEST_DATABASE_URL` and `TEST_REDIS_URL` switch from SQLite and memory to real services. Everything a run
writes lies in a folder of its own (`VAR_DIR`), so that two runs do not meet; on one PostgreSQL each
needs a database or `TEST_DATABASE_NAME` of its own too.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

if "VAR_DIR" not in os.environ:
    if "pytest" in sys.modules:
        # The processes of pytest-xdist inherit it, and only the one that made it removes it.
        os.environ["VAR_DIR"] = tempfile.mkdtemp(prefix="caring-portal-tests-")
        atexit.register(shutil.rmtree, os.environ["VAR_DIR"], ignore_errors=True)
    else:  # mypy and system checks only read these settings
        os.environ["VAR_DIR"] = str(Path(tempfile.gettempdir()) / f"caring-portal-checks-{os.getuid()}")

TEST_REDIS_URL = os.environ.get("TEST_REDIS_URL", "")
os.environ.setdefault("CARING_MODE", "embedded")
os.environ.setdefault("SECRET_KEY", "a-key-for-tests-only-0123456789-abcdefghijklmnopqrstuvwxyz")
os.environ.setdefault("FIELD_KEYS", "dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHk=")
os.environ.setdefault("BROKER_URL", TEST_REDIS_URL or "memory://")
os.environ.setdefault("LOG_LEVEL", "ERROR")
if os.environ.get("TEST_DATABASE_URL"):
    os.environ["DATABASE_URL"] = os.environ["TEST_DATABASE_URL"]

from caring_portal.settings import *

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")

if (BASE_DIR / "tests" / "casework").is_dir():
    INSTALLED_APPS = [*INSTALLED_APPS, "tests.casework"]

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A file, as in an installation: in memory all threads share one connection and nothing ever waits.
    DATABASES["default"]["TEST"] = {"NAME": str(VAR_DIR / "test.sqlite3")}
    DATABASES["default"]["OPTIONS"]["init_command"] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
else:
    DATABASES["default"]["TEST"] = {
        "NAME": os.environ.get("TEST_DATABASE_NAME"),  # else test_ and the name of the database
        "TEMPLATE": "template0",
        "CHARSET": "UTF8",
    }

if TEST_REDIS_URL:
    # Other runs and other programs may use the same server: the keys of this process are its own.
    CELERY_BROKER_TRANSPORT_OPTIONS["global_keyprefix"] = f"{VAR_DIR.name}:{WORKER}:"
    CACHES = {
        "default": {
            "BACKEND": "tests.cache.OwnKeysCache",
            "LOCATION": TEST_REDIS_URL,
            "KEY_PREFIX": f"{VAR_DIR.name}:{WORKER}:cache",
        }
    }

# Tests that kill workers do not wait for the usual lease to run out.
UPLOAD_LEASE_SECONDS = float(os.environ.get("TEST_LEASE_SECONDS", UPLOAD_LEASE_SECONDS))

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
