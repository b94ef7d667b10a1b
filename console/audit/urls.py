"""URLs of the audit page."""

from django.urls import path

from console.audit.views import audit_csv, audit_list

app_name = "audit"

urlpatterns = [
    path("", audit_list, name="list"),
    path("audit.csv", audit_csv, name="csv"),
]
