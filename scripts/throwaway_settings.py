#!/usr/bin/env python3
"""Good values for every variable that production needs, made up anew each time and reaching nothing.

For what must see production settings but needs no service: `check --deploy` and `collectstatic`.

    env $(python scripts/throwaway_settings.py) python manage.py collectstatic
"""

from __future__ import annotations

import base64
import secrets


def throwaway_settings() -> dict[str, str]:
    return {
        "CARING_MODE": "production",
        "SECRET_KEY": secrets.token_urlsafe(60),
        "FIELD_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "ALLOWED_HOSTS": "portal.invalid",
        "DATABASE_URL": "postgres://nobody@db.invalid/none",
        "BROKER_URL": "redis://redis.invalid/0",
        "CACHE_URL": "redis://redis.invalid/1",
    }


if __name__ == "__main__":
    for name, value in throwaway_settings().items():
        print(f"{name}={value}")
