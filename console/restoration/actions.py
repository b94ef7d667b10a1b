"""What is done when the database was restored from a copy: hold back, have all looked at, decide, end."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now
from django.utils import timezone

from clusters.models import Node
from clusters.repositories import inventory
from console.accounts import activity
from console.accounts.models import Membership, Organisation, User
from console.audit.models import AuditEvent
from console.cloud_accounts import verification
from console.cloud_accounts.models import CloudAccount
from console.operations import holding
from console.operations.actions import ask
from console.operations.leases import HELD_BACK
from console.operations.models import Operation
from console.restoration import findings, folders
from console.restoration.models import Decision, NodeFile, RefusedReport, Restoration
from console.restoration.node_file import Given
from stores import drift, unmanaged
from stores.models import DriftReport, RetainedLogs, Store

WHY = "Held back: the console was restored from a copy, and this may have ended or been cancelled since."


# What else lets somebody in, and may have been ended since the copy: appended by the apps above.
ended_with_sessions: list[Callable[[], object]] = []


class NotSettled(Exception):
    """Something that was found is open; the message says how much."""


def begin(found_by: str) -> int:
    """Hold back what is unfinished, and have everything looked at; return of how many organisations.

    Safe to call again: an organisation that is being compared already stays as it is. Nothing is deleted but the
    sessions, since some of them may have been ended since the copy; what else lets somebody in is ended, too.
    """
    with transaction.atomic():
        fresh = list(Organisation.objects.exclude(restorations__in=Restoration.objects.open()).order_by("pk"))
        if not fresh:
            return 0
        copied_at = AuditEvent.objects.aggregate(at=Max("created_at"))["at"]
        Session.objects.all().delete()
        for end in ended_with_sessions:
            end()
        for organisation in fresh:
            nodes = Node.objects.filter(cluster__organisation=organisation).exclude(reported_at=None)
            Restoration.objects.create(
                organisation=organisation,
                copied_at=copied_at,
                begun_at=Now(),  # the database's, as of all that workers read
                found_by=found_by[:200],
                applied={str(pk): sha256 for pk, sha256 in nodes.values_list("pk", "applied_sha256")},
            )
            held = holding.hold_back(Operation.objects.filter(organisation=organisation), WHY)
            after = {
                "found": found_by,
                "copy of": f"{copied_at:%Y-%m-%d %H:%M:%S} UTC" if copied_at else "",
                "held": held,
            }
            activity.record("Was restored from a copy", organisation, organisation=organisation, by=None, after=after)
        RetainedLogs.objects.filter(organisation__in=fresh).update(due_at=HELD_BACK)
        RefusedReport.objects.all().delete()
        for organisation in fresh:
            look_again(organisation)
    return len(fresh)


def look_again(organisation: Organisation) -> None:
    """Have the workers look at all that may differ: accounts, buckets, folders and repositories."""
    stores = Store.objects.filter(organisation=organisation)
    missing = stores.filter(drift_report=None).values_list("pk", flat=True)
    DriftReport.objects.bulk_create([DriftReport(store_id=pk) for pk in missing], ignore_conflicts=True)
    verification.of_all().filter(cloud_account__organisation=organisation).wanted()
    unmanaged.scans().filter(cloud_account__organisation=organisation).wanted()
    drift.checkable().filter(store__organisation=organisation).wanted()
    folders.readable().filter(store__organisation=organisation).wanted()
    inventory.readable().filter(repository__organisation=organisation).wanted()


class NotTheirs(Exception):
    """Whoever may settle the others may not settle this one; the message says who may."""


def settle_found(
    restoration: Restoration, key: str, member: Membership, *, may_members: bool, by: User | None
) -> str | None:
    """Leave one of the things that are open as it is, and return its title; None when it is none of them any more.

    Raises NotTheirs for who is a member, which only somebody says who manages members (`may_members`).
    """
    open_now = findings.of(restoration, member).open
    one = next((one for one in open_now if one.key == key and one.leaves), None)
    if one is None:
        return None
    if one.kind == "members" and not may_members:
        raise NotTheirs("Who is a member is for an owner to say.")
    settle(restoration, key, one.title, by=by)
    return one.title


def settle(restoration: Restoration, key: str, title: str, *, by: User | None) -> None:
    """Note that somebody has looked at this and leaves it as it is."""
    with transaction.atomic():
        _, made = Decision.objects.get_or_create(
            restoration=restoration, key=key, defaults={"by": by, "by_name": activity.name_of(by)}
        )
        if made:
            activity.record(
                "Settled what a copy did not know",
                title,
                organisation=restoration.organisation,
                by=by,
                after={"what": key},
            )


def end(restoration: Restoration, member: Membership, *, by: User | None) -> None:
    """End the comparison; raises NotSettled while anything is open."""
    with transaction.atomic():
        locked = Restoration.objects.select_for_update().get(pk=restoration.pk)
        if still := findings.of(locked, member).open:
            raise NotSettled(f"{len(still)} of what was found {'is' if len(still) == 1 else 'are'} not settled yet.")
        _close(locked, by)


def dismiss(organisations: list[UUID] | None = None) -> int:
    """End it for all organisations, or these, whatever is open: what was held back goes on. For an operator."""
    with transaction.atomic():
        rows = Restoration.objects.open().select_for_update().order_by("pk")
        rows = rows if organisations is None else rows.filter(organisation__in=organisations)
        found = list(rows)
        for restoration in found:
            _close(restoration, None)
    return len(found)


def _close(restoration: Restoration, by: User | None) -> None:
    organisation = restoration.organisation
    went_on = holding.let_all_go_on(Operation.objects.filter(organisation=organisation))
    RetainedLogs.objects.filter(organisation=organisation, due_at=HELD_BACK).update(due_at=Now())
    Restoration.objects.filter(pk=restoration.pk).update(ended_at=timezone.now(), ended_by=by)
    after = {"went on": went_on}
    activity.record("Ended what a restored copy began", organisation, organisation=organisation, by=by, after=after)


def give_file(
    restoration: Restoration, account: CloudAccount, given: Given, *, text: str, name: str, by: User | None
) -> NodeFile:
    """Keep a node's file until a worker has tried it; one of the same node that was given before is forgotten."""
    with transaction.atomic():
        mine = NodeFile.objects.filter(organisation=restoration.organisation, node=given.node, taken_at=None)
        mine.filter(cloud_account=account, cluster_name=name or given.cluster).delete()
        row: NodeFile = NodeFile.objects.create(
            organisation=restoration.organisation,
            cloud_account=account,
            node=given.node,
            cluster_name=name or given.cluster,
            entered={"text": text},
            by=by,
        )
        after = {"node": given.node, "account": account.name}
        activity.record(
            "Brought a node's file", given.cluster, organisation=restoration.organisation, by=by, after=after
        )
        ask(NodeFile.objects.filter(pk=row.pk))
    return row
