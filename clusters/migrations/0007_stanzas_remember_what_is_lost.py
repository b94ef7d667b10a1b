from datetime import UTC, datetime

from django.db import migrations, models


LATEST = 4_102_444_800  # the year 2100


def begin_with_what_was_seen(apps, schema_editor):
    """Take over what the last look found: what is gone at the next one was there."""
    inventories = apps.get_model("clusters", "Inventory")
    known_stanzas = apps.get_model("clusters", "KnownStanza")
    for inventory in inventories.objects.exclude(read_at=None).iterator():
        for one in inventory.content:
            backups = [backup for backup in one["backups"] if _is_sound(backup)]
            if backups and max(len(one["node"]), len(one["stanza"])) <= 100:
                at = inventory.read_at.isoformat()
                known_stanzas.objects.update_or_create(
                    repository_id=inventory.repository_id,
                    node=one["node"],
                    name=one["stanza"],
                    defaults={
                        "backups": {backup["label"]: {**backup, "seen_at": at} for backup in backups},
                        "seen_at": inventory.read_at,
                        "backup_at": datetime.fromtimestamp(max(backup["stopped"] for backup in backups), UTC),
                    },
                )


def _is_sound(backup):
    """Return whether types and times are what they should be: earlier releases kept whatever a repository said."""
    numbers = [backup[name] for name in ("started", "stopped", "size", "stored")]
    sound = all(type(number) is int and 0 <= number < 2**63 for number in numbers)
    return sound and backup["stopped"] < LATEST and backup["kind"] in ("full", "diff", "incr")


class Migration(migrations.Migration):
    dependencies = [
        ("clusters", "0006_nodes_know_their_machine"),
    ]

    operations = [
        migrations.AddField(
            model_name="knownstanza",
            name="lost_since",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="knownstanza",
            name="retentions",
            field=models.JSONField(default=list),
        ),
        migrations.AddField(
            model_name="knownstanza",
            name="backup_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.RunPython(begin_with_what_was_seen, migrations.RunPython.noop),
    ]
