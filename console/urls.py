"""Every URL of the console; the paths are a contract."""

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.urls import include, path

from console.accounts.confirmation import confirm_password
from console.accounts.views import SignIn, home
from console.csp import csp_reports
from console.metrics import metrics
from console.probes import healthz, readyz

admin.site.site_header = admin.site.site_title = "Storekeeper support"
admin.site.index_title = "Organisations and their stores"

urlpatterns = [
    path("", home, name="home"),
    path("login/", SignIn.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("confirm/", confirm_password, name="confirm"),
    path("stores/", include("stores.urls")),
    path("clusters/", include("clusters.urls")),
    path("cloud-accounts/", include("console.accounts.urls")),
    path("audit/", include("console.accounts.audit_urls")),
    path("tasks/", include("console.operations.urls")),
    path("admin/", admin.site.urls),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
    path("csp-reports/", csp_reports, name="csp_reports"),
]
