"""The shapes of the compatible surface. What is not set is left out of an answer: never null."""

# No `from __future__ import annotations` here: ninja reads the annotations themselves.

from typing import Annotated, Literal
from uuid import UUID

from ninja import Schema
from pydantic import ConfigDict, Field

Text = Annotated[str, Field(max_length=300)]
Texts = Annotated[list[Text], Field(max_length=100)]
Number = Annotated[int, Field(ge=0, le=10**9)]
Tags = Annotated[dict[Text, Text], Field(max_length=100)]


class Error(Schema):
    code: int
    message: str


class Sent(Schema):
    """A body: a field that is not known is refused."""

    model_config = ConfigDict(extra="forbid")


# Stores and tasks


class BackupStore(Schema):
    id: UUID
    name: str
    cloud_account_id: str
    cloud_account_type: str
    status: str
    created_at: str
    updated_at: str
    cluster_ids: list[str] = []
    properties: dict[str, str] = {}


class NewBackupStore(Sent):
    name: Text
    cloud_account_id: UUID
    region: Text | None = None


class Message(Schema):
    time: str
    level: str
    text: str
    status: str = ""
    step: str = ""
    progress: int = 0


class Task(Schema):
    id: UUID
    name: str
    subject_kind: str
    subject_id: UUID
    status: Literal["queued", "running", "succeeded", "failed"]
    messages: list[Message]
    error: str = ""
    created_at: str
    updated_at: str


# Accounts


class CloudAccount(Schema):
    id: UUID
    name: str
    type: str
    properties: dict[str, str]
    description: str = ""
    created_at: str
    updated_at: str


class NewCloudAccount(Sent):
    type: Text
    credentials: Annotated[dict[Text, Annotated[str, Field(max_length=100_000)]], Field(max_length=20)]
    name: Text | None = None
    description: Text | None = None


class Zones(Schema):
    availability_zones: list[str]


class Client(Schema):
    id: UUID
    name: str
    description: str
    auth0_id: str
    created_at: str
    updated_at: str


class NewClient(Sent):
    name: Text
    description: Text


class MadeClient(Client):
    auth0_secret: str


class ChangedClient(Sent):
    name: Text | None = None
    description: Text | None = None


class Tenant(Schema):
    id: UUID
    name: str
    plan: str
    external_id: str = ""
    created_at: str
    updated_at: str


# Clusters


class NodeSettings(Sent):
    region: Text
    name: Text | None = None
    availability_zone: Text | None = None
    image: Text | None = None
    instance_type: Text | None = None
    options: Texts | None = None
    volume_iops: Number | None = None
    volume_size: Number | None = None
    volume_type: Text | None = None


class NetworkSettings(Sent):
    region: Text
    name: Text | None = None
    cidr: Text | None = None
    external: bool | None = None
    external_id: Text | None = None
    public_subnets: Texts | None = None
    private_subnets: Texts | None = None
    subnets: Texts | None = None


class FirewallRule(Sent):
    port: Annotated[int, Field(ge=1, le=65535)]
    sources: Texts | None = None
    name: Text | None = None


class AccountOf(Sent):
    id: Text
    name: Text | None = None
    type: Text | None = None
    native_id: Text | None = None


class ClusterSettings(Sent):
    """What both a new cluster and a change of one may say."""

    regions: Annotated[list[Text], Field(min_length=1, max_length=20)]
    backup_store_ids: Annotated[list[Text], Field(max_length=300)] | None = None
    nodes: Annotated[list[NodeSettings], Field(max_length=20)] | None = None
    networks: Annotated[list[NetworkSettings], Field(max_length=100)] | None = None
    firewall_rules: Annotated[list[FirewallRule], Field(max_length=100)] | None = None
    resource_tags: Tags | None = None
    capacity: Number | None = None
    ssh_key_id: Text | None = None
    vpc_associations: Annotated[list[dict[str, Text]], Field(max_length=100)] | None = None
    options: Texts | None = None
    cloud_account_id: Text | None = None
    cloud_account: AccountOf | None = None


class NewCluster(ClusterSettings):
    name: Text
    node_location: Literal["public", "private"]


class ChangedCluster(ClusterSettings):
    name: Text | None = None
    node_location: Literal["public", "private"] | None = None


class AccountOfCluster(Schema):
    id: str
    name: str = ""
    type: str = ""
    native_id: str = ""


class Cluster(Schema):
    id: UUID
    name: str
    status: str
    created_at: str
    updated_at: str = ""
    regions: list[str]
    node_location: str
    cloud_account: AccountOfCluster
    backup_store_ids: list[str] = []
    nodes: list[NodeSettings] = []
    networks: list[NetworkSettings] = []
    firewall_rules: list[FirewallRule] = []
    resource_tags: dict[str, str] = {}
    ssh_key_id: str = ""
    capacity: int = 0


class Location(Schema):
    latitude: float
    longitude: float
    code: str = ""
    name: str = ""
    city: str = ""
    country: str = ""


class RegionDetail(Schema):
    cloud: str
    code: str
    name: str
    active: bool
    availability_zones: list[str]


class Distance(Schema):
    distance: float
    from_latitude: float
    from_longitude: float
    unit: str


class ClusterNode(Schema):
    id: str
    name: str
    region: str
    region_detail: RegionDetail
    location: Location
    is_active: bool
    availability_zone: str
    image_id: str
    instance_id: str
    instance_type: str
    ip_address: str
    key_name: str
    pg_version: str
    volume_iops: int
    volume_size: int
    volume_type: str
    distance_measurement: Distance | None = None
