from django.db import migrations, models
from django.utils import timezone

from clusters.migrations._passphrases import nothing


def name_their_stores(apps, editor):
    repositories = apps.get_model("clusters", "Repository").objects.using(editor.connection.alias)
    for repository in repositories.exclude(store=None).select_related("store").iterator():
        store = repository.store
        repository.store_name, repository.bucket, repository.region = store.name, store.bucket, store.region
        repository.save(update_fields=["store_name", "bucket", "region"])
    # Nobody wrote down when; from now on is late enough, since an empty folder is looked at again.
    repositories.filter(attachment=None, detached_at=None).update(detached_at=timezone.now())


class Migration(migrations.Migration):

    dependencies = [
        ('clusters', '0007_stanzas_remember_what_is_lost'),
    ]

    operations = [
        migrations.AddField(
            model_name='repository',
            name='store_name',
            field=models.CharField(blank=True, default='', max_length=60),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='repository',
            name='bucket',
            field=models.CharField(blank=True, default='', max_length=63),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='repository',
            name='region',
            field=models.CharField(blank=True, default='', max_length=40),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='repository',
            name='empty_at',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='cluster',
            name='numbers_given',
            field=models.PositiveSmallIntegerField(editable=False, null=True),
        ),
        migrations.RunPython(name_their_stores, nothing),
    ]
