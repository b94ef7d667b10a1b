"""Support's view of backup stores: find any by ID, bucket or organisation, see why it failed, try it again."""

from __future__ import annotations

from django.contrib import admin, messages
from django.contrib.auth import get_permission_codename
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from console.accounts.admin import ReadOnlyAdmin
from console.operations.actions import NotNow
from stores import actions
from stores.models import Store


@admin.register(Store)
class StoreAdmin(ReadOnlyAdmin):
    list_display = ["name", "state", "organisation", "cloud_account", "region", "bucket", "created_at", "last_task"]
    list_filter = ["state", "region", "organisation__edition"]
    search_fields = ["name", "id", "bucket", "log_bucket", "organisation__name", "cloud_account__number"]
    list_select_related = ["organisation", "cloud_account", "operation"]
    actions = ["try_again"]

    @admin.display(description="last task")
    def last_task(self, store: Store) -> str | SafeString:
        """Return the last operation, with its error, as a link to its record."""
        if store.operation is None:
            return "-"
        url = reverse("admin:operations_operation_change", args=[store.operation.pk])
        return format_html('<a href="{}">{}</a> {}', url, store.operation.get_state_display(), store.operation.error)

    def has_support_permission(self, request: HttpRequest) -> bool:
        """Return whether the member of staff may set a store's work going again."""
        return request.user.has_perm(f"stores.{get_permission_codename('change', self.opts)}")

    @admin.action(description="Try again", permissions=["support"])
    def try_again(self, request: HttpRequest, stores: QuerySet[Store]) -> None:
        """Begin the failed task of each chosen store again."""
        for store in stores.select_related("operation"):
            try:
                actions.retry(store, by=request.user)  # type: ignore[arg-type]
            except NotNow as error:
                self.message_user(request, str(error), messages.WARNING)
            else:
                self.message_user(request, f"Trying again: {store.name}.", messages.SUCCESS)
