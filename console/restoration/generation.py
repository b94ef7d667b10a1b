"""Whether the database is behind what the broker remembers of it: then an older copy was restored.

A number grows in the database while the console works, and the broker is told afterwards, so the broker never has the
larger one unless the database has lost what it had committed.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from redis import RedisError

from console.restoration import actions
from console.restoration.models import Generation
from console.web.broker import client

log = logging.getLogger(__name__)

LATELY = timedelta(minutes=5)  # marks are made each minute: without one for so long, nothing was at work


def look(*, begins: bool = False) -> bool:
    """Compare both, and begin to compare the clouds when the database is behind; else go on counting.

    Returns whether the database was behind. `begins` says that this process has just started. Without the broker
    nothing is found out: the next look is in a minute.
    """
    mine = Generation.objects.first() or Generation.objects.create()
    key = f"storekeeper:generation:{mine.pk}"
    try:
        with client() as broker:
            known = _number(broker.get(key))
            behind = known > mine.generation and _catch_up(known)
            if begins and not known and mine.marked_at and timezone.now() - mine.marked_at > LATELY:
                log.warning(
                    "The broker remembers nothing of this console, which last worked at %s. If its database was "
                    "restored from an older copy, stop the workers and run: manage.py reconcile --begin",
                    f"{mine.marked_at:%Y-%m-%d %H:%M} UTC",
                )
            Generation.objects.update(generation=F("generation") + 1, marked_at=Now())
            broker.set(key, Generation.objects.values_list("generation", flat=True).get())
    except (RedisError, ValueError) as error:  # the second: an address that the client does not take
        log.warning("The broker was not asked whether this database is a copy: %s", error)
        return False
    return bool(behind)


def _number(said: object) -> int:
    """Return what the broker remembers; 0 for nothing, and for what is no number."""
    text = said.decode(errors="replace") if isinstance(said, bytes) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0


def _catch_up(known: int) -> bool:
    """Begin to compare, once, whoever else has found the same; return whether it was this process that did."""
    with transaction.atomic():
        mine = Generation.objects.select_for_update().get()
        if known <= mine.generation:
            return False
        missing = known - mine.generation
        actions.begin(f"The broker remembers about {missing:,} minutes of work that the database has not")
        Generation.objects.update(generation=known)
    log.error("The database is behind what the broker remembers: it was restored from a copy. Deletions are held back.")
    return True
