"""The first account of a district: its system administrator, who makes all others on the people pages."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from programs.actions.people import create_user
from programs.models.unit import Unit
from programs.roles import Administrator


class Command(BaseCommand):
    help = "Create a system administrator for a district and print the first password."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", required=True, help="the person's name")
        parser.add_argument("--unit", required=True, help="code of the district")

    def handle(self, *args: Any, username: str, name: str, unit: str, **options: Any) -> None:
        district = Unit.objects.filter(code=unit).first()
        if district is None:
            raise CommandError(f"There is no unit with the code {unit}; load the units first.")
        try:
            _user, password = create_user(
                by=None, username=username, name=name, role=Administrator.code, unit=district
            )
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from None
        self.stdout.write(f"{username} may sign in with {password} and must then choose a new password.")
