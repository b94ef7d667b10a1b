from django.db import migrations, models


def begin_with_what_was_seen(apps, schema_editor):
    """Take over what the last look found: what is gone at the next one was there."""
    inventories = apps.get_model("clusters", "Inventory")
    known_stanzas = apps.get_model("clusters", "KnownStanza")
    for inventory in inventories.objects.exclude(read_at=None).iterator():
        for one in inventory.content:
            if one["backups"]:
                at = inventory.read_at.isoformat()
                known_stanzas.objects.update_or_create(
                    repository_id=inventory.repository_id,
                    node=one["node"],
                    name=one["stanza"],
                    defaults={
                        "backups": {backup["label"]: {**backup, "seen_at": at} for backup in one["backups"]},
                        "seen_at": inventory.read_at,
                    },
                )


class Migration(migrations.Migration):
    dependencies = [
        ("clusters", "0005_repositories_belong_to_an_organisation"),
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
        migrations.RunPython(begin_with_what_was_seen, migrations.RunPython.noop),
    ]
