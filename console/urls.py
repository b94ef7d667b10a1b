"""Every URL of the console; the paths are a contract."""

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.urls import include, path

from clusters.enrolment_views import enrol, enrol_script
from console.accounts.confirmation import confirm_password
from console.accounts.member_views import join, joining_strength
from console.accounts.views import SignIn, stop_seeing
from console.api import oauth, v1
from console.api.compatible import surface
from console.metrics import metrics
from console.overview.views import fleet_page, home, search
from console.support.sizes import sizes
from console.support.views import find, front
from console.web.csp import csp_reports
from console.web.health import healthz, readyz

admin.site.site_header = admin.site.site_title = "Storekeeper support"
admin.site.index_title = "Organisations and their stores"
admin.site.index_template = "admin/support_index.html"

urlpatterns = [
    path("", home, name="home"),
    path("login/", SignIn.as_view(), name="login"),
    path("login/", SignIn.as_view(), name="account_login"),  # as allauth calls it
    path("logout/", LogoutView.as_view(), name="logout"),
    path("logout/", LogoutView.as_view(), name="account_logout"),
    path("account/", include("console.accounts.sign_in_urls")),
    path("confirm/", confirm_password, name="confirm"),
    path("invitations/<str:token>/", join, name="join"),
    path("invitations/<str:token>/strength/", joining_strength, name="joining_strength"),
    path("organisation/", include("console.accounts.organisation_urls")),
    path("search/", search, name="search"),
    path("help/", include("console.help.urls")),
    path("overview/", include("console.overview.urls")),
    path("stores/preflight/", include("console.cloud_accounts.preflight_urls")),
    path("stores/map/", fleet_page, name="stores_map"),
    path("stores/", include("stores.urls")),
    path("clusters/", include("clusters.urls")),
    path("enrol/", enrol, name="enrol"),
    path("enrol/enrol.sh", enrol_script, name="enrol_script"),
    path("cloud-accounts/", include("console.cloud_accounts.urls")),
    path("alerts/", include("console.alerts.urls")),
    path("audit/", include("console.audit.urls")),
    path("tasks/", include("console.operations.urls")),
    path("restoration/", include("console.restoration.urls")),
    path("stop-seeing/", stop_seeing, name="stop-seeing"),
    path("admin/sizes/", admin.site.admin_view(sizes), name="sizes"),
    path("admin/find/", admin.site.admin_view(find), name="find"),
    path("admin/", admin.site.admin_view(front)),
    path("admin/", admin.site.urls),
    path("api-tokens/", include("console.api.urls")),
    path("api/v1/openapi.json", v1.openapi_file, name="openapi"),
    path("api/v1/", include((v1.urls(), "api"))),
    path("v1/oauth/token", oauth.token, name="oauth_token"),
    path("account/v1/oauth/token", oauth.token, name="account_oauth_token"),
    *(
        one
        for name, prefixes in surface.PREFIXES.items()
        for prefix in prefixes
        for one in (
            path(f"{prefix}openapi.json", surface.openapi_file, {"name": name, "prefix": prefix}),
            path(prefix, include((surface.urls(name), f"compatible-{prefix.replace('/', '-')}"))),
        )
    ),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
    path("csp-reports/", csp_reports, name="csp_reports"),
]

handler404 = "console.accounts.member_views.not_found"
handler500 = "console.web.unavailable.server_error"
