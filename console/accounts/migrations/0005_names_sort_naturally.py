"""On PostgreSQL, the collation that sorts names as people count: store-2 before store-10 (console/web/natural.py)."""

from django.db import migrations

NAME = "natural_order"


def make(apps, schema_editor):
    """Make it of ICU's, by its option kn (numeric); a PostgreSQL that was built without ICU sorts as it did."""
    if schema_editor.connection.vendor != "postgresql":
        return
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_collation WHERE collprovider = 'i')")
        has_icu = cursor.fetchone()[0]
    kind = "(provider = icu, locale = 'und-u-kn-true')" if has_icu else 'FROM pg_catalog."C"'
    schema_editor.execute(f"CREATE COLLATION IF NOT EXISTS {NAME} {kind}")


def drop(apps, schema_editor):
    """Take it away again: nothing is kept in its order."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP COLLATION IF EXISTS {NAME}")


class Migration(migrations.Migration):

    dependencies = [("accounts", "0004_auditors")]

    operations = [migrations.RunPython(make, drop)]
