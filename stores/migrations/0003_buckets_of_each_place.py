"""The names of buckets are unique where the cloud has them unique, and no longer over the whole console.

The release before goes on working: it writes null, which hinders nobody, and what is left over is filled each time the
accounts are looked through (stores.unmanaged.scans). Two stores of one name are refused to it no longer, which only a
member who types the name of an existing bucket could make. There is no way back once two servers have one name.
"""

from django.db import migrations, models
from django.db.migrations.exceptions import IrreversibleError
from django.db.models import Count

from console.cloud_accounts.models import namespace
from console.web.schema import without_triggers

TRIGGERS_OFF, TRIGGERS_ON = without_triggers("stores_store")
CONSTRAINTS = (
    models.UniqueConstraint(fields=("namespace", "bucket"), name="a_bucket_is_of_one_store"),
    models.UniqueConstraint(fields=("namespace", "log_bucket"), name="a_log_bucket_is_of_one_store"),
)
SURVIVES = {
    migrations.AddConstraint("store", one).describe(): "it writes null, and of nulls no two are the same"
    for one in CONSTRAINTS
}


def fill(apps, editor):
    """Say of each store where the names of its buckets are unique."""
    store = apps.get_model("stores", "Store")
    for account in apps.get_model("cloud_accounts", "CloudAccount").objects.order_by("pk"):
        space = namespace(account.provider_key, account.partition, account.number)
        store.objects.filter(cloud_account=account).update(namespace=space)


def refuse_two_of_a_name(apps, editor):
    """Raise IrreversibleError where the table would not take its rows any more."""
    store = apps.get_model("stores", "Store")
    for column in ("bucket", "log_bucket"):
        twice = store.objects.values(column).annotate(number=Count("pk")).filter(number__gt=1).order_by(column)
        if found := list(twice.values_list(column, "number")):
            number, names = sum(each for _, each in found), ", ".join(name for name, _ in found[:10])
            raise IrreversibleError(f"{number} stores have a bucket that is named as another's: {names}")


class Migration(migrations.Migration):
    dependencies = [
        ("cloud_accounts", "0004_what_looking_costs"),
        ("stores", "0002_existing_buckets"),
    ]

    operations = [
        TRIGGERS_OFF,
        migrations.AddField(
            model_name="store",
            name="namespace",
            field=models.CharField(editable=False, max_length=100, null=True),
        ),
        migrations.AlterField(model_name="store", name="bucket", field=models.CharField(max_length=63)),
        migrations.AlterField(model_name="store", name="log_bucket", field=models.CharField(max_length=63)),
        migrations.RunPython(fill, refuse_two_of_a_name),
        *(migrations.AddConstraint("store", one) for one in CONSTRAINTS),
        TRIGGERS_ON,
    ]
