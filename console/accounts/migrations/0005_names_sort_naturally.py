"""On PostgreSQL, the collation that sorts names as people count: store-2 before store-10 (console/web/natural.py)."""

from django.db import DatabaseError, migrations, transaction

NAME = "natural_order"


def make(apps, schema_editor):
    """Make it of ICU's, by its option kn (numeric); where PostgreSQL has none, names are sorted by their bytes.

    That is one that was built without ICU, or a database whose encoding ICU does not know, such as SQL_ASCII.
    """
    if schema_editor.connection.vendor != "postgresql":
        return
    try:
        with transaction.atomic(using=schema_editor.connection.alias):
            schema_editor.execute(
                f"CREATE COLLATION IF NOT EXISTS {NAME} (provider = icu, locale = 'und-u-kn-true')"
            )
    except DatabaseError:
        schema_editor.execute(f'CREATE COLLATION IF NOT EXISTS {NAME} FROM pg_catalog."C"')


def drop(apps, schema_editor):
    """Take it away again: nothing is kept in its order."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP COLLATION IF EXISTS {NAME}")


class Migration(migrations.Migration):

    dependencies = [("accounts", "0004_auditors")]

    operations = [migrations.RunPython(make, drop)]
