import importlib
from typing import Any

from django.apps import AppConfig, apps
from django.contrib.admin import apps as admin_apps
from django.db.models import Q
from django.db.models.signals import post_migrate

from console.accounts.permissions import SUPPORT, SUPPORT_MAY, SUPPORT_SEES
from console.release import VERSION, ordered


class AccountsConfig(AppConfig):
    default = True
    name = "console.accounts"
    label = "accounts"
    verbose_name = "Organisations"

    def ready(self) -> None:
        """Have sign-ins noted and settings checked, and make the group of the support staff at each migrate.

        Then its permissions exist.
        """
        importlib.import_module("console.celery")  # whatever sends tasks needs it; the emulated clouds send none
        importlib.import_module("console.accounts.sign_in")
        importlib.import_module("console.web.checks")
        importlib.import_module("console.web.connections")
        importlib.import_module("console.web.database")
        importlib.import_module("console.accounts.database_checks")
        importlib.import_module("console.web.metric_files").spare()
        post_migrate.connect(make_support_group, sender=apps.get_app_config("auth"))
        post_migrate.connect(note_release, sender=self)


class SupportAdminConfig(admin_apps.AdminConfig):
    """The Django admin, behind the sign-in of the console."""

    default = False
    default_site = "console.accounts.admin_site.SupportSite"


def note_release(*, using: str, apps: Any = apps, **_: Any) -> None:
    """Have the database name the newest release that has migrated it."""
    try:
        installation = apps.get_model("accounts", "Installation")
    except LookupError:  # a migrate that does not get so far
        return
    for known in installation.objects.using(using).exclude(version=VERSION).only("pk", "version"):
        if ordered(known.version) < ordered(VERSION):
            installation.objects.using(using).filter(pk=known.pk).update(version=VERSION)


def make_support_group(*, using: str, apps: Any = apps, **_: Any) -> None:
    """Give the Support group exactly the permissions that the table names."""
    try:
        group, permission = (apps.get_model("auth", name) for name in ("Group", "Permission"))
    except LookupError:  # a migrate that does not get so far
        return
    wanted = Q(content_type__app_label__in=SUPPORT_SEES, codename__startswith="view_")
    for name in SUPPORT_MAY:
        label, codename = name.split(".")
        wanted |= Q(content_type__app_label=label, codename=codename)
    support, _made = group.objects.using(using).get_or_create(name=SUPPORT)
    support.permissions.set(permission.objects.using(using).filter(wanted))
