"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NotRequired, TypedDict

from ..core import OMIT, Begun, Core, File, Omit
from .shapes import (
    TaskBrief,
)


class Attachment(TypedDict):
    store_id: str
    store: str
    state: str
    repository: int
    attached_at: str


class BringIn(TypedDict):
    """A list of repositories, which is forgotten after two hours; clusters that came of it stay."""

    id: str
    clusters: list[Found]


class Cluster(TypedDict):
    id: str
    name: str
    state: str
    verdict: str
    is_watched_only: bool
    version: int
    cloud_account_id: str
    cloud_account_type: str
    rpo_minutes: int | None
    proof_days: int | None
    policy: Policy
    nodes: list[Node]
    databases: list[Database]
    attachments: list[Attachment]
    task: TaskBrief | None
    created_at: str
    updated_at: str


class Database(TypedDict):
    name: str
    postgresql: str
    data_directory: str
    port: int
    folder: str


class Difference(TypedDict):
    """In what a database differs on one node; what is empty or null is as in the rest of the cluster."""

    database: str
    data_directory: NotRequired[str]
    port: NotRequired[int | None]
    service: NotRequired[str]


class Drill(TypedDict):
    """A plan."""

    id: int
    created_at: str
    reported_at: str | None
    backup: NotRequired[str]
    check_database: NotRequired[str]
    checks: NotRequired[str]
    database: NotRequired[str]
    folder: NotRequired[str]
    hours: NotRequired[int]
    is_amchecked: NotRequired[bool]
    keep_free: NotRequired[int]
    machine: NotRequired[str]
    node: NotRequired[str]
    schedule: NotRequired[str]
    what: NotRequired[str]


class Found(TypedDict):
    """What was found of one cluster of the list."""

    name: str
    state: str
    nodes: int
    repositories: list[FoundRepository]
    seen: str
    error: str
    error_field: str
    cluster_id: str | None


class FoundRepository(TypedDict):
    number: int
    store_id: str
    stanzas: list[FoundStanza]


class FoundStanza(TypedDict):
    name: str
    postgresql: str
    system_id: str
    backups: int


class HandedOver(TypedDict):
    """A cluster whose hand-over has begun."""

    id: str
    name: str
    state: str
    verdict: str
    is_watched_only: bool
    version: int
    cloud_account_id: str
    cloud_account_type: str
    rpo_minutes: int | None
    proof_days: int | None
    policy: Policy
    nodes: list[Node]
    databases: list[Database]
    attachments: list[Attachment]
    task: TaskBrief | None
    created_at: str
    updated_at: str
    warnings: list[str]


class NewDatabase(TypedDict):
    """A database on each node: a stanza."""

    name: str
    postgresql: str
    data_directory: str
    port: NotRequired[int]


class NewRepository(TypedDict):
    """A machine's repository to bring in: its pgbackrest.conf, or path, one stanza and passphrase."""

    name: str
    store_id: str
    file: NotRequired[str]
    passphrase: NotRequired[str]
    path: NotRequired[str]
    region: NotRequired[str]
    stanzas: NotRequired[list[str]]


class Node(TypedDict):
    name: str
    region: str
    folder: str
    writes_to: str
    store_ids: list[str]
    pgbackrest_version: str
    pgbackrest_chosen: str
    system: str
    os_user: str
    address: str
    ssh_port: int
    policy: Policy | None
    reported_at: str | None
    is_silent: bool


class NodeDetail(TypedDict):
    """A node with what it is handed."""

    name: str
    region: str
    folder: str
    writes_to: str
    store_ids: list[str]
    pgbackrest_version: str
    pgbackrest_chosen: str
    system: str
    os_user: str
    address: str
    ssh_port: int
    policy: Policy | None
    reported_at: str | None
    is_silent: bool
    configuration: str
    sha256: str
    pgbackrest_conf: str
    troubles: list[str]
    differences: list[ShownDifference]


class NodeKeyTaken(TypedDict):
    access_key_id: str
    warnings: list[str]


class Policy(TypedDict):
    """How long backups are kept, when they are made, and how WAL is archived."""

    retention_type: str
    retention_full: int
    retention_diff: int | None
    full_schedule: str
    diff_schedule: str
    incr_schedule: str
    backup_from: str
    queue_max: int | None
    io_timeout: int | None


class ShownDifference(TypedDict):
    database: str
    data_directory: str
    port: int | None
    service: str


class StorePreview(TypedDict):
    """What a set of stores would change."""

    attach: list[str]
    detach: list[str]
    consequences: list[str]


class ClustersCalls(Core):
    """The calls of clusters."""

    def list_clusters(
        self,
        *,
        limit: int | Omit = OMIT,
        cursor: str | Omit = OMIT,
        q: str | Omit = OMIT,
        state: str | Omit = OMIT,
        verdict: str | Omit = OMIT,
        provider: str | Omit = OMIT,
        cloud_account_id: str | None | Omit = OMIT,
        stores: str | Omit = OMIT,
    ) -> Iterator[Cluster]:
        """List the clusters with their nodes, databases and attached stores, newest first.

        limit: Rows of a page, 100 at most.
        cursor: `next` of the page before.
        q: What to search for, as on the page.
        state: As on the page.
        verdict: The worst verdict on its databases; none: nothing is judged.
        provider: As on the page.
        stores: yes or no: whether it has a backup store.
        """
        return self.rows("list_clusters", {"limit": limit, "cursor": cursor, "q": q, "state": state, "verdict": verdict, "provider": provider, "cloud_account_id": cloud_account_id, "stores": stores})

    def create_cluster(
        self,
        *,
        name: str,
        cloud_account_id: str,
        regions: list[str],
        idempotency_key: str | Omit = OMIT,
        databases: list[NewDatabase] | Omit = OMIT,
        is_replication: bool | Omit = OMIT,
        store_ids: list[str] | Omit = OMIT,
    ) -> Begun[Cluster]:
        """Create a cluster with a node in each region, its databases, and stores that a worker attaches.

        regions: One for each node, n1 first: codes or places.
        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        is_replication: The first node is the primary, and the others follow it.
        store_ids: Available stores of the same account.
        """
        return self.begun("create_cluster", {"idempotency_key": idempotency_key, "name": name, "cloud_account_id": cloud_account_id, "regions": regions, "databases": databases, "is_replication": is_replication, "store_ids": store_ids})

    def bring_in(
        self,
        *,
        repositories: list[NewRepository],
        idempotency_key: str | Omit = OMIT,
    ) -> Begun[BringIn]:
        """Have a worker look at repositories that were there before; nothing is written, and nothing added yet.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        return self.begun("bring_in", {"idempotency_key": idempotency_key, "repositories": repositories})

    def forget_bring_in(
        self,
        pk: str,
    ) -> None:
        """Forget a list with what was entered; clusters that came of it stay, and nothing is changed in any store."""
        self.nothing("forget_bring_in", {"pk": pk})

    def get_bring_in(
        self,
        pk: str,
    ) -> BringIn:
        """Show what was found of each cluster of a list."""
        found: BringIn = self.row("get_bring_in", {"pk": pk})
        return found

    def add_bring_in(
        self,
        pk: str,
        *,
        seen: list[str],
        idempotency_key: str | Omit = OMIT,
    ) -> Begun[BringIn]:
        """Add the clusters of which exactly this was seen; each is read once more before, and refused if it changed.

        seen: `seen` of the clusters.
        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        return self.begun("add_bring_in", {"pk": pk, "idempotency_key": idempotency_key, "seen": seen})

    def look_bring_in(
        self,
        pk: str,
    ) -> Begun[BringIn]:
        """Have a worker look again at those that were refused."""
        return self.begun("look_bring_in", {"pk": pk})

    def delete_cluster(
        self,
        pk: str,
        *,
        kit_taken: bool | Omit = OMIT,
        if_match: str | Omit = OMIT,
    ) -> Begun[Cluster]:
        """Begin to delete a cluster: refused while stores are attached. Backups stay, and so do their passphrases.

        kit_taken: Where backups stay: that their recovery kit was taken.
        if_match: The ETag that was read. Without it nothing is taken away (428).
        """
        return self.begun("delete_cluster", {"pk": pk, "kit_taken": kit_taken, "if_match": if_match})

    def get_cluster(
        self,
        pk: str,
    ) -> Cluster:
        """Show one cluster with its nodes, databases and attached stores."""
        found: Cluster = self.row("get_cluster", {"pk": pk})
        return found

    def change_cluster(
        self,
        pk: str,
        *,
        if_match: str | Omit = OMIT,
        proof_days: int | None | Omit = OMIT,
        rpo_minutes: int | None | Omit = OMIT,
    ) -> Cluster:
        """Say how old the newest restorable moment may be (RPO), and within how many days a restore is to be proved.

        if_match: The ETag that was read; refused (412) when it was changed since.
        """
        found: Cluster = self.row("change_cluster", {"pk": pk, "if_match": if_match, "proof_days": proof_days, "rpo_minutes": rpo_minutes})
        return found

    def set_stores(
        self,
        pk: str,
        *,
        store_ids: list[str],
        if_match: str | Omit = OMIT,
        detach: list[str] | Omit = OMIT,
    ) -> Begun[Cluster]:
        """Begin to attach and detach until the cluster has exactly these stores (202); 200 when it has them already.
        To detach some, name them in `detach`, and send If-Match; /attachments/preview says before what that means.

        if_match: The ETag that was read; refused (412) when it was changed since.
        detach: Exactly those that it has and is to have no more: the yes to that.
        """
        return self.begun("set_stores", {"pk": pk, "if_match": if_match, "store_ids": store_ids, "detach": detach})

    def preview_stores(
        self,
        pk: str,
        *,
        store_ids: list[str],
        detach: list[str] | Omit = OMIT,
    ) -> StorePreview:
        """Say what a set of stores would attach and detach, and what detaching means; nothing is changed.

        detach: Exactly those that it has and is to have no more: the yes to that.
        """
        found: StorePreview = self.row("preview_stores", {"pk": pk, "store_ids": store_ids, "detach": detach})
        return found

    def refresh_backups(
        self,
        pk: str,
    ) -> Cluster:
        """Have workers look into the cluster's repositories now."""
        found: Cluster = self.row("refresh_backups", {"pk": pk})
        return found

    def add_database(
        self,
        pk: str,
        *,
        name: str,
        postgresql: str,
        data_directory: str,
        idempotency_key: str | Omit = OMIT,
        port: int | Omit = OMIT,
    ) -> Cluster:
        """Add a database, which every node runs: a stanza on each.

        postgresql: The major version.
        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        found: Cluster = self.row("add_database", {"pk": pk, "idempotency_key": idempotency_key, "name": name, "postgresql": postgresql, "data_directory": data_directory, "port": port})
        return found

    def remove_database(
        self,
        pk: str,
        name: str,
        *,
        if_match: str | Omit = OMIT,
    ) -> Cluster:
        """Forget a database; nothing on the nodes or in the stores changes.

        if_match: The ETag that was read. Without it nothing is taken away (428).
        """
        found: Cluster = self.row("remove_database", {"pk": pk, "name": name, "if_match": if_match})
        return found

    def list_drills(
        self,
        pk: str,
        *,
        limit: int | Omit = OMIT,
        cursor: str | Omit = OMIT,
    ) -> Iterator[Drill]:
        """List the plans of a cluster, newest first.

        limit: Rows of a page, 100 at most.
        cursor: `next` of the page before.
        """
        return self.rows("list_drills", {"pk": pk, "limit": limit, "cursor": cursor})

    def add_drill(
        self,
        pk: str,
        *,
        idempotency_key: str | Omit = OMIT,
        backup: str | Omit = OMIT,
        check_database: str | Omit = OMIT,
        checks: str | Omit = OMIT,
        database: str | Omit = OMIT,
        folder: str | Omit = OMIT,
        hours: int | Omit = OMIT,
        is_amchecked: bool | Omit = OMIT,
        keep_free: int | Omit = OMIT,
        machine: str | Omit = OMIT,
        node: str | Omit = OMIT,
        schedule: str | Omit = OMIT,
        what: str | Omit = OMIT,
    ) -> Drill:
        """Plan a restore drill or a verification: it is in the next set-up script of its machine.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        backup: newest or random.
        checks: Lines of SQL => answer.
        database: Empty: each.
        keep_free: GiB.
        machine: The drill machine; empty: on the nodes themselves.
        node: Empty: each.
        what: restore or verify.
        """
        found: Drill = self.row("add_drill", {"pk": pk, "idempotency_key": idempotency_key, "backup": backup, "check_database": check_database, "checks": checks, "database": database, "folder": folder, "hours": hours, "is_amchecked": is_amchecked, "keep_free": keep_free, "machine": machine, "node": node, "schedule": schedule, "what": what})
        return found

    def remove_drill(
        self,
        pk: str,
        drill: int,
    ) -> Drill:
        """Remove a plan; its history stays. Answered with what it was."""
        found: Drill = self.row("remove_drill", {"pk": pk, "drill": drill})
        return found

    def change_drill(
        self,
        pk: str,
        drill: int,
        *,
        backup: str | Omit = OMIT,
        check_database: str | Omit = OMIT,
        checks: str | Omit = OMIT,
        database: str | Omit = OMIT,
        folder: str | Omit = OMIT,
        hours: int | Omit = OMIT,
        is_amchecked: bool | Omit = OMIT,
        keep_free: int | Omit = OMIT,
        machine: str | Omit = OMIT,
        node: str | Omit = OMIT,
        schedule: str | Omit = OMIT,
        what: str | Omit = OMIT,
    ) -> Drill:
        """Change a plan; what is not sent stays.

        backup: newest or random.
        checks: Lines of SQL => answer.
        database: Empty: each.
        keep_free: GiB.
        machine: The drill machine; empty: on the nodes themselves.
        node: Empty: each.
        what: restore or verify.
        """
        found: Drill = self.row("change_drill", {"pk": pk, "drill": drill, "backup": backup, "check_database": check_database, "checks": checks, "database": database, "folder": folder, "hours": hours, "is_amchecked": is_amchecked, "keep_free": keep_free, "machine": machine, "node": node, "schedule": schedule, "what": what})
        return found

    def get_drill_script(
        self,
        pk: str,
        drill: int,
    ) -> File:
        """Hand out the script that makes a machine the drill machine of a plan, with its secrets; it is written down."""
        return self.file("get_drill_script", {"pk": pk, "drill": drill})

    def hand_over(
        self,
        pk: str,
        *,
        idempotency_key: str | Omit = OMIT,
        diff_schedule: str | Omit = OMIT,
        full_schedule: str | Omit = OMIT,
        incr_schedule: str | Omit = OMIT,
        left_seen: bool | Omit = OMIT,
        own_key: str | Omit = OMIT,
        save_anyway: bool | Omit = OMIT,
    ) -> Begun[HandedOver]:
        """Begin to hand the node of a repository over that was brought in: the console plans its backups from then
        on.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        diff_schedule: A cron expression, read by the node's own clock; empty: never.
        full_schedule: A cron expression, read by the node's own clock; empty: never.
        incr_schedule: A cron expression, read by the node's own clock; empty: never.
        left_seen: Where the former file had more: that it gets nothing any more.
        own_key: The former file, or its lines with the key, to go on with. Empty: it gets another.
        save_anyway: Keep that key though it could not be tried.
        """
        return self.begun("hand_over", {"pk": pk, "idempotency_key": idempotency_key, "diff_schedule": diff_schedule, "full_schedule": full_schedule, "incr_schedule": incr_schedule, "left_seen": left_seen, "own_key": own_key, "save_anyway": save_anyway})

    def take_hand_over_back(
        self,
        pk: str,
        *,
        done: bool,
        idempotency_key: str | Omit = OMIT,
    ) -> Begun[Cluster]:
        """Begin to go back to watching a cluster that was handed over: its nodes lose the access that they were
        given.

        done: That its machine archives and makes backups by the former file again, with its key.
        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        return self.begun("take_hand_over_back", {"pk": pk, "idempotency_key": idempotency_key, "done": done})

    def set_node_key(
        self,
        pk: str,
        *,
        access_key_id: str,
        secret_access_key: str,
        save_anyway: bool | Omit = OMIT,
    ) -> NodeKeyTaken:
        """Try a key of the nodes that was made by hand, and take it when it works; it is never shown again.

        save_anyway: Keep it though it could not be tried.
        """
        found: NodeKeyTaken = self.row("set_node_key", {"pk": pk, "access_key_id": access_key_id, "secret_access_key": secret_access_key, "save_anyway": save_anyway})
        return found

    def go_back_to_former_key(
        self,
        pk: str,
        *,
        idempotency_key: str | Omit = OMIT,
    ) -> Cluster:
        """Hand out the former key again.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        found: Cluster = self.row("go_back_to_former_key", {"pk": pk, "idempotency_key": idempotency_key})
        return found

    def end_former_key(
        self,
        pk: str,
        *,
        idempotency_key: str | Omit = OMIT,
    ) -> Cluster:
        """End the former key though nodes have it; of one made by hand, say that it is deleted. `task` is what ends
        it.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        found: Cluster = self.row("end_former_key", {"pk": pk, "idempotency_key": idempotency_key})
        return found

    def replace_node_key(
        self,
        pk: str,
        *,
        idempotency_key: str | Omit = OMIT,
        how: str | Omit = OMIT,
    ) -> Begun[Cluster]:
        """Begin to replace the nodes' key: by a second one beside it, or, after a theft, at once.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        how: beside: both are good for a while; at_once: after a theft.
        """
        return self.begun("replace_node_key", {"pk": pk, "idempotency_key": idempotency_key, "how": how})

    def get_cluster_kit(
        self,
        pk: str,
    ) -> File:
        """Hand out the recovery kit of all repositories of a cluster, with their passphrases; it is written down."""
        return self.file("get_cluster_kit", {"pk": pk})

    def add_nodes(
        self,
        pk: str,
        *,
        regions: list[str],
        idempotency_key: str | Omit = OMIT,
        follows: str | Omit = OMIT,
    ) -> Cluster:
        """Add nodes, one in each region, as primaries or as standbys of a node.

        regions: One for each node: codes or places.
        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        follows: The node whose standbys they are; empty: primaries.
        """
        found: Cluster = self.row("add_nodes", {"pk": pk, "idempotency_key": idempotency_key, "regions": regions, "follows": follows})
        return found

    def remove_node(
        self,
        pk: str,
        name: str,
        *,
        if_match: str | Omit = OMIT,
    ) -> Cluster:
        """Remove a node; its backups stay in the stores. The last one is never removed.

        if_match: The ETag that was read. Without it nothing is taken away (428).
        """
        found: Cluster = self.row("remove_node", {"pk": pk, "name": name, "if_match": if_match})
        return found

    def get_node(
        self,
        pk: str,
        name: str,
    ) -> NodeDetail:
        """Show one node and what it is handed, with each secret hidden."""
        found: NodeDetail = self.row("get_node", {"pk": pk, "name": name})
        return found

    def change_node(
        self,
        pk: str,
        name: str,
        *,
        if_match: str | Omit = OMIT,
        address: str | Omit = OMIT,
        differences: list[Difference] | Omit = OMIT,
        follows: str | Omit = OMIT,
        leaves_own: bool | Omit = OMIT,
        os_user: str | Omit = OMIT,
        pgbackrest_version: str | Omit = OMIT,
        ssh_port: int | Omit = OMIT,
        store_ids: list[str] | Omit = OMIT,
        system: str | Omit = OMIT,
        writes_to: str | Omit = OMIT,
    ) -> Cluster:
        """Change what a node's machine is like, whose standby it is, and which stores it writes to: all of it or
        nothing. Stores are chosen for all hosts of its replication.

        if_match: The ETag that was read; refused (412) when it was changed since.
        address: At which the other hosts of its replication reach it.
        differences: All of them.
        follows: The primary whose standby it is; empty: it has its own folder.
        leaves_own: That its own folder, with backups in it, may be left.
        os_user: As whom PostgreSQL runs.
        pgbackrest_version: For which pgBackRest its configuration is; empty: each.
        store_ids: With chosen: attached stores.
        system: debian, rpm or other: whose packages the machine has.
        writes_to: nearest, all or chosen.
        """
        found: Cluster = self.row("change_node", {"pk": pk, "name": name, "if_match": if_match, "address": address, "differences": differences, "follows": follows, "leaves_own": leaves_own, "os_user": os_user, "pgbackrest_version": pgbackrest_version, "ssh_port": ssh_port, "store_ids": store_ids, "system": system, "writes_to": writes_to})
        return found

    def get_crontab(
        self,
        pk: str,
        name: str,
    ) -> File:
        """Hand out a node's schedule for cron."""
        return self.file("get_crontab", {"pk": pk, "name": name})

    def get_configuration(
        self,
        pk: str,
        name: str,
    ) -> File:
        """Hand out a node's pgbackrest.conf, with its secrets; it is written down."""
        return self.file("get_configuration", {"pk": pk, "name": name})

    def follow_cluster(
        self,
        pk: str,
        name: str,
        *,
        if_match: str | Omit = OMIT,
    ) -> Cluster:
        """Have a node follow its cluster's policy again.

        if_match: The ETag that was read; refused (412) when it was changed since.
        """
        found: Cluster = self.row("follow_cluster", {"pk": pk, "name": name, "if_match": if_match})
        return found

    def plan_node(
        self,
        pk: str,
        name: str,
        *,
        if_match: str | Omit = OMIT,
        backup_from: str | Omit = OMIT,
        diff_schedule: str | Omit = OMIT,
        full_schedule: str | Omit = OMIT,
        incr_schedule: str | Omit = OMIT,
        io_timeout: int | None | Omit = OMIT,
        queue_max: int | None | Omit = OMIT,
        retention_diff: int | None | Omit = OMIT,
        retention_full: int | Omit = OMIT,
        retention_type: str | Omit = OMIT,
    ) -> Cluster:
        """Set retention, schedules and archiving of one node, and of the hosts of its replication.

        if_match: The ETag that was read; refused (412) when it was changed since.
        backup_from: primary or standby.
        diff_schedule: A cron expression, read by the node's own clock; empty: never.
        full_schedule: A cron expression, read by the node's own clock; empty: never.
        incr_schedule: A cron expression, read by the node's own clock; empty: never.
        io_timeout: Seconds.
        queue_max: GiB of WAL that may wait; more is dropped.
        retention_type: time (days) or count (full backups).
        """
        found: Cluster = self.row("plan_node", {"pk": pk, "name": name, "if_match": if_match, "backup_from": backup_from, "diff_schedule": diff_schedule, "full_schedule": full_schedule, "incr_schedule": incr_schedule, "io_timeout": io_timeout, "queue_max": queue_max, "retention_diff": retention_diff, "retention_full": retention_full, "retention_type": retention_type})
        return found

    def get_setup_script(
        self,
        pk: str,
        name: str,
    ) -> File:
        """Hand out the script that puts all files of a node in their places, with their secrets; it is written down."""
        return self.file("get_setup_script", {"pk": pk, "name": name})

    def get_timers_script(
        self,
        pk: str,
        name: str,
    ) -> File:
        """Hand out the script that installs a node's schedule as systemd's timers."""
        return self.file("get_timers_script", {"pk": pk, "name": name})

    def replace_report_token(
        self,
        pk: str,
        name: str,
        *,
        idempotency_key: str | Omit = OMIT,
        how: str | Omit = OMIT,
    ) -> Cluster:
        """Give a node another token for its reports: it is in its next set-up script.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        how: beside: both are good for a while; at_once: after a theft.
        """
        found: Cluster = self.row("replace_report_token", {"pk": pk, "name": name, "idempotency_key": idempotency_key, "how": how})
        return found

    def plan_cluster(
        self,
        pk: str,
        *,
        if_match: str | Omit = OMIT,
        backup_from: str | Omit = OMIT,
        diff_schedule: str | Omit = OMIT,
        full_schedule: str | Omit = OMIT,
        incr_schedule: str | Omit = OMIT,
        io_timeout: int | None | Omit = OMIT,
        queue_max: int | None | Omit = OMIT,
        retention_diff: int | None | Omit = OMIT,
        retention_full: int | Omit = OMIT,
        retention_type: str | Omit = OMIT,
    ) -> Cluster:
        """Set retention, schedules and archiving of the cluster; nodes with a policy of their own keep it.

        if_match: The ETag that was read; refused (412) when it was changed since.
        backup_from: primary or standby.
        diff_schedule: A cron expression, read by the node's own clock; empty: never.
        full_schedule: A cron expression, read by the node's own clock; empty: never.
        incr_schedule: A cron expression, read by the node's own clock; empty: never.
        io_timeout: Seconds.
        queue_max: GiB of WAL that may wait; more is dropped.
        retention_type: time (days) or count (full backups).
        """
        found: Cluster = self.row("plan_cluster", {"pk": pk, "if_match": if_match, "backup_from": backup_from, "diff_schedule": diff_schedule, "full_schedule": full_schedule, "incr_schedule": incr_schedule, "io_timeout": io_timeout, "queue_max": queue_max, "retention_diff": retention_diff, "retention_full": retention_full, "retention_type": retention_type})
        return found

    def forget_node(
        self,
        pk: str,
        name: str,
    ) -> Cluster:
        """Forget a removed node: once its folder was seen empty, or, for an owner, at any time."""
        found: Cluster = self.row("forget_node", {"pk": pk, "name": name})
        return found

    def repair_cluster(
        self,
        pk: str,
        *,
        idempotency_key: str | Omit = OMIT,
    ) -> Begun[Cluster]:
        """Give the nodes again what they should have in the cloud.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        return self.begun("repair_cluster", {"pk": pk, "idempotency_key": idempotency_key})

    def preview_restore(
        self,
        pk: str,
        *,
        node: str | Omit = OMIT,
        stanza: str | Omit = OMIT,
        repository: str | Omit = OMIT,
        backup: str | Omit = OMIT,
        target: str | Omit = OMIT,
        time: str | Omit = OMIT,
        zone: str | Omit = OMIT,
        offset: str | Omit = OMIT,
        point: str | Omit = OMIT,
        lsn: str | Omit = OMIT,
        xid: str | Omit = OMIT,
        exclusive: bool | Omit = OMIT,
        timeline: str | Omit = OMIT,
        where: str | Omit = OMIT,
        folder: str | Omit = OMIT,
        port: str | Omit = OMIT,
        key: bool | Omit = OMIT,
    ) -> File:
        """Show the script of a restore of a cluster's backups, with its secrets hidden.

        stanza: The database.
        repository: A repository's ID.
        backup: A label; empty: the newest that fits.
        target: latest, time, immediate, name, lsn or xid.
        where: folder, machine or in_place.
        key: The script asks for a key.
        """
        return self.file("preview_restore", {"pk": pk, "node": node, "stanza": stanza, "repository": repository, "backup": backup, "target": target, "time": time, "zone": zone, "offset": offset, "point": point, "lsn": lsn, "xid": xid, "exclusive": exclusive, "timeline": timeline, "where": where, "folder": folder, "port": port, "key": key})

    def get_restore_script(
        self,
        pk: str,
        *,
        node: str | Omit = OMIT,
        stanza: str | Omit = OMIT,
        repository: str | Omit = OMIT,
        backup: str | Omit = OMIT,
        target: str | Omit = OMIT,
        time: str | Omit = OMIT,
        zone: str | Omit = OMIT,
        offset: str | Omit = OMIT,
        point: str | Omit = OMIT,
        lsn: str | Omit = OMIT,
        xid: str | Omit = OMIT,
        exclusive: bool | Omit = OMIT,
        timeline: str | Omit = OMIT,
        where: str | Omit = OMIT,
        folder: str | Omit = OMIT,
        port: str | Omit = OMIT,
        key: bool | Omit = OMIT,
    ) -> File:
        """Hand out the script of a restore of a cluster's backups, complete; it is written down.

        stanza: The database.
        repository: A repository's ID.
        backup: A label; empty: the newest that fits.
        target: latest, time, immediate, name, lsn or xid.
        where: folder, machine or in_place.
        key: The script asks for a key.
        """
        return self.file("get_restore_script", {"pk": pk, "node": node, "stanza": stanza, "repository": repository, "backup": backup, "target": target, "time": time, "zone": zone, "offset": offset, "point": point, "lsn": lsn, "xid": xid, "exclusive": exclusive, "timeline": timeline, "where": where, "folder": folder, "port": port, "key": key})

    def retry_cluster(
        self,
        pk: str,
        *,
        idempotency_key: str | Omit = OMIT,
    ) -> Begun[Cluster]:
        """Try again what failed.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        return self.begun("retry_cluster", {"pk": pk, "idempotency_key": idempotency_key})
