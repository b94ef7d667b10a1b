"""The nodes' keys, report tokens and passphrases are replaced; enrolments begin and end."""

# No `from __future__ import annotations` here: ninja reads the annotations themselves.

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.cache import never_cache
from ninja import Query

from clusters import enrolment as enrolments
from clusters import keys
from clusters.enrolment_form import EnrolmentForm
from clusters.enrolment_views import enrolment_command
from clusters.forms import KeyForm, ReplaceForm
from clusters.models import Enrolment, EnrolmentPlace
from console.accounts.permissions import Permission
from console.api import cluster_shapes as asks
from console.api import shapes
from console.api.authentication import CallRequest
from console.api.calls import answered, creates, does, reads, sets
from console.api.cluster_rows import begun, changing, find, named, told
from console.api.idempotency import once
from console.api.lists import ListQuery, page
from console.api.problems import Problem, fields
from console.api.reading import of_form
from console.api.shown import moment

MANAGE, SECRETS = Permission.MANAGE_CLUSTERS, Permission.SEE_SECRETS
KEY = "/clusters/{uuid:pk}/key"


@sets(KEY, MANAGE, asks.NodeKeyTaken)
def set_node_key(request: CallRequest, pk: UUID, asked: asks.NodeKey) -> HttpResponse:
    """Try a key of the nodes that was made by hand, and take it when it works; it is never shown again."""
    cluster = find(request, pk)
    if not cluster.takes_key:
        raise Problem(409, f"The console makes the key of {cluster.name}'s nodes itself.")
    form = KeyForm(asked.model_dump())
    if not form.is_valid():
        raise of_form(form)
    trial = keys.try_key(cluster, form.key)
    if not form.accepts(trial):
        more = [*trial.refused, *trial.unread] if not trial.field else []
        refused = of_form(form)
        raise fields([*refused.errors, *(("/access_key_id", one) for one in more)])
    keys.give_key(cluster, by=request.person, trial=trial, **form.key)
    return answered({"access_key_id": asked.access_key_id, "warnings": [*trial.broad, *trial.left]})


def _at_once(asked: asks.Replacement) -> bool:
    form = ReplaceForm(asked.model_dump())
    if not form.is_valid():
        raise of_form(form)
    return form.at_once


@does(f"{KEY}/replace", MANAGE, shapes.Cluster, status=202)
@once
def replace_node_key(request: CallRequest, pk: UUID, asked: asks.Replacement) -> HttpResponse:
    """Begin to replace the nodes' key: by a second one beside it, or, after a theft, at once."""
    at_once = _at_once(asked)
    with changing(request, pk) as cluster:
        keys.replace_key(cluster, at_once=at_once, by=request.person)
        return begun(request, pk)


@does(f"{KEY}/end", MANAGE, shapes.Cluster)
@once
def end_former_key(request: CallRequest, pk: UUID, asked: asks.Nothing) -> HttpResponse:
    """End the former key though nodes have it; of one made by hand, say that it is deleted. `task` is what ends it."""
    with changing(request, pk) as cluster:
        keys.end_former(cluster, by=request.person)
        return told(request, pk)


@does(f"{KEY}/back", MANAGE, shapes.Cluster)
@once
def go_back_to_former_key(request: CallRequest, pk: UUID, asked: asks.Nothing) -> HttpResponse:
    """Hand out the former key again."""
    with changing(request, pk) as cluster:
        keys.go_back(cluster, by=request.person)
        return told(request, pk)


@does("/clusters/{uuid:pk}/nodes/{slug:name}/token", MANAGE, shapes.Cluster)
@once
def replace_report_token(request: CallRequest, pk: UUID, name: str, asked: asks.Replacement) -> HttpResponse:
    """Give a node another token for its reports: it is in its next set-up script."""
    at_once = _at_once(asked)
    with changing(request, pk) as cluster:
        keys.replace_token(named(cluster, name), at_once=at_once, by=request.person)
        return told(request, pk)


# Enrolments


def _enrolments(request: CallRequest) -> Any:
    rows = Enrolment.objects.visible_to(request.membership).select_related("by", "organisation")
    return rows.prefetch_related("places__node__cluster")


def _shown(row: Enrolment) -> dict[str, Any]:
    return {
        "id": row.pk,
        "is_open": row.is_open,
        "by": row.by.username if row.by else "",
        "created_at": moment(row.created_at),
        "expires_at": moment(row.expires_at),
        "revoked_at": moment(row.revoked_at),
        "places": [
            {
                "id": one.pk,
                "cluster_id": str(one.node.cluster_id),
                "node": one.node.name,
                "called": one.called,
                "hostname": one.hostname,
                "taken_at": moment(one.taken_at),
                "taken_from": one.address or "",
            }
            for one in row.places.all()
        ],
    }


def _answered(request: CallRequest, pk: int) -> HttpResponse:
    return answered(_shown(get_object_or_404(_enrolments(request), pk=pk)))


@reads("/enrolments", SECRETS, shapes.Page[asks.Enrolment], asked=ListQuery)
def list_enrolments(request: CallRequest, asked: Query[ListQuery]) -> HttpResponse:
    """List the enrolments, newest first, with the nodes that have taken their files and those that wait."""
    return answered(page(_enrolments(request), asked, _shown))


@reads("/enrolments/{int:pk}", SECRETS, asks.Enrolment)
def get_enrolment(request: CallRequest, pk: int) -> HttpResponse:
    """Show one enrolment."""
    return _answered(request, pk)


@creates("/enrolments", SECRETS, asks.NewEnrolmentToken, status=201)
@never_cache
def begin_enrolment(request: CallRequest, asked: asks.NewEnrolment) -> HttpResponse:
    """Make a token with which machines take what their nodes are handed; it is shown this one time.

    It is good while the person who made it may see secrets, so a service account makes none.
    """
    if request.person is None:
        raise Problem(409, "An enrolment is good while the person who began it may see secrets: use a person's token.")
    given = {**asked.model_dump(exclude={"cluster_ids"}), "clusters": [str(one) for one in asked.cluster_ids]}
    form = EnrolmentForm(given, membership=request.membership)
    if not form.is_valid():
        raise of_form(form, {"clusters": "cluster_ids"})
    made, token = enrolments.begin(
        request.membership.organisation,
        nodes=form.nodes,
        hostnames=form.hostnames,
        hours=int(form.cleaned_data["hours"]),
        by=request.person,
    )
    row = _enrolments(request).get(pk=made.pk)
    return answered({**_shown(row), "token": token, "command": enrolment_command(request)}, status=201)


@does("/enrolments/{int:pk}/revoke", SECRETS, asks.Enrolment)
@once
def revoke_enrolment(request: CallRequest, pk: int, asked: asks.Nothing) -> HttpResponse:
    """Have the token of an enrolment taken no more."""
    enrolments.revoke(get_object_or_404(_enrolments(request), pk=pk), by=request.person)
    return _answered(request, pk)


@does("/enrolments/{int:pk}/places/{int:place}/again", SECRETS, asks.Enrolment)
@once
def allow_enrolment_again(request: CallRequest, pk: int, place: int, asked: asks.Nothing) -> HttpResponse:
    """Let a node be enrolled once more with the same token."""
    mine = EnrolmentPlace.objects.filter(enrolment__in=Enrolment.objects.visible_to(request.membership).filter(pk=pk))
    found = get_object_or_404(mine.select_related("enrolment__organisation", "node__cluster"), pk=place)
    if not enrolments.allow_again(found, by=request.person):
        raise Problem(409, f"{found} is not enrolled, or the token is not taken any more: begin an enrolment.")
    return _answered(request, pk)
