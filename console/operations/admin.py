"""Support's view of operations: find any, see its whole story, and set it going again by the product's own rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from console.accounts import activity
from console.accounts.models import User
from console.audit.models import AuditEvent
from console.operations import registry
from console.operations.actions import NotNow, cancel, release, retry
from console.operations.models import ManagedResource, Operation
from console.web.admin import ReadOnlyAdmin
from console.web.pages import posted

MAY_ACT = "operations.act_on_operation"


def subject_of(operation: Operation) -> ManagedResource | None:
    """Return what the operation works on; None when that is gone."""
    try:
        model = registry.find(operation.subject_kind, operation.verb).model
    except KeyError:  # an older release knew it
        return None
    found: ManagedResource | None = model.objects.select_related("operation").filter(pk=operation.subject_id).first()
    return found


def _last_of(operation: Operation) -> ManagedResource:
    subject = subject_of(operation)
    if subject is None:
        raise NotNow(gettext("{subject_name} is gone.").format(subject_name=operation.subject_name))
    if subject.operation_id != operation.pk:
        raise NotNow(
            gettext("{subject_name} has a newer task: {operation}.").format(
                subject_name=operation.subject_name, operation=subject.operation
            )
        )
    return subject


def _try_again(operation: Operation, by: User) -> None:
    retry(_last_of(operation), by=by)


def _cancel(operation: Operation, by: User) -> None:
    cancel(_last_of(operation), by=by)


def _release(operation: Operation, by: User) -> None:
    release(operation)


@dataclass(frozen=True)
class Act:
    """What support may do with an operation: its label, what it means, when it is offered, and the action."""

    label: str
    means: str
    offered: Callable[[Operation], bool]
    do: Callable[[Operation, User], None]

    def carry_out(self, operation: Operation, *, by: User) -> None:
        """Do it and write it down where the tenant sees it; raises NotNow when the rules do not allow it now."""
        try:
            with transaction.atomic():
                self.do(operation, by)
                self._note(operation, by, activity.Outcome.DONE)
        except NotNow:
            self._note(operation, by, activity.Outcome.REFUSED)
            raise

    def _note(self, operation: Operation, by: User, outcome: str) -> None:
        what, about = f"Support: {self.label}", {"operation": str(operation.pk)}
        activity.record(what, operation, organisation=operation.organisation, by=by, outcome=outcome, after=about)


TRY_AGAIN = Act(
    "Try again",
    "A new task begins with the first step that is not done. It waits for its turn like every other.",
    lambda operation: operation.state == Operation.State.FAILED,
    _try_again,
)
ACTS = {
    "try-again": TRY_AGAIN,
    "release": Act(
        "Release lease",
        "The worker that holds it can write nothing more from now on, whatever it is doing. Another one goes on when "
        "the lease would have run out, which takes seconds: until then a call to the cloud may be under way.",
        lambda operation: operation.state == Operation.State.RUNNING and bool(operation.worker),
        _release,
    ),
    "cancel": Act(
        "Cancel",
        "What was done is put back as it was. When it is too late for that, it goes on to its end.",
        lambda operation: operation.is_unfinished and not operation.cancel,
        _cancel,
    ),
}


class ActForm(forms.Form):
    """Which claim of the operation was shown to who acts on it."""

    fence = forms.IntegerField(min_value=0, widget=forms.HiddenInput)


@admin.register(Operation)
class OperationAdmin(ReadOnlyAdmin):
    list_display = ["title", "subject_name", "state", "organisation", "requested_by", "created_at", "finished_at"]
    list_filter = ["state", "verb", "subject_kind", "created_at"]
    search_fields = ["id", "subject_name", "subject_id", "organisation__name", "error", "details", "worker"]
    list_select_related = ["organisation", "requested_by"]

    def get_urls(self) -> list[Any]:
        """Return also the addresses of what support may do."""
        view = self.admin_site.admin_view(self.act)
        acts = [path(f"<uuid:pk>/{name}/", view, {"name": name}, f"operations_operation_{name}") for name in ACTS]
        return [*acts, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Tell the operation's whole story."""
        operation = self.get_object(request, object_id)
        story = self._story(request, operation) if operation else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **story})

    def _story(self, request: HttpRequest, operation: Operation) -> dict[str, Any]:
        subject = subject_of(operation)
        meanwhile = Q(
            subject__contains=operation.subject_name,
            created_at__range=(operation.created_at, operation.finished_at or timezone.now()),
        )
        events = AuditEvent.objects.filter(organisation=operation.organisation_id)
        may_act = request.user.has_perm(MAY_ACT)
        return {
            "title": str(operation),
            "subtitle": "",
            "operation": operation,
            "subject": subject,
            "subject_url": admin_url(subject) if subject else "",
            "organisation_url": admin_url(operation.organisation),
            "is_held": operation.state == Operation.State.RUNNING and operation.worker,
            "acts": [
                (reverse(f"admin:operations_operation_{name}", args=[operation.pk]), act.label)
                for name, act in ACTS.items()
                if may_act and act.offered(operation)
            ],
            "events": events.filter(Q(after__operation=str(operation.pk)) | meanwhile).order_by("created_at")[:200],
        }

    def act(self, request: HttpRequest, pk: UUID, name: str) -> HttpResponse:
        """Say what the act means, and do it when that was confirmed."""
        if not request.user.has_perm(MAY_ACT):
            raise PermissionDenied
        operation, act = get_object_or_404(Operation.objects.select_related("organisation"), pk=pk), ACTS[name]
        form = ActForm(posted(request), initial={"fence": operation.fence})
        if form.is_bound and form.is_valid():
            operation.fence = form.cleaned_data["fence"]
            try:
                act.carry_out(operation, by=request.user)  # type: ignore[arg-type]
            except NotNow as error:
                self.message_user(request, str(error), messages.WARNING)
            else:
                self.message_user(request, f"{act.label}: {operation}. Its organisation sees this in its audit log.")
            return redirect(admin_url(operation))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "object": operation,
            "title": f"{act.label}: {operation}",
            "says": act.means,
            "form": form,
            "button": act.label,
        }
        return render(request, "admin/support_confirm.html", context, status=422 if form.is_bound else 200)


def admin_url(row: Any) -> str:
    """Return the page of the row in the admin."""
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


class ManagedResourceAdmin(ReadOnlyAdmin):
    """Rows that operations work on: why the last one failed, and Try again."""

    list_select_related = ["organisation", "cloud_account", "operation"]
    actions = ["try_again"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the rows with what is said of them: whether what they kept is gone, and what can be restored."""
        return super().get_queryset(request).with_story()  # type: ignore[attr-defined,no-any-return]

    @admin.display(description="restorable")
    def verdict_words(self, subject: Any) -> str:
        """Return the worst verdict on what it keeps, as the tenant sees it."""
        return subject.verdict.label if subject.verdict else "-"

    @admin.display(description="in its cloud", ordering="state")
    def cloud_words(self, subject: ManagedResource) -> str:
        """Return the state as the tenant sees it, which says also that backups are gone."""
        return subject.shown_words

    @admin.display(description="last task")
    def last_task(self, subject: ManagedResource) -> str | SafeString:
        """Return the last operation, with its error, as a link to its record."""
        if subject.operation is None:
            return "-"
        state, error = subject.operation.get_state_display(), subject.operation.error
        return format_html('<a href="{}">{}</a> {}', admin_url(subject.operation), state, error)

    def has_support_permission(self, request: HttpRequest) -> bool:
        """Return whether the member of staff may set work going again."""
        return request.user.has_perm(MAY_ACT)

    @admin.action(description="Try again", permissions=["support"])
    def try_again(self, request: HttpRequest, subjects: QuerySet[Any]) -> None:
        """Begin the failed task of each chosen row again."""
        for subject in subjects.select_related("operation__organisation"):
            try:
                if subject.operation is None:
                    raise NotNow(gettext("{subject} has no failed task to try again.").format(subject=subject.name))
                TRY_AGAIN.carry_out(subject.operation, by=request.user)  # type: ignore[arg-type]
            except NotNow as error:
                self.message_user(request, str(error), messages.WARNING)
            else:
                self.message_user(request, f"Trying again: {subject.name}.", messages.SUCCESS)
