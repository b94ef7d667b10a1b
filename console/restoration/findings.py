"""What differs between the restored database and what is there: each thing in words, with what can be done about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID

from clusters.models import Cluster, Node, Repository
from clusters.node_setup import node_setups
from console.accounts.models import Membership
from console.cloud_accounts.models import CloudAccount
from console.clouds.inspection import PRESENCE
from console.operations import holding
from console.operations.models import Operation
from console.restoration.models import FolderScan, NodeFile, RefusedReport, Restoration
from console.web.natural import Natural
from stores import unmanaged
from stores.models import State, Store


@dataclass(frozen=True)
class Finding:
    """One thing that was found, or is still looked for; the template of its kind has the buttons."""

    key: str
    kind: str  # account, unknown (a store), store, task, node, report, folder, members
    title: str
    text: str
    waiting: bool = False  # a worker looks, or a node has yet to report: it may settle by itself
    leaves: bool = True  # somebody may say that it stays as it is
    url: str = ""  # of its page
    settled_by: str = ""  # who has said so
    subject: Any = None  # what the buttons need

    @property
    def dom_id(self) -> str:
        """Return what it is known by in the IDs of a page."""
        return self.key.replace(" ", "-")

    @property
    def is_open(self) -> bool:
        """Return whether somebody has to do something about it, or wait."""
        return not self.settled_by


@dataclass
class Found:
    """All that was found for one organisation."""

    restoration: Restoration
    findings: list[Finding] = field(default_factory=list)
    nodes_alike: int = 0  # that have reported the file that the copy knows
    files: Sequence[NodeFile] = ()

    @cached_property
    def open(self) -> list[Finding]:
        """Return what has to be settled, that which somebody can do something about first."""
        return sorted((one for one in self.findings if one.is_open), key=lambda one: one.waiting)

    @cached_property
    def settled(self) -> list[Finding]:
        """Return what somebody has settled by saying so."""
        return [one for one in self.findings if not one.is_open]

    @property
    def is_busy(self) -> bool:
        """Return whether the page changes by itself soon."""
        looking = any(one.waiting and one.kind in {"account", "store", "folder"} for one in self.open)
        return looking or any(one.is_awaited for one in self.files)


def of(restoration: Restoration, member: Membership) -> Found:
    """Return what was found for the organisation; asks no cloud."""
    said = {one.key: one.by_name for one in restoration.decisions.all()}
    found = Found(restoration)
    looks = (_accounts, _unknown, _stores, _tasks, _folders, _nodes, _reports, _members)
    for look in looks:
        for one in look(found, member):
            found.findings.append(_with(one, said.get(one.key, "")))
    found.files = list(NodeFile.objects.visible_to(member).filter(at__gte=restoration.begun_at).order_by("-at", "-pk"))
    return found


def _with(one: Finding, by: str) -> Finding:
    return Finding(**{**one.__dict__, "settled_by": by}) if by and one.leaves else one


def _accounts(found: Found, member: Membership) -> Iterator[Finding]:
    """Yield the accounts that were not looked through since, or cannot be."""
    since = found.restoration.begun_at
    accounts = (
        CloudAccount.objects.visible_to(member).select_related("verification", "scan").order_by(Natural("name"), "pk")
    )
    for account in accounts:
        reads = [getattr(account, "verification", None), getattr(account, "scan", None)]
        common: dict[str, Any] = {"kind": "account", "url": account.get_absolute_url(), "subject": account}
        key = f"account {account.pk}"
        failed = next((one.error for one in reads if one and one.error and one.tried_at and one.tried_at >= since), "")
        if failed:
            text = (
                f"{failed} If its key was replaced after the copy was made, enter the present one (Change). Until then "
                "nothing can be looked for in it."
            )
            yield Finding(key, title=f"{account} cannot be looked through", text=text, **common)
        elif not all(one and one.read_at and one.read_at >= since for one in reads):
            title = f"{account} is being looked through"
            yield Finding(key, title=title, text="", waiting=True, leaves=False, **common)


def _unknown(found: Found, member: Membership) -> Iterator[Finding]:
    """Yield the stores that stand in the accounts and not here, each once."""
    for account_scan in unmanaged.account_scans(member):
        groups: dict[UUID, list[unmanaged.ExplainedBucket]] = {}
        for explained in account_scan.unmanaged:
            is_test = explained.bucket.kind == "probe"
            if (pk := unmanaged.store_id(explained.bucket)) and not explained.store and not is_test:
                groups.setdefault(pk, []).append(explained)
        for pk, each in groups.items():
            first = next((one for one in each if one.bucket.kind == "backup"), each[0])
            name = first.name or first.bucket.store_name or "A store"
            names = ", ".join(one.bucket.name for one in each)
            text = f"In {account_scan.account}, {first.bucket.region}: {names}. {first.what}"
            yield Finding(f"unknown {pk}", "unknown", f"{name} is not known here", text, subject=first)


def _stores(found: Found, member: Membership) -> Iterator[Finding]:
    """Yield the stores that are here and whose backup bucket is not there, or not looked for yet."""
    since = found.restoration.begun_at
    stores = Store.objects.visible_to(member).filter(state__in=(State.AVAILABLE, State.DEGRADED))
    for store in stores.select_related("drift_report", "cloud_account").order_by(Natural("name"), "pk"):
        report = getattr(store, "drift_report", None)
        common: dict[str, Any] = {"kind": "store", "url": store.get_absolute_url(), "subject": store}
        if store.created_at >= since:  # adopted
            continue
        if report is None or report.read_at is None or report.read_at < since:
            why = report.error if report and report.tried_at and report.tried_at >= since else ""
            title = f"{store} cannot be looked at" if why else f"{store} is being looked at"
            yield Finding(f"store {store.pk}", title=title, text=why, waiting=not why, leaves=bool(why), **common)
        elif any(one.state == "gone" and one.key == PRESENCE and not one.log for one in report.lines):
            text = (
                f"Its backup {store.cloud.vocabulary.bucket} {store.bucket} is not there: the store was deleted after "
                "the copy was made, or somebody has deleted it. The console leaves it on the list; delete it there "
                "when this comparison has ended."
            )
            yield Finding(f"store {store.pk}", title=f"{store} is gone", text=text, **common)


def _tasks(found: Found, member: Membership) -> Iterator[Finding]:
    """Yield what was at work when the copy was made."""
    for one in holding.held_back(Operation.objects.visible_to(member)).order_by("created_at"):
        text = f"Asked for by {one.requested_by or 'the console'} {one.created_at:%Y-%m-%d %H:%M} UTC. " + (
            "It deletes. If it was cancelled after the copy was made, give it up; if it ended, let it go on: it finds "
            "nothing to delete."
            if "delete" in one.verb
            else "It may have ended since; to let it go on does no harm then."
        )
        title = f"{one.title}: {one.subject_name} is held back"
        yield Finding(f"task {one.pk}", "task", title, text, leaves=False, url=one.get_absolute_url(), subject=one)


def _folders(found: Found, member: Membership) -> Iterator[Finding]:
    """Yield the folders in the stores that are no known cluster's."""
    since = found.restoration.begun_at
    known = {one.prefix for one in Cluster.objects.visible_to(member)}
    known |= {one.partition("/")[0] for one in _prefixes(member)}
    stores = Store.objects.visible_to(member)
    seen: dict[str, list[Store]] = {}
    for scan in FolderScan.objects.filter(store__in=stores).select_related("store").order_by("store__name"):
        for folder in scan.content if scan.read_at and scan.read_at >= since else []:
            seen.setdefault(folder, []).append(scan.store)
    for folder, where in sorted(seen.items()):
        if folder not in known:
            text = (
                f"In {', '.join(str(one) for one in where)}. A cluster that was made after the copy, or one of another "
                "console, writes there. Bring the pgbackrest.conf of one of its nodes: it has the passphrase."
            )
            title = f"{folder} is no known cluster's folder"
            yield Finding(f"folder {folder}", "folder", title, text, subject=where[0])


def _prefixes(member: Membership) -> list[str]:
    return list(Repository.objects.visible_to(member).values_list("prefix", flat=True))


def _nodes(found: Found, member: Membership) -> Iterator[Finding]:
    """Yield the nodes that have not reported since, or have another file than the copy knows."""
    restoration = found.restoration
    nodes = Node.objects.filter(cluster__in=Cluster.objects.visible_to(member), created_at__lt=restoration.begun_at)
    changed: list[Node] = []
    for node in nodes.select_related("cluster").order_by(Natural("cluster__name"), "pk"):
        then = restoration.applied.get(str(node.pk))
        if node.reported_at is None or (then is None and node.reported_at < restoration.begun_at):
            continue  # it never has
        if node.reported_at < restoration.begun_at:
            text = "Nodes report every five minutes. If it stays silent, look whether its reports are refused."
            title = f"{node} of {node.cluster} has not reported yet"
            url = node.get_absolute_url()
            yield Finding(f"silent {node.pk}", "node", title, text, waiting=True, url=url, subject=node)
        elif node.applied_sha256 == then:
            found.nodes_alike += 1
        else:
            changed.append(node)
    alike = _alike(changed)
    found.nodes_alike += len(alike)
    for node in changed:
        if node.pk not in alike:
            text = (
                "Its file was made after the copy: it may name other stores, or have another passphrase or key. Bring "
                "the file. To set the node up again instead hands it what the copy knows."
            )
            title = f"{node} of {node.cluster} has a file that is not known here"
            key = f"node {node.pk} {node.applied_sha256[:16]}"
            yield Finding(key, "node", title, text, url=node.get_absolute_url())


def _alike(nodes: Sequence[Node]) -> set[int]:
    """Return the keys of those that have exactly the file that they would be handed now."""
    clusters = Cluster.objects.with_node_setup().filter(pk__in={node.cluster_id for node in nodes})
    setups = [one for cluster in clusters for one in node_setups(cluster)] if nodes else []
    return {one.node.pk for one in setups if one.state == "applied"}


def _reports(found: Found, member: Membership) -> Iterator[Finding]:
    """Yield the nodes whose reports are refused, of this organisation's clusters."""
    clusters = {one.pk: one for one in Cluster.objects.visible_to(member)}
    rows = RefusedReport.objects.filter(cluster__in=clusters, last_at__gte=found.restoration.begun_at)
    nodes = {(one.cluster_id, one.name): one for one in Node.objects.filter(cluster__in=clusters)}
    for row in rows.order_by("pk"):
        node, cluster = nodes.get((row.cluster, row.node)), clusters[row.cluster]
        if node and node.reported_at and node.reported_at > row.last_at:
            continue  # it comes through by now
        if node:
            text = (
                "Somebody reports as it with a token that is not known here: it was replaced after the copy was made. "
                "Bring its pgbackrest.conf with its report.sh, or run its set-up script again."
            )
            title = f"The reports of {node} of {cluster} are refused"
        else:
            text = (
                "Somebody reports as it: it was added after the copy was made. Bring its pgbackrest.conf with its "
                "report.sh."
            )
            title = f"{row.node} of {cluster} is not known here"
        url = node.get_absolute_url() if node else cluster.get_absolute_url()
        yield Finding(f"report {row.cluster} {row.node}", "report", title, text, url=url)


def _members(found: Found, member: Membership) -> Iterator[Finding]:
    """Yield that somebody has to look at who is a member: who was removed since is one again."""
    number = member.organisation.memberships.count()
    text = (
        "Roles, passwords and second factors are those of the copy too. Who was removed or got another role after it "
        "was made has to be removed, or given that role, again."
    )
    title = f"{number} member{'s are' if number != 1 else ' is'} as the copy has it"
    yield Finding("members", "members", title, text)
