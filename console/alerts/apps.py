import importlib

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules

from console.web.notices import notice_finders


class AlertsConfig(AppConfig):
    name = "console.alerts"
    label = "alerts"

    def ready(self) -> None:
        """Load every app's rules; tell people which rows name them, and housekeeping how long rows stay."""
        autodiscover_modules("alerts", "health.alerts")
        importlib.import_module("console.alerts.upkeep")
        notice_finders.append(importlib.import_module("console.alerts.notices").about_channels)
