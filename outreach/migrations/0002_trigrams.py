"""Trigrams for similar opinions, where PostgreSQL has them and the portal's role may switch them on.

Without them similar opinions are found all the same (outreach.similar), so that a refusal changes nothing.
"""

from django.contrib.postgres.operations import TrigramExtension
from django.db import DatabaseError, migrations, transaction


class TrigramsWhereAllowed(TrigramExtension):
    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        try:
            with transaction.atomic(using=schema_editor.connection.alias):
                super().database_forwards(app_label, schema_editor, from_state, to_state)
        except DatabaseError:
            pass

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        """Others may use it meanwhile; it stays."""


class Migration(migrations.Migration):

    dependencies = [
        ("outreach", "0001_listening_visits"),
    ]

    operations = [
        TrigramsWhereAllowed(),
    ]
