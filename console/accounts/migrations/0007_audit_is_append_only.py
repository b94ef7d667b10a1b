from django.conf import settings
from django.db import migrations, models
import django.db.models.deletion

REFUSAL = "audit events are neither changed nor deleted"
POSTGRESQL = [
    f"""
    CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'integrity_constraint_violation'; END $$
    """,
    # For each statement: one that meets no row is refused as well.
    """
    CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON accounts_auditevent
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()
    """,
]
POSTGRESQL_BACK = [
    "DROP TRIGGER audit_is_append_only ON accounts_auditevent",
    "DROP FUNCTION audit_is_append_only()",
]
SQLITE = [
    f"""
    CREATE TRIGGER audit_is_not_{done} BEFORE {verb} ON accounts_auditevent
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


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_members")]
    operations = [
        migrations.AlterField(
            model_name="auditevent",
            name="organisation",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="accounts.organisation",
            ),
        ),
        migrations.AlterField(
            model_name="auditevent",
            name="actor",
            field=models.ForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="auditevent",
            name="subject_kind",
            field=models.CharField(blank=True, max_length=50, verbose_name="kind"),
        ),
        migrations.AddField(
            model_name="auditevent",
            name="subject_id",
            field=models.CharField(blank=True, max_length=64, verbose_name="ID"),
        ),
        migrations.AlterField(
            model_name="auditevent",
            name="outcome",
            field=models.CharField(
                choices=[("begun", "Begun"), ("done", "Done"), ("refused", "Refused"), ("failed", "Failed")],
                default="done",
                max_length=10,
            ),
        ),
        *(
            migrations.AddIndex(
                model_name="auditevent",
                index=models.Index(fields=["organisation", field, "-created_at", "-id"], name=name),
            )
            for field, name in (
                ("actor_name", "audit_of_a_person"),
                ("action", "audit_of_an_action"),
                ("outcome", "audit_of_an_outcome"),
                ("subject_id", "audit_of_a_subject"),
            )
        ),
        migrations.RunPython(forwards, backwards),
    ]
