"""The admin of the support staff: behind the same sign-in, and the same second factor, as everything else."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache

from console.accounts.sign_in import has_second_factor


class SupportSite(AdminSite):
    """Lets in staff who have a second factor (SUPPORT_SECOND_FACTOR)."""

    def has_permission(self, request: HttpRequest) -> bool:
        """Return whether the admin may be seen."""
        needs = settings.SUPPORT_SECOND_FACTOR and not has_second_factor(request.user)
        return super().has_permission(request) and not needs

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Lead to the console's own page, where guessing is slow and a change is written down."""
        return redirect("account_change_password")

    @method_decorator(never_cache)
    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Lead to the sign-in of the console, or to setting up the second factor."""
        if not request.user.is_authenticated:
            return redirect_to_login(request.GET.get("next") or "/admin/")
        if self.has_permission(request):
            return redirect("admin:index")
        if not request.user.is_staff:
            raise PermissionDenied(gettext("The admin is for support staff."))
        messages.warning(request, gettext("Set up a second factor first: the admin asks for one."))
        return redirect("mfa_index")
