"""Enrolments: made, used by machines, allowed again, revoked. Whoever has the token gets what has a place, once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from secrets import compare_digest, token_urlsafe

from django.core.cache import cache
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from clusters import keys
from clusters.models import Cluster, Enrolment, EnrolmentPlace, Node
from clusters.node_setup import NodeSetup, node_setups
from clusters.repositories import memory
from console.accounts import activity
from console.accounts.models import Membership, Organisation, User
from console.accounts.permissions import ROLES, Permission
from console.accounts.personal_data import KEPT, Kept

KEPT_FOR = timedelta(days=30)  # after its end; the audit log keeps who took what
A_MINUTE = 60  # seconds
UNKNOWN_A_MINUTE = 60  # tokens that are none, from one address
ASKED_A_MINUTE = 20  # of one node, by whoever has the token
REFUSALS_AN_HOUR = 60  # that are written down
MACHINE = re.compile(r"[0-9a-f]{64}|")
KEPT.append(Kept("enrolments", "clusters.Enrolment", "by", ("created_at", "organisation__name", "expires_at")))


class NotHandedOut(Exception):
    """Nothing is handed out; the message says why, and `status` is that of the answer."""

    def __init__(self, message: str, status: int = 409) -> None:
        super().__init__(message)
        self.status = status


# One answer to every token that is not taken, be it unknown, over, revoked, or made by somebody who may no longer.
NO_TOKEN = "This token is not taken: it may be mistyped, over, or revoked. Make one in the console, Enrolment."  # noqa: S105


@dataclass(frozen=True)
class Asked:
    """What a machine says of itself, and what it wants."""

    node: str = ""  # n1 or orders-7q4t/n1; "": by its host name
    hostnames: tuple[str, ...] = ()
    machine: str = ""  # as Node.machine
    address: str = ""
    replaces: bool = False  # it takes the place of another


def begin(
    organisation: Organisation, *, nodes: Sequence[Node], hostnames: Mapping[int, str], hours: int, by: User
) -> tuple[Enrolment, str]:
    """Make a token for these nodes; `hostnames` are those of machines, by the node's key. It is kept nowhere."""
    token, now = token_urlsafe(32), timezone.now()
    with transaction.atomic():
        Enrolment.objects.filter(organisation=organisation, expires_at__lt=now - KEPT_FOR).delete()
        enrolment = Enrolment.objects.create(
            organisation=organisation,
            token_sha256=_digest(token),
            by=by,
            created_at=now,
            expires_at=now + timedelta(hours=hours),
        )
        places = [EnrolmentPlace(enrolment=enrolment, node=one, hostname=hostnames.get(one.pk, "")) for one in nodes]
        EnrolmentPlace.objects.bulk_create(places)
        after = {"nodes": ", ".join(str(one) for one in places)[:2000], "hours": hours}
        activity.record("Began an enrolment", enrolment, organisation=organisation, by=by, after=after)
    return enrolment, token


def revoke(enrolment: Enrolment, *, by: User | None) -> bool:
    """Have its token taken no more; False where it was not any more already."""
    with transaction.atomic():
        if not Enrolment.objects.open().filter(pk=enrolment.pk).update(revoked_at=timezone.now()):
            return False
        after = {"enrolled": enrolment.taken, "waiting": len(enrolment.waiting)}
        activity.record("Revoked an enrolment", enrolment, organisation=enrolment.organisation, by=by, after=after)
    return True


def allow_again(place: EnrolmentPlace, *, by: User | None) -> bool:
    """Let the node be taken once more; False where it was not taken, or its token is not taken any more."""
    node, enrolment = place.node, place.enrolment
    with transaction.atomic():
        taken = EnrolmentPlace.objects.filter(pk=place.pk, enrolment__in=Enrolment.objects.open())
        if not taken.exclude(taken_at=None).update(taken_at=None):
            return False
        if node.reported_at is None:  # it was the enrolment that said which machine it is
            Node.objects.filter(pk=node.pk, reported_at=None).update(machine="")
        before = {"cluster": node.cluster.name, "address": place.address, "machine": place.machine[:12]}
        activity.record("Allowed to enrol again", node, organisation=enrolment.organisation, by=by, before=before)
    return True


def progress(cluster: Cluster) -> list[Enrolment]:
    """Return the enrolments that are open for nodes of the cluster, with how far they are."""
    found = Enrolment.objects.open().of_cluster(cluster).prefetch_related("places__node__cluster")
    return [one for one in found if one.waiting]


# What machines do


def find(token: str, address: str) -> Enrolment:
    """Return the enrolment whose token this is; raises NotHandedOut, the same for each that is none."""
    attempts = f"enrolment-of-nobody-{address}"
    if cache.get(attempts, 0) >= UNKNOWN_A_MINUTE:
        raise NotHandedOut(gettext("Too many tokens that are none came from this address. Wait for a minute."), 429)
    digest = _digest(token)
    found: Enrolment | None = Enrolment.objects.select_related("organisation").filter(token_sha256=digest).first()
    if found and compare_digest(found.token_sha256, digest) and found.is_open and _is_by_somebody_who_may(found):
        return found
    _count(attempts)
    if found:  # whose token it was should hear that somebody tries it
        activity.record(
            "Was refused an enrolment",
            found,
            organisation=found.organisation,
            by=None,
            outcome=activity.Outcome.REFUSED,
            after={"needs": "an open enrolment of somebody who may see secrets"},
            hourly_limit=REFUSALS_AN_HOUR,
        )
    raise NotHandedOut(NO_TOKEN, 403)


def _is_by_somebody_who_may(enrolment: Enrolment) -> bool:
    if not enrolment.organisation.is_enterprise:
        return False
    members = Membership.objects.filter(organisation=enrolment.organisation, user=enrolment.by_id, user__is_active=True)
    role = members.values_list("role", flat=True).first()
    return role is not None and Permission.SEE_SECRETS in ROLES[role]


def place_for(enrolment: Enrolment, asked: Asked) -> EnrolmentPlace:
    """Return the place of the machine that asks; raises NotHandedOut where none is its, or several could be."""
    places = list(enrolment.places.select_related("node__cluster__organisation"))
    if asked.node:
        found = [one for one in places if asked.node in {one.node.name, one.called}]
        what = f"no node {asked.node}"
    else:
        found = _named(places, {one.lower() for one in asked.hostnames if one})
        what = f"no machine {' or '.join(dict.fromkeys(asked.hostnames)) or 'without a name'}"
    if len(found) == 1:
        return found[0]
    called = sorted(str(one) for one in (found or places))
    listed = f"{', '.join(called[:20])}{' …' if len(called) > 20 else ''}"
    if found:
        raise NotHandedOut(
            gettext("It could be one of several: {listed}. Say which with --node.").format(listed=listed), 422
        )
    raise NotHandedOut(
        gettext("This enrolment knows {what}. Say which it is with --node: {listed}.").format(what=what, listed=listed),
        422,
    )


def _named(places: Sequence[EnrolmentPlace], names: set[str]) -> list[EnrolmentPlace]:
    """Return the places of a machine with one of these names: as the enrolment says, else as the nodes do."""
    shorts = {one.partition(".")[0] for one in names}
    if found := [one for one in places if one.hostname.lower() in names]:
        return found
    if found := [one for one in places if one.hostname and one.hostname.lower() in shorts]:
        return found
    unsaid = [one for one in places if not one.hostname]
    if found := [one for one in unsaid if one.node.address and one.node.address.lower() in names | shorts]:
        return found
    return [one for one in unsaid if one.node.name in shorts]


def setup_for(place: EnrolmentPlace, asked: Asked) -> NodeSetup:
    """Return what the node is handed, if it may be now: raises NotHandedOut, with what to do."""
    often = f"enrolment-of-place-{place.pk}"
    if cache.get(often, 0) >= ASKED_A_MINUTE:
        raise NotHandedOut(gettext("{place} was asked for too often. Wait for a minute.").format(place=place), 429)
    _count(often)
    if not MACHINE.fullmatch(asked.machine):
        raise NotHandedOut(gettext("This is no digest of a machine-id."), 422)
    node = place.node
    if node.machine and asked.machine and node.machine != asked.machine and not node.is_silent:
        raise NotHandedOut(
            gettext("Another machine reports as {place} now. Stop that one first, or say which node this is.").format(
                place=place
            )
        )
    cluster = Cluster.objects.with_node_setup().get(pk=node.cluster_id)
    node_setup = next(one for one in node_setups(cluster) if one.node.pk == node.pk)
    if node_setup.missing:
        raise NotHandedOut(node_setup.missing)
    return node_setup


def hand_out(place: EnrolmentPlace, node_setup: NodeSetup, asked: Asked) -> None:
    """Write down that the machine gets the node's files with their secrets; raises NotHandedOut where another has."""
    node = node_setup.node
    is_other = node.machine and asked.machine and node.machine != asked.machine
    if is_other and not asked.replaces and place.taken_at is None:
        raise NotHandedOut(
            gettext("{place} was another machine. If this one takes its place, add --replace.").format(place=place)
        )
    with transaction.atomic():
        if not place.take(machine=asked.machine, address=asked.address or None):
            place.refresh_from_db(fields=["taken_at", "address"])
            if place.taken_at is None:
                raise NotHandedOut(NO_TOKEN, 403)
            raise NotHandedOut(
                gettext(
                    "{place} was enrolled already, {taken_at} UTC from {value}. If that was not this "
                    "machine, tell your administrators at once. They can allow it again: Enrolment."
                ).format(place=place, taken_at=f"{place.taken_at:%Y-%m-%d %H:%M}", value=place.address or "nowhere")
            )
        if asked.machine and not node.machine:
            node.machine = asked.machine
            node.save(update_fields=["machine"])
        memory.note_setup(node_setup.cluster)
        keys.note_file(node_setup)
        activity.record(
            "Handed out the set-up script by enrolment",
            node,
            organisation=place.enrolment.organisation,
            by=None,
            after={"cluster": node_setup.cluster.name, "enrolment": place.enrolment_id, "machine": asked.machine[:12]},
        )


def _count(key: str) -> None:
    cache.set(key, cache.get(key, 0) + 1, A_MINUTE)  # no more than a guard against floods: two at once may count as one


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
