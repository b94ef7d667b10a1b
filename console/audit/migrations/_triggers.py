"""Audit events are neither changed nor deleted: triggers, for PostgreSQL and for SQLite."""

REFUSAL = "audit events are neither changed nor deleted"
POSTGRESQL = [
    f"""
    CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'integrity_constraint_violation'; END $$
    """,
    # For each statement: one that meets no row is refused as well.
    """
    CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_auditevent
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()
    """,
]
POSTGRESQL_BACK = [
    "DROP TRIGGER audit_is_append_only ON audit_auditevent",
    "DROP FUNCTION audit_is_append_only()",
]
SQLITE = [
    f"""
    CREATE TRIGGER audit_is_not_{done} BEFORE {verb} ON audit_auditevent
    BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END
    """
    for verb, done in (("UPDATE", "changed"), ("DELETE", "deleted"))
]
SQLITE_BACK = ["DROP TRIGGER audit_is_not_changed", "DROP TRIGGER audit_is_not_deleted"]


def forwards(apps, editor):
    for statement in POSTGRESQL if editor.connection.vendor == "postgresql" else SQLITE:
        editor.execute(statement)


def backwards(apps, editor):
    for statement in POSTGRESQL_BACK if editor.connection.vendor == "postgresql" else SQLITE_BACK:
        editor.execute(statement)
