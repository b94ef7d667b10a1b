"""Adding a field gives all rows that are there one default: here each repository and each node gets a secret of its own."""

from django.db import migrations

from clusters.models import new_passphrase, new_token


def forwards(apps, editor):
    for name, make in (("Repository", new_passphrase), ("Node", new_token)):
        for row in apps.get_model("clusters", name).objects.all():
            row.secrets = make()
            row.save(update_fields=["secrets"])


class Migration(migrations.Migration):
    dependencies = [("clusters", "0003_handover")]
    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
