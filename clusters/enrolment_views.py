"""Enrolments, for who manages them, and the two addresses at which machines ask: whoever has the token is let in."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from clusters import enrolment as enrolments
from clusters.addresses import console_address, report_address
from clusters.enrolment import Asked, NotHandedOut
from clusters.enrolment_form import EnrolmentForm
from clusters.handover.enrolment_script import command, enrolment_script
from clusters.models import Enrolment, EnrolmentPlace
from console.accounts.access import MemberRequest, require_permission
from console.accounts.permissions import Permission
from console.web.middleware import client_address
from console.web.pages import announced, dialog_form, fragment_or_page, paginate, posted

CHANGED = ("enrolments-changed", "clusters-changed")
TEXT_AT_MOST = 300  # characters of what a machine says


def _enrolments(request: MemberRequest) -> Any:
    rows = Enrolment.objects.visible_to(request.membership).select_related("by")
    return rows.prefetch_related("places__node__cluster")


@require_GET
@require_permission(Permission.SEE_SECRETS)
def enrolment_list(request: MemberRequest) -> HttpResponse:
    """Show the organisation's enrolments, newest first."""
    context = {"page": paginate(request, _enrolments(request))}
    return fragment_or_page(request, "clusters/enrolment_list.html", "enrolments", context)


@require_GET
@require_permission(Permission.SEE_SECRETS)
def enrolment_detail(request: MemberRequest, pk: int) -> HttpResponse:
    """Show which nodes of an enrolment have taken their files, when and from where, and which wait."""
    enrolment = get_object_or_404(_enrolments(request), pk=pk)
    context = {"enrolment": enrolment, "command": enrolment_command(request)}
    return fragment_or_page(request, "clusters/enrolment.html", "enrolment", context)


@never_cache
@require_http_methods(["GET", "POST"])
@require_permission(Permission.SEE_SECRETS)
def enrolment_create(request: MemberRequest) -> HttpResponse:
    """Make a token for the nodes of some clusters; it is shown this one time."""
    form = EnrolmentForm(posted(request), membership=request.membership, initial={"clusters": _asked_for(request)})
    if form.is_bound and form.is_valid():
        enrolment, token = enrolments.begin(
            request.membership.organisation,
            nodes=form.nodes,
            hostnames=form.hostnames,
            hours=int(form.cleaned_data["hours"]),
            by=request.user,
        )
        context = {
            "enrolment": enrolment,
            "token": token,
            "command": enrolment_command(request),
            "number": len(form.nodes),
        }
        response = fragment_or_page(request, "clusters/enrolment_made.html", "dialog", context)
        response["HX-Trigger"] = CHANGED[0]
        return response
    chosen = {str(getattr(one, "pk", one)) for one in form["clusters"].value() or []}
    offered = [(one, str(one.pk) in chosen) for one in form.fields["clusters"].queryset.prefetch_related("nodes")]  # type: ignore[attr-defined]
    return dialog_form(request, "clusters/enrolment_create.html", {"form": form, "offered": offered})


def _asked_for(request: MemberRequest) -> list[str]:
    """Return the cluster that the address names, as the form's choice begins."""
    try:
        return [str(UUID(request.GET["cluster"]))] if "cluster" in request.GET else []
    except ValueError:
        return []


@require_POST
@require_permission(Permission.SEE_SECRETS)
def enrolment_revoke(request: MemberRequest, pk: int) -> HttpResponse:
    """Have the token of an enrolment taken no more."""
    enrolment = get_object_or_404(_enrolments(request), pk=pk)
    done = enrolments.revoke(enrolment, by=request.user)
    message = gettext("The token is revoked.") if done else gettext("The token was not taken any more already.")
    return announced(request, enrolment.get_absolute_url(), *CHANGED, message=message)


@require_POST
@require_permission(Permission.SEE_SECRETS)
def enrolment_again(request: MemberRequest, pk: int, place: int) -> HttpResponse:
    """Let a node be enrolled once more with the same token."""
    mine = EnrolmentPlace.objects.filter(enrolment__in=Enrolment.objects.visible_to(request.membership).filter(pk=pk))
    found = get_object_or_404(mine.select_related("enrolment__organisation", "node__cluster"), pk=place)
    if not enrolments.allow_again(found, by=request.user):
        messages.error(
            request,
            gettext("{found} is not enrolled, or the token is not taken any more: begin an enrolment.").format(
                found=found
            ),
        )
        return announced(request, found.enrolment.get_absolute_url(), *CHANGED)
    message = gettext("{found} can be enrolled once more.").format(found=found)
    return announced(request, found.enrolment.get_absolute_url(), *CHANGED, message=message)


# What machines ask


def _script(request: HttpRequest) -> str:
    return enrolment_script(console_address(request, reverse("enrol")), settings.PUBLIC_CA)


def enrolment_command(request: HttpRequest) -> str:
    """Return what a machine runs; it asks for the token."""
    sha256 = hashlib.sha256(_script(request).encode()).hexdigest()
    return command(console_address(request, reverse("enrol_script")), sha256, own_ca=bool(settings.PUBLIC_CA))


@require_GET
def enrol_script(request: HttpRequest) -> HttpResponse:
    """Return the script that asks at the other address; there is no secret in it."""
    return HttpResponse(_script(request), content_type="text/plain; charset=utf-8")


@csrf_exempt
@never_cache
@require_POST
@sensitive_post_parameters()
def enrol(request: HttpRequest) -> HttpResponse:
    """Hand a machine what its node is: 200 with a digest in the first line, and below it the script whose it is.

    With `kind=check` a script that only looks, without secrets, any number of times; with `kind=setup` the set-up
    script, once. 403 for a token that is not taken, 409 where something has to be done first, 422 for what no node
    could be found by, 429 for too many. Each refusal says what to do.
    """
    kind, said = request.POST.get("kind", ""), request.POST
    asked = Asked(
        node=said.get("node", "")[:TEXT_AT_MOST],
        hostnames=tuple(one[:TEXT_AT_MOST] for one in (said.get("fqdn", ""), said.get("hostname", "")) if one),
        machine=said.get("machine", ""),
        address=client_address(request),
        replaces=said.get("replace", "") == "yes",
    )
    token = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    try:
        enrolment = enrolments.find(token, asked.address)
        if kind not in {"check", "setup"}:
            raise NotHandedOut(gettext("Ask for kind=check or kind=setup."), 422)
        place = enrolments.place_for(enrolment, asked)
        node_setup = enrolments.setup_for(place, asked)
        address = report_address(request, node_setup.node)
        if kind == "check":
            return _handed(node_setup.check(address))
        enrolments.hand_out(place, node_setup, asked)
    except NotHandedOut as error:
        return HttpResponse(f"{error}\n", status=error.status, content_type="text/plain; charset=utf-8")
    return _handed(node_setup.setup(address))


def _handed(script: str) -> HttpResponse:
    content = f"{hashlib.sha256(script.encode()).hexdigest()}\n{script}"
    return HttpResponse(content, content_type="text/plain; charset=utf-8")
