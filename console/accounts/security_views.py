"""One's own account: where one is signed in; and what an organisation asks of its members."""

from __future__ import annotations

from typing import Any, cast

from allauth.account import views as allauth_views
from allauth.usersessions.adapter import get_adapter
from allauth.usersessions.models import UserSession
from allauth.usersessions.views import ListUserSessionsView
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from console.accounts import activity, members
from console.accounts.access import MemberRequest, asked_again, require_permission
from console.accounts.models import User
from console.accounts.passwords import strength
from console.accounts.permissions import Permission
from console.accounts.personal_data import personal_data
from console.web.pages import dialog_done, file_download, fragment_or_page
from console.web.retold import retold


@login_required
def password_change(request: HttpRequest) -> HttpResponseBase:
    """Change one's password; who comes by the company's identity provider has none, and gets none: it lets them in."""
    if not cast(User, request.user).has_usable_password():
        messages.info(request, gettext("You sign in by your company's identity provider: you have no password here."))
        return redirect("mfa_index")
    answer: HttpResponseBase = allauth_views.password_change(request)
    return answer


@require_POST
@sensitive_post_parameters()
@login_required
def password_strength(request: HttpRequest) -> HttpResponse:
    """Tell how strong the new password is that one is typing."""
    found = strength(request.POST.get("password1", ""), cast(User, request.user))
    return render(request, "accounts/_strength_told.html", {"found": found})


# By what stands in a browser's name for itself: the first that is there, as some call themselves by several names.
BROWSERS = {"Edg": "Edge", "OPR/": "Opera", "Firefox/": "Firefox", "Chrome/": "Chrome", "Safari/": "Safari"}
SYSTEMS = {
    "Windows": "Windows",
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Mac OS": "macOS",
    "Linux": "Linux",
}


def browser(user_agent: str) -> str:
    """Return what people call the browser, such as Firefox on Linux; what is unknown as it names itself."""
    known = [next((name for mark, name in one.items() if mark in user_agent), "") for one in (BROWSERS, SYSTEMS)]
    return " on ".join(filter(None, known)) or user_agent


class Sessions(ListUserSessionsView):  # type: ignore[misc]
    """Where one is signed in; sends all other browsers away."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add what people call each browser."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        return context | {"sessions": [(one, browser(one.user_agent)) for one in reversed(context["sessions"])]}


@require_POST
@login_required
def session_end(request: HttpRequest, pk: int) -> HttpResponse:
    """Sign somebody's own browser out, wherever it is."""
    session = get_object_or_404(UserSession.objects.filter(user=request.user), pk=pk)
    get_adapter().end_sessions([session])
    messages.success(request, gettext("That browser is signed out."))
    return redirect("usersessions_list")


@require_GET
@never_cache
@login_required
@asked_again
@file_download
def own_data(request: HttpRequest) -> HttpResponse:
    """Hand somebody what the console keeps about them."""
    person = cast(User, request.user)
    activity.record_of_person(person, "Downloaded their own data", by=person)
    response = JsonResponse(personal_data(person), json_dumps_params={"indent": 2, "ensure_ascii": False})
    response["Content-Disposition"] = 'attachment; filename="storekeeper-own-data.json"'
    return response


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_MEMBERS)
def second_factor(request: MemberRequest) -> HttpResponse:
    """Ask a second factor of every member of the organisation, or no longer."""
    organisation = request.membership.organisation
    refusal, wanted = "", not organisation.second_factor_required
    if request.method == "POST":
        try:
            members.require_second_factor(organisation, wanted, by=request.user)
        except members.MembershipRefused as refused:
            refusal = retold(refused)
        else:
            message = (
                gettext("Members need a second factor now.")
                if wanted
                else gettext("Members need no second factor any more.")
            )
            return dialog_done(request, reverse("organisation:members"), "members-changed", message=message)
    context = {"organisation": organisation, "wanted": wanted, "refusal": refusal}
    return fragment_or_page(request, "accounts/second_factor.html", "dialog", context, status=422 if refusal else 200)
