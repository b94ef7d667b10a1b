import importlib

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class AlertsConfig(AppConfig):
    name = "console.alerts"
    label = "alerts"

    def ready(self) -> None:
        """Load every app's rules; tell people which rows name them, and housekeeping how long rows stay."""
        autodiscover_modules("alerts", "health.alerts")
        importlib.import_module("console.alerts.upkeep")
