"""What other pages say of alerts."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Q
from django.urls import reverse

from console.accounts.models import Membership
from console.alerts.models import Channel


@dataclass(frozen=True)
class Notice:
    """Something that a member should do about how alerts are told."""

    words: str
    url: str


def missing_channel(membership: Membership) -> Notice | None:
    """Return that nobody would be told of an alert, or that a channel was turned off for failing: one query."""
    channels = Channel.objects.visible_to(membership)
    active = Q(disabled_at=None, confirmed_at__isnull=False)
    failed = Q(disabled_at__isnull=False, failing_since__isnull=False)
    counted = channels.aggregate(active=Count("pk", filter=active), failed=Count("pk", filter=failed))
    if not counted["active"]:
        words = "Nobody is told when a database stops being recoverable: no channel for alerts is on."
    elif counted["failed"]:
        words = f"{counted['failed']} of the channels for alerts took no message for days, and is off."
    else:
        return None
    return Notice(words, reverse("alerts:settings"))
