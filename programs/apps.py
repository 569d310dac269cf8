from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class ProgramsConfig(AppConfig):
    name = "programs"
    verbose_name = _("Programme")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from programs import checks, indexes  # noqa: F401  (register the system checks, and a lookup)

        autodiscover_modules("kinds")
        post_migrate.connect(install_derived, sender=self)


def install_derived(using: str, **kwargs: Any) -> None:
    """Part of setting up the schema, derived from the kinds: see programs.triggers and programs.indexes."""
    from programs import indexes, triggers

    triggers.install(using)
    indexes.install(using)
