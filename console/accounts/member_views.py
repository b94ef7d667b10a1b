"""The organisation: its members, who is invited, which of one's organisations is open."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from allauth.account.signals import user_logged_in
from django.apps import apps
from django.contrib import messages
from django.contrib.auth import login
from django.db.models import UUIDField
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from console.accounts import members
from console.accounts.access import MemberRequest, open_organisation, require_permission
from console.accounts.member_forms import InviteForm, RoleForm, SignUpForm
from console.accounts.models import Invitation, Membership, Organisation, OwnedQuerySet, User
from console.accounts.passwords import TOLD_BEFORE, strength
from console.accounts.permissions import ROLE_WORDS, Permission
from console.web.pages import dialog_done, dialog_form, fragment_or_page, posted
from console.web.retold import retold

CHANGED = "members-changed"


@require_GET
@require_permission(Permission.SEE_MEMBERS)
def member_list(request: MemberRequest) -> HttpResponse:
    """Show who belongs to the organisation, and who is invited."""
    context = {
        "members": Membership.objects.visible_to(request.membership)
        .select_related("user")
        .order_by("created_at", "pk"),
        "invitations": Invitation.objects.visible_to(request.membership).select_related("by").order_by("-created_at"),
        "roles": [(role.label, ROLE_WORDS[role.value]) for role in Membership.Role],
    }
    return fragment_or_page(request, "accounts/member_list.html", "members", context)


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_MEMBERS)
def member_invite(request: MemberRequest) -> HttpResponse:
    """Invite somebody; the link is sent, and shown this one time."""
    form = InviteForm(posted(request), initial={"role": Membership.Role.VIEWER})
    if form.is_bound and form.is_valid():
        organisation = request.membership.organisation
        try:
            invitation, token = members.invite(organisation, **form.cleaned_data, by=request.user)
        except members.MembershipRefused as refusal:
            form.add_error(refusal.field, retold(refusal))
        else:
            link = request.build_absolute_uri(reverse("join", args=[token]))
            context = {"invitation": invitation, "link": link, "sent": members.send(invitation, link)}
            response = fragment_or_page(request, "accounts/member_invited.html", "dialog", context)
            response["HX-Trigger"] = CHANGED
            return response
    return dialog_form(request, "accounts/member_invite.html", {"form": form})


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_MEMBERS)
def invitation_revoke(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Take an invitation back."""
    invitation = get_object_or_404(Invitation.objects.visible_to(request.membership), pk=pk)
    if request.method == "POST":
        members.revoke(invitation, by=request.user)
        message = gettext("The invitation of {email} is revoked.").format(email=invitation.email)
        return dialog_done(request, reverse("organisation:members"), CHANGED, message=message)
    return dialog_form(request, "accounts/invitation_revoke.html", {"invitation": invitation})


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_MEMBERS)
def member_role(request: MemberRequest, pk: int) -> HttpResponse:
    """Give a member another role."""
    membership = _member(request, pk)
    form = RoleForm(posted(request), initial={"role": membership.role})
    if form.is_bound and form.is_valid():
        try:
            members.change_role(membership, form.cleaned_data["role"], by=request.user)
        except members.MembershipRefused as refusal:
            form.add_error(None, retold(refusal))
        else:
            message = gettext("{user} is now {cleaned_data}.").format(
                user=membership.user, cleaned_data=form.cleaned_data["role"]
            )
            return dialog_done(request, reverse("organisation:members"), CHANGED, message=message)
    return dialog_form(request, "accounts/member_role.html", {"form": form, "member": membership})


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_MEMBERS)
def member_remove(request: MemberRequest, pk: int) -> HttpResponse:
    """Remove a member."""
    return _remove(request, _member(request, pk))


@require_http_methods(["GET", "POST"])
@require_permission(Permission.SEE_MEMBERS)
def member_leave(request: MemberRequest) -> HttpResponse:
    """Leave the organisation."""
    return _remove(request, _member(request, request.membership.pk))


def _member(request: MemberRequest, pk: int | None) -> Membership:
    mine = Membership.objects.visible_to(request.membership).select_related("user", "organisation")
    membership: Membership = get_object_or_404(mine, pk=pk)
    return membership


def _remove(request: MemberRequest, membership: Membership) -> HttpResponse:
    leaves = membership.user == request.user
    refusal = ""
    if request.method == "POST":
        try:
            members.remove(membership, by=request.user)
        except members.MembershipRefused as refused:
            refusal = retold(refused)
        else:
            if leaves:
                messages.success(
                    request,
                    gettext("You are a member of {organisation} no longer.").format(
                        organisation=membership.organisation
                    ),
                )
                home = reverse("home")
                return HttpResponseClientRedirect(home) if request.htmx else redirect(home)
            message = gettext("{user} is a member no longer.").format(user=membership.user)
            return dialog_done(request, reverse("organisation:members"), CHANGED, message=message)
    context = {"member": membership, "leaves": leaves, "refusal": refusal}
    return fragment_or_page(request, "accounts/member_remove.html", "dialog", context, status=422 if refusal else 200)


@require_POST
@require_permission(Permission.SEE_MEMBERS, second_factor=False)  # of this one; the other may ask for none
def organisation_switch(request: MemberRequest) -> HttpResponse:
    """Open another of one's organisations, and go on to ?next=, or to its first page."""
    try:
        pk = UUID(request.POST.get("organisation", ""))
    except ValueError as error:
        raise Http404 from error
    membership = get_object_or_404(Membership.objects.filter(user=request.user, organisation=pk))
    open_organisation(request, membership)
    onwards = request.POST.get("next", "")
    return redirect(onwards if url_has_allowed_host_and_scheme(onwards, {request.get_host()}) else "home")


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def join(request: HttpRequest, token: str) -> HttpResponse:
    """Show whoever has the link what they are invited to; on their yes, make them a member."""
    invitation = members.find_invitation(token)
    if invitation is None:
        return render(request, "accounts/join_closed.html", status=404)
    known = request.user.is_authenticated
    newcomer = User(email=invitation.email)
    form = SignUpForm(request.POST if request.method == "POST" and not known else None, instance=newcomer)
    refusal = ""
    if request.method == "POST" and (known or form.is_valid()):
        try:
            membership = members.join(invitation, request.user) if known else _signed_up(request, invitation, form)  # type: ignore[arg-type]
        except members.MembershipRefused as refused:
            refusal = retold(refused)
            if refused.field:
                form.add_error(refused.field, refusal)
        else:
            return _welcomed(request, membership)
    refused_form = form.is_bound and not form.is_valid()
    context = {
        "invitation": invitation,
        "token": token,
        "rules": TOLD_BEFORE,
        "form": form,
        "refusal": refusal if known else "",
        "does": ROLE_WORDS[invitation.role],
    }
    return render(request, "accounts/join.html", context, status=422 if refusal or refused_form else 200)


def _welcomed(request: HttpRequest, membership: Membership) -> HttpResponse:
    open_organisation(request, membership)
    role = membership.get_role_display().lower()
    messages.success(
        request,
        gettext("You are now {role} of {organisation}.").format(role=role, organisation=membership.organisation),
    )
    return redirect("home")


def _signed_up(request: HttpRequest, invitation: Invitation, form: SignUpForm) -> Membership:
    membership = members.sign_up(invitation, **form.cleaned_data)
    login(request, membership.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    # As after allauth's own pages: the session is listed with the others, and the sign-in written down.
    user_logged_in.send(User, request=request, response=None, user=membership.user)
    return membership


@require_POST
@sensitive_post_parameters()
def joining_strength(request: HttpRequest, token: str) -> HttpResponse:
    """Tell whoever has the link how strong the password is that they are typing."""
    invitation = members.find_invitation(token)
    if invitation is None:
        raise Http404
    newcomer = User(username=request.POST.get("username", "")[:150], email=invitation.email)
    return render(
        request, "accounts/_strength_told.html", {"found": strength(request.POST.get("password", ""), newcomer)}
    )


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Say that nothing is there; offer to open that organisation of one's own in which it is, if it is in one."""
    return render(request, "404.html", {"elsewhere": _elsewhere(cast(MemberRequest, request))}, status=404)


def _elsewhere(request: MemberRequest) -> Organisation | None:
    others = [one.organisation_id for one in request.memberships if one != request.membership]
    asked = [value for value in getattr(request.resolver_match, "kwargs", {}).values() if isinstance(value, UUID)]
    if not others or not asked or request.impersonation:
        return None
    for model in apps.get_models():
        rows = model._default_manager.all()
        if isinstance(rows, OwnedQuerySet) and isinstance(model._meta.pk, UUIDField):
            found = rows.filter(pk__in=asked, organisation__in=others).values_list("organisation", flat=True).first()
            if found:
                return Organisation.objects.get(pk=found)
    return None
