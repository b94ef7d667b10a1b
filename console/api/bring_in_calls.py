"""Repositories that were there before: a list is looked at, shown, and added as it was seen."""

# No `from __future__ import annotations` here: ninja reads the annotations themselves.

from typing import Annotated, Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from ninja import Schema
from pydantic import ConfigDict, Field

from clusters.bring_in import taking
from clusters.bring_in.lists import Reader, Wrong
from clusters.models import Bringing
from clusters.pgbackrest import config_file
from console.accounts.permissions import Permission
from console.api import shapes
from console.api.authentication import CallRequest
from console.api.calls import answered, creates, reads, removes
from console.api.idempotency import once
from console.api.problems import Problem, fields
from console.web.csv_lines import LINES_AT_MOST

# What the form of the page calls otherwise.
NAMES = {"store": "store_id", "text": "file", "upload": "file", "__all__": ""}


class NewRepository(Schema):
    """A machine's repository to bring in: its pgbackrest.conf, or path, one stanza and passphrase."""

    model_config = ConfigDict(extra="forbid", str_max_length=config_file.BYTES_AT_MOST)

    name: Annotated[
        str,
        Field(
            description="Of the cluster. Machines of one replication have the same.",
            json_schema_extra={"maxLength": 60},
        ),
    ]
    store_id: UUID
    file: Annotated[str, Field(description="The text of its pgbackrest.conf.")] = ""
    path: Annotated[str, Field(description="As repo1-path has it, without a file.")] = ""
    stanzas: Annotated[list[str], Field(max_length=20, description="Empty: all of the file.")] = []
    passphrase: Annotated[str, Field(description="repo1-cipher-pass, where the file has none. Never shown again.")] = ""
    region: Annotated[str, Field(description="Of the node: a code or a place. Empty: where the store is.")] = ""


class NewBringIn(Schema):
    """Repositories to look at."""

    model_config = ConfigDict(extra="forbid")

    repositories: Annotated[list[NewRepository], Field(min_length=1, max_length=LINES_AT_MOST)]


class Seen(Schema):
    """What was seen, and is to be added."""

    model_config = ConfigDict(extra="forbid", str_max_length=100)

    seen: Annotated[list[str], Field(min_length=1, max_length=LINES_AT_MOST, description="`seen` of the clusters.")]


class FoundStanza(shapes.Shape):
    name: str
    postgresql: str
    system_id: str
    backups: int


class FoundRepository(shapes.Shape):
    number: Annotated[int, Field(description="N of pgBackRest's repoN.")]
    store_id: UUID
    stanzas: list[FoundStanza]


class Found(shapes.Shape):
    """What was found of one cluster of the list."""

    name: str
    state: Annotated[str, Field(description="waiting, ready, refused or added.")]
    nodes: int
    repositories: list[FoundRepository]
    seen: Annotated[str, Field(description="Stands for what was found; send it to have that added. Empty: not ready.")]
    error: str
    error_field: str
    cluster_id: UUID | None


class BringIn(shapes.Shape):
    """A list of repositories, which is forgotten after two hours; clusters that came of it stay."""

    id: UUID
    clusters: list[Found]


def _rows(request: CallRequest, batch: UUID) -> QuerySet[Bringing]:
    rows = Bringing.objects.visible_to(request.membership).filter(batch=batch).select_related("cluster").order_by("pk")
    if not rows:
        raise Http404
    return rows


def _shown(row: Bringing) -> dict[str, Any]:
    """Show a row; nothing of what was entered but its name."""
    opened, stores = (row.content or {}).get("opened", {}), (row.content or {}).get("stores", {})
    state = "added" if row.cluster else "waiting" if row.is_waiting else "refused" if row.error else "ready"
    field = row.details.get("field", "") if row.error else ""
    return {
        "name": row.cluster.name if row.cluster else row.entered["name"],
        "state": state,
        "nodes": row.cluster.nodes_made if row.cluster else 1 + len(row.entered.get("machines", ())),
        "repositories": [
            {
                "number": int(number),
                "store_id": stores[number],
                "stanzas": [{"name": name, **info} for name, info in infos.items() if info],
            }
            for number, infos in opened.items()
        ],
        "seen": taking.seen_of(row.content) if row.is_ready else "",
        "error": row.error,
        "error_field": NAMES.get(field, field),
        "cluster_id": str(row.cluster_id) if row.cluster_id else None,
    }


def _answer(request: CallRequest, batch: UUID, status: int = 200) -> HttpResponse:
    content = {"id": str(batch), "clusters": [_shown(row) for row in _rows(request, batch)]}
    return answered(content, status=status, location=f"/api/v1/clusters/bring-in/{batch}" if status == 202 else "")


@creates("/clusters/bring-in", Permission.MANAGE_CLUSTERS, BringIn)
@once
def bring_in(request: CallRequest, asked: NewBringIn) -> HttpResponse:
    """Have a worker look at repositories that were there before; nothing is written, and nothing added yet."""
    reader, wrong = Reader(request.membership, "item"), []
    for at, one in enumerate(asked.repositories):
        given = {"name": one.name, "store": str(one.store_id), "text": one.file, "path": one.path}
        given |= {"stanzas": " ".join(one.stanzas), "passphrase": one.passphrase, "region": one.region}
        try:
            reader.take(at, given)
        except Wrong as error:
            wrong += [(f"/repositories/{at}/{NAMES.get(name, name)}".rstrip("/"), said) for name, said in error.errors]
    if wrong:
        raise fields(wrong)
    wishes = [(one.account, one.entered()) for one in reader.wishes]
    try:
        batch = taking.begin_list(request.membership, wishes, by=request.person)
    except taking.TooMany as error:
        raise Problem(409, str(error)) from error
    return _answer(request, batch, 202)


@reads("/clusters/bring-in/{uuid:pk}", Permission.MANAGE_CLUSTERS, BringIn)
def get_bring_in(request: CallRequest, pk: UUID) -> HttpResponse:
    """Show what was found of each cluster of a list."""
    return _answer(request, pk)


@creates("/clusters/bring-in/{uuid:pk}/add", Permission.MANAGE_CLUSTERS, BringIn)
@once
def add_bring_in(request: CallRequest, pk: UUID, asked: Seen) -> HttpResponse:
    """Add the clusters of which exactly this was seen; each is read once more before, and refused if it changed."""
    rows = _rows(request, pk)
    ready = {taking.seen_of(row.content) for row in rows if row.is_ready}
    if unknown := [at for at, one in enumerate(asked.seen) if one not in ready]:
        raise fields(
            [(f"/seen/{at}", "Nothing that can be added is so now. Look at the list again.") for at in unknown]
        )
    taking.agree(rows, asked.seen)
    return _answer(request, pk, 202)


@creates("/clusters/bring-in/{uuid:pk}/look", Permission.MANAGE_CLUSTERS, BringIn)
def look_bring_in(request: CallRequest, pk: UUID) -> HttpResponse:
    """Have a worker look again at those that were refused."""
    taking.look_again(_rows(request, pk))
    return _answer(request, pk, 202)


@removes("/clusters/bring-in/{uuid:pk}", Permission.MANAGE_CLUSTERS)
def forget_bring_in(request: CallRequest, pk: UUID) -> HttpResponse:
    """Forget a list with what was entered; clusters that came of it stay, and nothing is changed in any store."""
    _rows(request, pk).delete()
    return answered(None, status=204)
