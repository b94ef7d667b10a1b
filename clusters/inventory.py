"""What the repositories hold, read now and then and kept: a page shows the last known, and how old it is."""

from __future__ import annotations

import logging
from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from clusters import repository
from clusters.models import Attachment, Inventory, Repository
from console.operations.plan import StepError

log = logging.getLogger(__name__)

EVERY = timedelta(minutes=10)
SWEEP_AT_MOST = 200  # repositories in one sweep; the next one follows in seconds


def due() -> list[int]:
    """Return the keys of the repositories in use that nobody has looked into for a while, the longest first."""
    used = Attachment.objects.exclude(state=Attachment.State.ATTACHING).values("repository")
    Inventory.objects.bulk_create(
        [Inventory(repository_id=one["repository"]) for one in used.filter(repository__inventory=None)],
        ignore_conflicts=True,
    )
    waiting = Inventory.objects.filter(due_at__lte=timezone.now(), repository__in=used).order_by("due_at")
    return list(waiting.values_list("repository_id", flat=True)[:SWEEP_AT_MOST])


def ask(cluster_id: UUID) -> list[int]:
    """Note that somebody wants to see the cluster's repositories anew; return the keys of those to look into."""
    now = timezone.now()
    wanted = Attachment.objects.filter(cluster=cluster_id).exclude(state=Attachment.State.ATTACHING)
    for attachment in wanted:
        Inventory.objects.update_or_create(
            repository_id=attachment.repository_id, defaults={"wanted_at": now, "due_at": now}
        )
    return [attachment.repository_id for attachment in wanted]


def look(pk: int) -> None:
    """Look into the repository, if that is due, and keep what it holds; or else why it could not be read."""
    now = timezone.now()
    # Whoever moves the date has the work: a message that comes twice changes nothing.
    if not Inventory.objects.filter(repository=pk, due_at__lte=now).update(due_at=now + EVERY):
        return
    found = Repository.objects.select_related("cluster__cloud_account", "store__cloud_account").filter(pk=pk).first()
    if found is None or found.store is None:
        return
    kept = Inventory.objects.filter(repository=pk)
    try:
        holdings = repository.look(
            found.store.provider.objects(found.store.spec()),
            found.cluster.prefix,
            found.secrets.get("cipher_pass", ""),
        )
    except StepError as error:
        kept.update(error=error.message, details=error.details, tried_at=timezone.now())
    except Exception as error:
        log.exception("repository %s: unexpected error", pk)
        name = type(error).__name__
        said = f"Unexpected error ({name}); the console's log has the details."
        kept.update(error=said, details={}, tried_at=timezone.now())
    else:
        now = timezone.now()
        kept.update(content=repository.as_json(holdings), error="", details={}, read_at=now, tried_at=now)
