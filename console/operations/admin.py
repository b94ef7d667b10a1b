"""Support's view of operations: find any, and see why it failed."""

from __future__ import annotations

from django.contrib import admin

from console.accounts.admin import ReadOnlyAdmin
from console.operations.models import Operation


@admin.register(Operation)
class OperationAdmin(ReadOnlyAdmin):
    list_display = ["title", "subject_name", "state", "organisation", "requested_by", "created_at", "finished_at"]
    list_filter = ["state", "verb", "subject_kind", "created_at"]
    search_fields = ["id", "subject_name", "subject_id", "organisation__name", "error"]
    list_select_related = ["organisation", "requested_by"]
