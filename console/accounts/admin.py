"""Support's view of organisations, people and linked accounts. Never a secret, never a link edited by hand."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils.translation import gettext, gettext_lazy, gettext_noop

from console.accounts import activity, impersonation
from console.accounts.models import Membership, Organisation, User
from console.accounts.sign_in import tell
from console.web.pages import posted


@admin.register(User)
class PersonAdmin(UserAdmin):  # type: ignore[type-arg]
    """People, whom support may find; who may change them is the operator's to say."""

    list_display = ["username", "email", "first_name", "last_name", "is_active", "is_staff", "last_login"]
    readonly_fields = ["member_of"]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return no word of the password to who may only look."""
        if obj is None or self.has_change_permission(request, obj):
            return super().get_fieldsets(request, obj)
        who = ["username", "first_name", "last_name", "email", "member_of"]
        return [(None, {"fields": [*who, "is_active", "is_staff", "groups", "last_login", "date_joined"]})]

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Save, and tell the person at the address that they had, if they have another one now."""
        super().save_model(request, obj, form, change)
        if (before := form.initial.get("email")) and "email" in form.changed_data:
            tell(obj, gettext_noop("your e-mail address was changed"), address=before)

    def log_change(self, request: HttpRequest, obj: User, message: Any) -> Any:
        """Write down what the operator has changed; and tell the person, who may not have asked for it."""
        entry = super().log_change(request, obj, message)
        _note_of_operator("changed the user", obj, request, entry.get_change_message())
        tell(obj, gettext_noop("the operator of the console has changed your user"))
        return entry

    def log_addition(self, request: HttpRequest, obj: User, message: Any) -> Any:
        """Write down that the operator has made a user."""
        _note_of_operator("made the user", obj, request)
        return super().log_addition(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Write down that the operator deletes users."""
        for user in queryset:
            _note_of_operator("deleted the user", user, request)
        return super().log_deletions(request, queryset)

    @admin.display(description="member of")
    def member_of(self, user: User) -> str:
        """Return the organisations, with the person's role in each."""
        found = user.memberships.select_related("organisation").order_by("organisation__name")
        return ", ".join(f"{one.organisation} ({one.get_role_display()})" for one in found) or "-"


def _note_of_operator(did: str, user: User, request: HttpRequest, what: str = "") -> None:
    by: Any = request.user
    activity.record_of_person(user, f"Operator: {did}", by=by, after={"what": what} if what else {})


class MembershipFormSet(forms.BaseInlineFormSet):  # type: ignore[type-arg]
    """The memberships of an organisation: whoever changes them, its last owner stays."""

    def clean(self) -> None:
        """Refuse to leave an organisation that had an owner without one."""
        super().clean()
        kept = [form.instance for form in self.forms if not form.cleaned_data.get("DELETE")] if self.is_valid() else []
        owners = [one for one in kept if one.role == Membership.Role.OWNER]
        if not owners and self.get_queryset().filter(role=Membership.Role.OWNER).exists():
            raise ValidationError(gettext("An organisation always has an owner. Make somebody else one first."))


class MembershipInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Membership
    formset = MembershipFormSet
    extra = 0
    autocomplete_fields = ["user"]


class ReasonForm(forms.Form):
    """Why support looks at an organisation's console."""

    reason = forms.CharField(
        max_length=200,
        help_text=gettext_lazy("Such as the number of the ticket. The organisation's owners see it."),
        error_messages={"required": gettext_lazy("Say why: the organisation's owners see it.")},
    )


@admin.register(Organisation)
class OrganisationAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Organisations: support sets the edition and the limits; the rest is for the operator alone."""

    list_display = ["name", "edition", "stores_at_most", "operations_at_once", "id", "created_at"]
    list_filter = ["edition"]
    search_fields = ["name", "id"]
    fields = ["id", "name", "edition", "stores_at_most", "invitations_at_most", "operations_at_once", "created_at"]
    readonly_fields = ["id", "created_at"]
    inlines = [MembershipInline]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return also the name to who may not add an organisation."""
        return self.readonly_fields if self.has_add_permission(request) else ["name", *self.readonly_fields]

    def save_model(self, request: HttpRequest, obj: Organisation, form: Any, change: bool) -> None:
        """Save, and write down what was changed, for the organisation to see."""
        super().save_model(request, obj, form, change)
        activity.record(
            "Support: changed the organisation" if change else "Made the organisation",
            obj,
            organisation=obj,
            by=request.user,  # type: ignore[arg-type]
            before={name: form.initial.get(name) for name in form.changed_data} if change else {},
            after={name: form.cleaned_data[name] for name in form.changed_data},
        )

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Save the memberships, and write down what was changed of them, for the organisation to see."""
        super().save_formset(request, form, formset, change)
        for did, rows in (
            ("added a member", formset.new_objects),
            ("changed a membership", [row for row, _ in formset.changed_objects]),
            ("removed a member", formset.deleted_objects),
        ):
            for row in rows:
                by: Any = request.user
                activity.record(
                    f"Operator: {did}", row.user, organisation=row.organisation, by=by, after={"role": row.role}
                )

    def get_urls(self) -> list[Any]:
        """Return also the address of See as this organisation."""
        see_as = self.admin_site.admin_view(self.see_as)
        return [path("<uuid:pk>/see-as/", see_as, name="accounts_organisation_see_as"), *super().get_urls()]

    def see_as(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Ask for the reason, then open the console as the organisation sees it."""
        if not request.user.has_perm(impersonation.MAY):
            raise PermissionDenied
        organisation = get_object_or_404(Organisation, pk=pk)
        form = ReasonForm(posted(request))
        if form.is_bound and form.is_valid():
            impersonation.start(request, organisation, reason=form.cleaned_data["reason"], by=request.user)  # type: ignore[arg-type]
            return redirect("home")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "object": organisation,
            "title": f"See as {organisation}",
            "says": f"You see every page as a viewer of {organisation} does, without secrets, for half an hour. "
            "Nothing can be changed meanwhile, nor here in the admin. Its owners find in their audit log that you "
            "looked, when, and why.",
            "form": form,
            "button": "See as this organisation",
        }
        return render(request, "admin/support_confirm.html", context, status=422 if form.is_bound else 200)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
