"""What is sent about clusters, and what is answered beside the cluster itself."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from ninja import Schema
from pydantic import ConfigDict, Field, StrictInt

from clusters.pgbackrest import config_file
from console.api.shapes import Cluster, Node, Shape

TEXT = 500  # characters, where nothing else is said
CLUSTER = "2f0c1f5e-6d0e-4a52-9b1c-0d9f3c1d7a11"
STORE = "7d9c1b8e-35cf-4a0e-8a5e-2b8a5f6f0c22"
SCHEDULE = "A cron expression, read by the node's own clock; empty: never."


class Asked(Schema):
    """The base of all that is sent."""

    model_config = ConfigDict(extra="forbid", str_max_length=TEXT)


def example(**given: Any) -> ConfigDict:
    """Return the settings of a body with an example, which the tests send as it is."""
    return ConfigDict(extra="forbid", str_max_length=TEXT, json_schema_extra={"example": given})


class NewDatabase(Asked):
    """A database on each node: a stanza."""

    model_config = example(name="main", postgresql="15", data_directory="/var/lib/postgresql/15/main", port=5432)

    name: str
    postgresql: Annotated[str, Field(description="The major version.")]
    data_directory: str
    port: StrictInt = 5432


class NewCluster(Asked):
    """A cluster to create, with all that its nodes need for their first backup."""

    model_config = example(name="orders-eu", cloud_account_id=CLUSTER, regions=["eu-west-1"])

    name: str
    cloud_account_id: UUID
    regions: Annotated[list[str], Field(description="One for each node, n1 first: codes or places.")]
    is_replication: Annotated[bool, Field(description="The first node is the primary, and the others follow it.")] = (
        False
    )
    store_ids: Annotated[list[UUID], Field(description="Available stores of the same account.")] = []
    databases: Annotated[list[NewDatabase], Field(max_length=50)] = []


class ClusterChange(Asked):
    """When its databases alarm; null: as the schedule has it, or never."""

    model_config = example(rpo_minutes=60, proof_days=30)

    rpo_minutes: StrictInt | None = None
    proof_days: StrictInt | None = None


class PolicyChange(Asked):
    """What of a policy is to be another; what is not sent stays."""

    model_config = example(retention_full=30, full_schedule="0 2 * * 0")

    retention_type: Annotated[str, Field(description="time (days) or count (full backups).")] = ""
    retention_full: StrictInt = 0
    retention_diff: StrictInt | None = None
    full_schedule: Annotated[str, Field(description=SCHEDULE)] = ""
    diff_schedule: Annotated[str, Field(description=SCHEDULE)] = ""
    incr_schedule: Annotated[str, Field(description=SCHEDULE)] = ""
    backup_from: Annotated[str, Field(description="primary or standby.")] = ""
    queue_max: Annotated[StrictInt | None, Field(description="GiB of WAL that may wait; more is dropped.")] = None
    io_timeout: Annotated[StrictInt | None, Field(description="Seconds.")] = None


class HandOver(Asked):
    """When backups are made from the hand-over on; what is not sent is as a new cluster has it."""

    model_config = example(full_schedule="0 1 * * 0", incr_schedule="0 1 * * 1-6")

    full_schedule: Annotated[str, Field(description=SCHEDULE)] = ""
    diff_schedule: Annotated[str, Field(description=SCHEDULE)] = ""
    incr_schedule: Annotated[str, Field(description=SCHEDULE)] = ""
    left_seen: Annotated[bool, Field(description="Where the former file had more: that it gets nothing any more.")] = (
        False
    )
    own_key: Annotated[
        str,
        Field(
            max_length=config_file.BYTES_AT_MOST,
            description="The former file, or its lines with the key, to go on with. Empty: it gets another.",
        ),
    ] = ""
    save_anyway: Annotated[bool, Field(description="Keep that key though it could not be tried.")] = False


class HandedOver(Cluster):
    """A cluster whose hand-over has begun."""

    warnings: Annotated[list[str], Field(description="What the key that it goes on with may beyond its repositories.")]


class TakeBack(Asked):
    """The yes to a hand-over that is taken back."""

    model_config = example(done=True)

    done: Annotated[
        bool, Field(description="That its machine archives and makes backups by the former file again, with its key.")
    ]


class ProximityQuestion(Asked):
    """Which stores, for the nodes of a cluster, or for one node in each region of an account."""

    model_config = example(cloud_account_id=CLUSTER, regions=["eu-west-1"], store_ids=[STORE])

    cluster_id: UUID | None = None
    cloud_account_id: UUID | None = None
    regions: Annotated[list[str], Field(max_length=100, description="One for each node: codes or places.")] = []
    store_ids: Annotated[list[UUID], Field(max_length=1000)] = []


class Reach(Shape):
    """How far one node archives; null where no store is chosen, or none would be nearer."""

    node: str
    region: str
    store_id: UUID | None
    store_region: str
    km: int | None
    round_trip_ms: Annotated[int | None, Field(description="An estimate, by `method`.")]
    nearer_store_id: UUID | None
    nearer_km: int | None


class Proximity(Shape):
    """What is to be said of a choice of stores."""

    sentence: str
    is_good: Annotated[bool, Field(description="Each node has a store in its own region.")]
    nodes: list[Reach]
    method: str


class ClusterDeletion(Asked):
    kit_taken: Annotated[bool, Field(description="Where backups stay: that their recovery kit was taken.")] = False


class StoreSet(Asked):
    """All stores that a cluster is to have."""

    model_config = example(store_ids=[STORE], detach=[])

    store_ids: Annotated[list[UUID], Field(max_length=1000)]
    detach: Annotated[
        list[UUID],
        Field(max_length=1000, description="Exactly those that it has and is to have no more: the yes to that."),
    ] = []


class StorePreview(Shape):
    """What a set of stores would change."""

    attach: list[UUID]
    detach: list[UUID]
    consequences: Annotated[list[str], Field(description="What detaching means, the most serious first.")]


class NewNodes(Asked):
    """Nodes to add."""

    model_config = example(regions=["eu-west-1"])

    regions: Annotated[list[str], Field(description="One for each node: codes or places.")]
    follows: Annotated[str, Field(description="The node whose standbys they are; empty: primaries.")] = ""


class Difference(Asked):
    """In what a database differs on one node; what is empty or null is as in the rest of the cluster."""

    database: str
    data_directory: str = ""
    port: StrictInt | None = None
    service: Annotated[str, Field(description="The server's unit of systemd.")] = ""


class NodeChange(Asked):
    """What of a node is to be another; what is not sent stays."""

    model_config = example(system="debian", os_user="postgres")

    pgbackrest_version: Annotated[str, Field(description="For which pgBackRest its configuration is; empty: each.")] = (
        ""
    )
    system: Annotated[str, Field(description="debian, rpm or other: whose packages the machine has.")] = ""
    os_user: Annotated[str, Field(description="As whom PostgreSQL runs.")] = ""
    differences: Annotated[list[Difference], Field(max_length=100, description="All of them.")] = []
    follows: Annotated[str, Field(description="The primary whose standby it is; empty: it has its own folder.")] = ""
    leaves_own: Annotated[bool, Field(description="That its own folder, with backups in it, may be left.")] = False
    address: Annotated[str, Field(description="At which the other hosts of its replication reach it.")] = ""
    ssh_port: StrictInt = 22
    writes_to: Annotated[str, Field(description="nearest, all or chosen.")] = ""
    store_ids: Annotated[list[UUID], Field(max_length=1000, description="With chosen: attached stores.")] = []


class ShownDifference(Shape):
    database: str
    data_directory: str
    port: int | None
    service: str


class NodeDetail(Node):
    """A node with what it is handed."""

    configuration: Annotated[str, Field(description="applied, outdated or unknown, as the node reported last.")]
    sha256: Annotated[str, Field(description="Of the complete pgbackrest.conf.")]
    pgbackrest_conf: Annotated[str, Field(description="Its secrets are hidden.")]
    troubles: Annotated[list[str], Field(description="What will not work there.")]
    differences: list[ShownDifference]


class NodeKey(Asked):
    """A key of the nodes that was made by hand."""

    model_config = example(access_key_id="AKIAEXAMPLE", secret_access_key="a-secret-of-the-nodes")  # noqa: S106

    access_key_id: str
    secret_access_key: str
    save_anyway: Annotated[bool, Field(description="Keep it though it could not be tried.")] = False


class NodeKeyTaken(Shape):
    access_key_id: str
    warnings: list[str]


class Replacement(Asked):
    """How a key, or a token, is replaced."""

    model_config = example(how="beside")

    how: Annotated[str, Field(description="beside: both are good for a while; at_once: after a theft.")] = "beside"


class Nothing(Asked):
    """Nothing has to be said."""

    model_config = example()


class NewEnrolment(Asked):
    """Which nodes may take what they are handed with one token."""

    model_config = ConfigDict(
        extra="forbid", str_max_length=200_000, json_schema_extra={"example": {"cluster_ids": [CLUSTER]}}
    )

    cluster_ids: Annotated[list[UUID], Field(max_length=1000)]
    whose: Annotated[str, Field(description="new: those that have never reported; all.")] = "new"
    hours: Annotated[StrictInt, Field(description="1, 4, 8 or 24.")] = 4
    machines: Annotated[str, Field(description="Lines of a host name, a space, and a node such as orders-7q4t/n1.")] = (
        ""
    )


class EnrolmentPlace(Shape):
    id: int
    cluster_id: UUID
    node: str
    called: str
    hostname: str
    taken_at: datetime | None
    taken_from: str


class Enrolment(Shape):
    id: int
    is_open: bool
    by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    places: list[EnrolmentPlace]


class NewEnrolmentToken(Enrolment):
    """An enrolment with its token, which is shown this one time."""

    token: str
    command: Annotated[str, Field(description="What a machine runs; it asks for the token.")]


class Repository(Shape):
    """A repository: a cluster's number and passphrase in a store, which outlives the attachment and the cluster."""

    id: int
    cluster_id: UUID | None
    cluster: str
    store_id: UUID | None
    store: str
    bucket: str
    folder: str
    repository: Annotated[int, Field(description="N of pgBackRest's repoN.")]
    in_use: bool
    detached_at: datetime | None
    empty_at: Annotated[datetime | None, Field(description="When its folder was last seen empty.")]
    kit_taken_at: datetime | None
    read_at: datetime | None
    has_loss: Annotated[bool, Field(description="Backups in it are gone that had not expired.")]


class ForgetLoss(Asked):
    """Until when what was missed is no more told of."""

    model_config = example(until="2026-11-30T12:00:00Z")

    until: datetime


class Forgotten(Shape):
    number: Annotated[int, Field(description="Of backups that nobody is told of any more.")]


class NewDrill(Asked):
    """A plan of a restore drill or of a verification."""

    model_config = ConfigDict(
        extra="forbid",
        str_max_length=8000,
        json_schema_extra={"example": {"what": "restore", "schedule": "0 3 * * 0"}},
    )

    what: Annotated[str, Field(description="restore or verify.")] = "restore"
    database: Annotated[str, Field(description="Empty: each.")] = ""
    node: Annotated[str, Field(description="Empty: each.")] = ""
    machine: Annotated[str, Field(description="The drill machine; empty: on the nodes themselves.")] = ""
    schedule: str = "0 3 * * 0"
    backup: Annotated[str, Field(description="newest or random.")] = "newest"
    folder: str = "/var/lib/postgresql/drill"
    keep_free: Annotated[StrictInt, Field(description="GiB.")] = 10
    hours: StrictInt = 6
    is_amchecked: bool = True
    checks: Annotated[str, Field(description="Lines of SQL => answer.")] = ""
    check_database: str = "postgres"


class Drill(NewDrill, Shape):
    """A plan."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={})

    id: int
    created_at: datetime
    reported_at: datetime | None


class DrillRun(Shape):
    """A run of a plan for one database in one repository, as its machine reported it."""

    id: int
    cluster_id: UUID | None
    cluster: str
    node: str
    database: str
    repository: int
    store: str
    machine: str
    what: str
    state: str
    words: Annotated[str, Field(description="Why it did not succeed.")]
    backup: str
    restored_to: datetime | None
    seconds: Annotated[int | None, Field(description="How long the restore took, with its recovery: the RTO.")]
    created_at: datetime
    ended_at: datetime | None


class RecoveryIdentity(Shape):
    """Who reads what was deleted, until a time: made and removed by a worker."""

    state: Annotated[str, Field(description="being_made, ready or ended.")]
    until: datetime
    error: Annotated[str, Field(description="What kept the worker from it; it is tried again.")]


class NewRecoveryIdentity(Asked):
    """For how long an identity reads; and its key, where the server makes none."""

    model_config = example(hours=24)

    hours: Annotated[StrictInt, Field(description="1, 4, 24, 72 or 168.")] = 24
    access_key_id: str = ""
    secret_access_key: Annotated[str, Field(description="Kept encrypted until the end, and never shown again.")] = ""


class RecoveryStep(Shape):
    """What to run, and why."""

    title: str
    text: str


class RecoveryPlan(Shape):
    """How the backups of one database are had back as they were at a time; its secrets are hidden."""

    at: datetime
    folder: Annotated[str, Field(description="What is brought back as a whole: a path in the store.")]
    reads_versions: Annotated[bool, Field(description="pgBackRest reads what was deleted, with a recovery identity.")]
    machine: Annotated[str, Field(description="Where pgBackRest runs.")]
    setup_script: Annotated[str, Field(description="The name of setup.sh, which is run first.")]
    commands: Annotated[list[RecoveryStep], Field(description="To restore from the versions.")]
    pgbackrest_conf: str
    undelete_script: Annotated[str, Field(description="The name of the script that brings the folder back.")]
    undelete_command: str
    undelete_needs: str
    shut_out: Annotated[str, Field(description="How whoever deleted it is shut out.")]
    deleters_command: Annotated[str, Field(description="Says who deleted; empty where there are no logs.")]
    full_backup_command: str


class Recovery(Shape):
    """What can be had back of a repository of which backups were deleted."""

    repository_id: int
    store_id: UUID
    kept_days: Annotated[
        int | None, Field(description="For how long the store keeps what was deleted; null: it does not.")
    ]
    stanzas: Annotated[list[str], Field(description="What is or was in it, such as n1/main.")]
    seen_whole_at: Annotated[datetime | None, Field(description="The last look at which all was there.")]
    identity: RecoveryIdentity | None
    no_identity: Annotated[str, Field(description="Why no identity can be made; empty: one can.")]
    plan: Annotated[RecoveryPlan | None, Field(description="Where `stanza` and `at` were sent.")]
