"""What a list says of each store, as texts: its pane is drawn once for each way that it looks, and then filled in."""

from __future__ import annotations

from datetime import datetime

from django.contrib.humanize.templatetags.humanize import naturaltime
from django.template.defaultfilters import date, filesizeformat
from django.utils.translation import gettext

from console.accounts.models import Membership
from console.accounts.permissions import Permission
from console.web.addresses import address
from stores.models import State, Store


def texts(store: Store, membership: Membership) -> dict[str, str]:
    """Return the texts of a store of stores.listing, by their names in stores/_list_pane.html; "": not to be shown."""
    verdict, cloud, operation = store.verdict, store.cloud, store.operation
    users: int = store.users or 0  # type: ignore[attr-defined]
    size: int | None = store.size  # type: ignore[attr-defined]
    return {
        "id": str(store.pk),
        "name": store.name,
        "url": store.get_absolute_url(),
        "facts_url": address("stores:facts", store.pk),
        "task_url": operation.get_absolute_url() if operation else "",
        "mark": cloud.mark,
        "mark_colour": cloud.mark_colour,
        "cloud": cloud.label,
        "account": store.cloud_account.name,
        "verdict": verdict.label if verdict else "",
        "verdict_css": verdict.css if verdict else "",
        "state": store.shown_words,
        "state_css": f"said {store.state}" if store.shown_state == store.state else store.shown_state,
        **_time("created", store.created_at),
        **_time("newest", store.newest_backup),  # type: ignore[attr-defined]
        "place": store.place,
        "region": store.region,
        "signs": "yes" if cloud.storage.one_region else "",
        "size": "" if size is None else filesizeformat(size),
        "user": store.user_name if users else "",  # type: ignore[attr-defined]
        "user_url": address("clusters:detail", store.user_id) if users else "",  # type: ignore[attr-defined]
        "more_users": str(users - 1) if users > 1 else "",
        **(_actions(store) if membership.may[Permission.MANAGE_STORES] else {}),
    }


def is_plain(store: Store) -> bool:
    """Return whether nothing more is to be said of a store of stores.listing than its texts."""
    account, operation = store.cloud_account, store.operation
    return not (
        account.unproven
        or account.verify_error
        or (operation and operation.state != "done")
        or store.has_loss
        or store.state == State.DEGRADED
        or (store.may_verify and hasattr(store, "drift_report") and store.drift_report.is_overdue)
    )


def _time(name: str, at: datetime | None) -> dict[str, str]:
    return {name: str(naturaltime(at)), f"{name}_at": date(at, "c")} if at else {}


def _actions(store: Store) -> dict[str, str]:
    """Return what can be done to it now: the address of each, and what deleting and repairing it are called."""
    repairs, pk = store.state == State.DEGRADED or store.may_be_kept, store.pk
    return {
        "retry_url": address("stores:retry", pk) if store.can_retry else "",
        "verify_url": address("stores:verify", pk) if store.may_verify else "",
        "repair_url": address("stores:repair", pk) if repairs else "",
        "repair": gettext("Keep the store …") if store.may_be_kept else gettext("Repair …"),
        "delete_url": address("stores:delete", pk) if store.can_delete else "",
        "delete": gettext("Remove from the Console") if store.is_brought else gettext("Delete Store"),
    }
