"""What was judged, for tests: a cluster with nodes, databases and stores, and a row of Health for each pair."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from clusters.health.verdicts import Verdict
from clusters.models import Attachment, BackupPolicy, Cluster, Database, Health, Node, Repository


def cluster(account, name="orders", *, stores=(), nodes=("n1",), databases=("main",), region="eu-west-1", **values):
    """Make a cluster as the database knows it, attached to these stores; nothing is judged of it."""
    values = {"nodes_made": len(nodes), **values}
    made = Cluster.objects.create(
        organisation=account.organisation, cloud_account=account, name=name, state="available", **values
    )
    BackupPolicy.objects.create(cluster=made)
    Node.objects.bulk_create([Node(cluster=made, name=one, region=region) for one in nodes])
    for at, database in enumerate(databases):
        Database.objects.create(
            cluster=made, name=database, version="15", data_directory=f"/var/lib/{database}", port=5432 + at
        )
    for number, store in enumerate(stores, 1):
        repository = Repository.objects.create(cluster=made, store=store, number=number)
        Attachment.objects.create(cluster=made, store=store, repository=repository, state="attached")
    return made


def judge(cluster, verdict=Verdict.RECOVERABLE, *, node="n1", database="main", number=1, age=60, words="", **values):
    """Have a database judged in the store of that number, with its newest moment so many seconds ago (None: none)."""
    now = timezone.now()
    problem = {"code": "made_up", "verdict": verdict.value, "words": words, "advice": "Do something about it."}
    given = {
        "organisation": cluster.organisation,
        "cluster": cluster,
        "repository": cluster.repositories.get(number=number),
        "node": node,
        "database": database,
        "verdict": verdict,
        "problems": [problem] if words else [],
        "newest": None if age is None else now - timedelta(seconds=age),
        "since": now - timedelta(hours=1),
        **values,
    }
    return Health.objects.create(**given)
