import importlib

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules

from console.web.notices import notice_finders


class AlertsConfig(AppConfig):
    name = "console.alerts"
    label = "alerts"

    def ready(self) -> None:
        """Load the rules of every app, and what tells housekeeping, people and webhooks of this one."""
        autodiscover_modules("alerts", "health.alerts")
        importlib.import_module("console.alerts.upkeep")
        importlib.import_module("console.alerts.news")
        notice_finders.append(importlib.import_module("console.alerts.notices").about_channels)
