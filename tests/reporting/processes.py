"""Other processes that work on the database of a test."""

from __future__ import annotations

from django.db import connection


def environment_here() -> dict[str, str]:
    """The environment variables of such a process."""
    db = connection.settings_dict
    login = f"{db['USER']}:{db['PASSWORD']}" if db["PASSWORD"] else db["USER"]
    url = f"postgres://{login}@{db['HOST']}:{db['PORT'] or 5432}/{db['NAME']}"
    return {"DJANGO_SETTINGS_MODULE": "tests.settings", "TEST_DATABASE_URL": url, "DATABASE_URL": url}
