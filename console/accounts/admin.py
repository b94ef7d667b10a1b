"""Support's view of organisations, people and linked accounts. Never a secret, never a link edited by hand."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.core.exceptions import BadRequest, ValidationError
from django.db.models import Model
from django.http import HttpRequest

from console.accounts.models import AuditEvent, CloudAccount, Membership, Organisation, User

admin.site.register(User, UserAdmin)


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


class MembershipInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Membership
    extra = 0
    autocomplete_fields = ["user"]


@admin.register(Organisation)
class OrganisationAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "edition", "id", "created_at"]
    list_filter = ["edition"]
    search_fields = ["name", "id"]
    readonly_fields = ["id", "created_at"]
    inlines = [MembershipInline]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(CloudAccount)
class CloudAccountAdmin(ReadOnlyAdmin):
    list_display = ["name", "organisation", "provider_key", "number", "verified_at", "created_at"]
    list_filter = ["provider_key"]
    search_fields = ["name", "id", "number", "organisation__name"]
    list_select_related = ["organisation"]
    fields = [
        "id",
        "name",
        "organisation",
        "provider_key",
        "number",
        "partition",
        "settings",
        "key_since",
        "verified_at",
        "proofs",
        "verify_error",
        "created_at",
    ]


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "organisation", "actor_name", "action", "subject"]
    list_filter = ["action", "created_at"]
    search_fields = ["actor_name", "subject", "organisation__name", "id"]
    list_select_related = ["organisation"]
