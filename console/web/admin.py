"""Rows in the Django admin that support may read and nobody edits."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import BadRequest, ValidationError
from django.db.models import Model
from django.http import HttpRequest


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that support may find and read; what may be done to them are actions, not edits."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def response_action(self, request: HttpRequest, queryset: Any, *where: Any, **more: Any) -> Any:
        """Return what the action answers; 400 for keys that cannot be any row's, at which Django would fail."""
        try:
            return super().response_action(request, queryset, *where, **more)
        except ValidationError as error:
            raise BadRequest("These rows do not exist.") from error
