"""Who belongs to the organisation: members and their roles, invitations, and whether a second factor is asked for.

A token gives nobody a role that may more than the token itself: through that person it could.
"""

# No `from __future__ import annotations` here: ninja reads the annotations themselves.

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from ninja import Query
from pydantic import Field

from console.accounts import members
from console.accounts.member_forms import InviteForm, RoleForm
from console.accounts.models import Invitation, Membership, Organisation
from console.accounts.permissions import ROLES, Permission
from console.api import shapes, shown
from console.api.authentication import NAMES, CallRequest
from console.api.bodies import Body, sent
from console.api.calls import answered, changes, creates, reads, removes
from console.api.idempotency import once
from console.api.lists import ListQuery, page
from console.api.problems import Problem, fields
from console.api.reading import of_form
from console.api.shapes import Page, Shape
from console.api.shown import moment


def at_most_its_own(request: CallRequest, role: str) -> None:
    """Raise Problem for a role that may more than the token."""
    if missing := sorted(NAMES[one] for one in ROLES[role] - request.token.may):
        raise Problem(403, f"A token gives nobody a role that may more than it does. It lacks {', '.join(missing)}.")


def _refused(error: members.MembershipRefused) -> Problem:
    return fields([(f"/{error.field}", str(error))]) if error.field else Problem(409, str(error))


# Members


def _member(request: CallRequest, pk: int) -> Membership:
    mine = Membership.objects.visible_to(request.membership).select_related("user", "organisation")
    membership: Membership = get_object_or_404(mine, pk=pk)
    return membership


@reads("/members/{int:pk}", Permission.SEE_MEMBERS, shapes.Member)
def get_member(request: CallRequest, pk: int) -> HttpResponse:
    """Show one member."""
    return answered(shown.member(_member(request, pk)))


class ChangedMember(Body):
    """What a member may do from now on."""

    model_config = sent(role="viewer")

    role: Annotated[str, Field(description="owner, admin, auditor or viewer.")]


@changes("/members/{int:pk}", Permission.MANAGE_MEMBERS, shapes.Member)
def change_member(request: CallRequest, pk: int, asked: ChangedMember) -> HttpResponse:
    """Give a member another role; an organisation always keeps an owner (409)."""
    membership, form = _member(request, pk), RoleForm(asked.dict())
    if not form.is_valid():
        raise of_form(form)
    at_most_its_own(request, form.cleaned_data["role"])
    try:
        members.change_role(membership, form.cleaned_data["role"], by=request.person)
    except members.MembershipRefused as error:
        raise _refused(error) from error
    return answered(shown.member(_member(request, pk)))


@removes("/members/{int:pk}", Permission.MANAGE_MEMBERS)
def remove_member(request: CallRequest, pk: int) -> HttpResponse:
    """Remove a member, whose tokens end with that; an organisation always keeps an owner (409)."""
    membership = _member(request, pk)
    if request.person and membership.user_id == request.person.pk:
        raise Problem(409, "Leave the organisation in the browser, where you say again that it is you.")
    try:
        members.remove(membership, by=request.person)
    except members.MembershipRefused as error:
        raise _refused(error) from error
    return answered(None, status=204)


# Invitations


class InvitationShown(Shape):
    """Somebody who may join by a link that was sent to them."""

    id: UUID
    email: str
    role: str
    by: str
    created_at: datetime
    expires_at: datetime
    is_open: bool


class NewInvitation(InvitationShown):
    """An invitation with its link, which is shown this one time."""

    link: str
    sent: Annotated[str, Field(description="sent, failed, or empty where the console sends no e-mail.")]


def _invitation(row: Invitation) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "email": row.email,
        "role": row.role,
        "by": row.by.username if row.by else "",
        "created_at": moment(row.created_at),
        "expires_at": moment(row.expires_at),
        "is_open": row.is_open,
    }


@reads("/invitations", Permission.SEE_MEMBERS, Page[InvitationShown], asked=ListQuery)
def list_invitations(request: CallRequest, asked: Query[ListQuery]) -> HttpResponse:
    """List who is invited, newest first; never a link."""
    rows = Invitation.objects.visible_to(request.membership).select_related("by")
    return answered(page(rows, asked, _invitation))


class Invite(Body):
    """Whom to invite, and as what."""

    model_config = sent(email="carol@example.com", role="viewer")

    email: str
    role: Annotated[str, Field(description="owner, admin, auditor or viewer.")]


@creates("/invitations", Permission.MANAGE_MEMBERS, NewInvitation, status=201)
@once
def invite_member(request: CallRequest, asked: Invite) -> HttpResponse:
    """Invite somebody, in place of an earlier invitation; the link is sent, and shown this one time."""
    form = InviteForm(asked.dict())
    if not form.is_valid():
        raise of_form(form)
    at_most_its_own(request, form.cleaned_data["role"])
    organisation = request.membership.organisation
    try:
        invitation, token = members.invite(organisation, **form.cleaned_data, by=request.person)
    except members.MembershipRefused as error:
        raise _refused(error) from error
    link = request.build_absolute_uri(reverse("join", args=[token]))
    told = {"link": link, "sent": members.send(invitation, link)}
    return answered({**_invitation(invitation), **told}, status=201, location="/api/v1/invitations")


@removes("/invitations/{uuid:pk}", Permission.MANAGE_MEMBERS)
def revoke_invitation(request: CallRequest, pk: UUID) -> HttpResponse:
    """Take an invitation back: its link leads nowhere any more."""
    mine = Invitation.objects.visible_to(request.membership).select_related("organisation")
    members.revoke(get_object_or_404(mine, pk=pk), by=request.person)
    return answered(None, status=204)


# The organisation


class OrganisationShown(Shape):
    """The organisation of the token."""

    id: UUID
    name: str
    edition: str
    second_factor_required: bool
    created_at: datetime


def _organisation(row: Organisation) -> dict[str, Any]:
    known = Organisation.objects.get(pk=row.pk)
    return {
        "id": str(known.pk),
        "name": known.name,
        "edition": known.edition,
        "second_factor_required": known.second_factor_required,
        "created_at": moment(known.created_at),
    }


@reads("/organisation", Permission.SEE_MEMBERS, OrganisationShown)
def get_organisation(request: CallRequest) -> HttpResponse:
    """Show the organisation, and what it asks of its members."""
    return answered(_organisation(request.membership.organisation))


class ChangedOrganisation(Body):
    """What is asked of members."""

    model_config = sent(second_factor_required=True)

    second_factor_required: bool


@changes("/organisation", Permission.MANAGE_MEMBERS, OrganisationShown)
def change_organisation(request: CallRequest, asked: ChangedOrganisation) -> HttpResponse:
    """Ask a second factor of every member from their next click on, or no longer."""
    organisation = request.membership.organisation
    if asked.second_factor_required != organisation.second_factor_required:
        try:
            members.require_second_factor(organisation, asked.second_factor_required, by=request.person)
        except members.MembershipRefused as error:
            raise _refused(error) from error
    return answered(_organisation(organisation))
