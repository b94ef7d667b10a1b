"""What other pages say of alerts."""

from __future__ import annotations

from django.db.models import Count, Q
from django.urls import reverse
from django.utils.translation import gettext

from console.accounts.models import Membership
from console.alerts.models import Channel
from console.web.notices import Notice


def about_channels(membership: Membership) -> list[Notice]:
    """Return that nobody would be told of an alert, or that a channel was turned off for failing: one query."""
    channels = Channel.objects.visible_to(membership)
    active = Q(disabled_at=None, confirmed_at__isnull=False)
    failed = Q(disabled_at__isnull=False, failing_since__isnull=False)
    counted = channels.aggregate(active=Count("pk", filter=active), failed=Count("pk", filter=failed))
    if not counted["active"]:
        title = gettext("Nobody is told when a database stops being recoverable")
        words = gettext("No channel for alerts is on.")
    elif counted["failed"]:
        title = gettext("{number} of the channels for alerts took no message for days").format(number=counted["failed"])
        words = gettext("It was switched off.") if counted["failed"] == 1 else gettext("They were switched off.")
    else:
        return []
    return [Notice("channels", "warn", title, words, reverse("alerts:settings"), gettext("Channels and windows"))]
