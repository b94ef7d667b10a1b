from base64 import b32encode

from django.db import migrations

from clusters.migrations._passphrases import keep_those_without_cluster


def name_their_clusters(apps, editor):
    repositories = apps.get_model("clusters", "Repository").objects.using(editor.connection.alias)
    for repository in repositories.select_related("cluster").iterator():
        cluster = repository.cluster
        repository.organisation_id, repository.cluster_name = cluster.organisation_id, cluster.name
        repository.prefix = "c-" + b32encode(cluster.id.bytes).decode().rstrip("=").lower()[-12:]
        repository.save(update_fields=["organisation", "cluster_name", "prefix"])


class Migration(migrations.Migration):

    dependencies = [
        ('clusters', '0003_repositories_outlive_their_cluster'),
    ]

    operations = [
        migrations.RunPython(name_their_clusters, keep_those_without_cluster),
    ]
