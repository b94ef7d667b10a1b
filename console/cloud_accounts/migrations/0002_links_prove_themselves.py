"""Links without a secret, where the cloud asks for none, get an external ID, with which they have to prove themselves."""

from uuid import uuid4

from django.db import migrations


def give_external_ids(apps, schema_editor):
    """Give each such link its own ID; until that is found in the account, nothing is done with the link."""
    accounts = apps.get_model("cloud_accounts", "CloudAccount").objects.filter(provider_key__in=("azure", "google"))
    for account in accounts.only("settings"):
        if account.settings.get("method") == "federation" and not account.settings.get("external_id"):
            account.settings = {**account.settings, "external_id": str(uuid4())}
            account.save(update_fields=["settings"])


class Migration(migrations.Migration):
    dependencies = [("cloud_accounts", "0001_initial")]

    operations = [migrations.RunPython(give_external_ids, migrations.RunPython.noop)]
