import importlib

from django.apps import AppConfig


class APIConfig(AppConfig):
    name = "console.api"
    label = "api"
    verbose_name = "API"

    def ready(self) -> None:
        """Tell housekeeping how long rows stay, and people which of them name them."""
        importlib.import_module("console.api.upkeep")
