"""Support's view of operations: find any, and see why it failed."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import get_permission_codename
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from console.accounts.admin import ReadOnlyAdmin
from console.operations.actions import NotNow, retry
from console.operations.models import Operation, Subject


@admin.register(Operation)
class OperationAdmin(ReadOnlyAdmin):
    list_display = ["title", "subject_name", "state", "organisation", "requested_by", "created_at", "finished_at"]
    list_filter = ["state", "verb", "subject_kind", "created_at"]
    search_fields = ["id", "subject_name", "subject_id", "organisation__name", "error"]
    list_select_related = ["organisation", "requested_by"]


class SubjectAdmin(ReadOnlyAdmin):
    """Rows that operations work on: why the last one failed, and Try again."""

    list_select_related = ["organisation", "cloud_account", "operation"]
    actions = ["try_again"]

    @admin.display(description="last task")
    def last_task(self, subject: Subject) -> str | SafeString:
        """Return the last operation, with its error, as a link to its record."""
        if subject.operation is None:
            return "-"
        url = reverse("admin:operations_operation_change", args=[subject.operation.pk])
        state, error = subject.operation.get_state_display(), subject.operation.error
        return format_html('<a href="{}">{}</a> {}', url, state, error)

    def has_support_permission(self, request: HttpRequest) -> bool:
        """Return whether the member of staff may set work going again."""
        return request.user.has_perm(f"{self.opts.app_label}.{get_permission_codename('change', self.opts)}")

    @admin.action(description="Try again", permissions=["support"])
    def try_again(self, request: HttpRequest, subjects: QuerySet[Any]) -> None:
        """Begin the failed task of each chosen row again."""
        for subject in subjects.select_related("operation"):
            try:
                retry(subject, by=request.user)  # type: ignore[arg-type]
            except NotNow as error:
                self.message_user(request, str(error), messages.WARNING)
            else:
                self.message_user(request, f"Trying again: {subject.name}.", messages.SUCCESS)
