"""Support's view of backup stores: find any by ID, bucket or organisation, see why it failed, try it again."""

from __future__ import annotations

from django.contrib import admin

from console.operations.admin import ManagedResourceAdmin
from console.web.admin import ReadOnlyAdmin
from stores.models import BucketLook, DeletionPreview, DriftReport, IgnoredBucket, RetainedLogs, Store, UnmanagedScan

admin.site.register([BucketLook, DeletionPreview, IgnoredBucket, DriftReport, UnmanagedScan], ReadOnlyAdmin)


@admin.register(Store)
class StoreAdmin(ManagedResourceAdmin):
    list_display = [
        "name",
        "verdict_words",
        "cloud_words",
        "organisation",
        "cloud_account",
        "region",
        "bucket",
        "created_at",
        "last_task",
    ]
    list_filter = ["state", "region", "organisation__edition"]
    search_fields = ["name", "id", "bucket", "log_bucket", "organisation__name", "cloud_account__number"]


@admin.register(RetainedLogs)
class RetainedLogsAdmin(ReadOnlyAdmin):
    list_display = ["store_name", "organisation", "cloud_account", "region", "bucket", "since", "expires_at", "error"]
    search_fields = ["store_name", "store_id", "bucket", "organisation__name", "cloud_account__number"]
    list_select_related = ["organisation", "cloud_account"]
