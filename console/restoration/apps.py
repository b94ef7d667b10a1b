import importlib

from django.apps import AppConfig


class RestorationConfig(AppConfig):
    name = "console.restoration"
    label = "restoration"
    verbose_name = "Restored from a copy"

    def ready(self) -> None:
        """Have pages told whether a membership's organisation is being compared."""
        access = importlib.import_module("console.accounts.access")
        models = importlib.import_module("console.restoration.models")
        access.told_of_memberships["is_restored"] = lambda: models.of_row("organisation")
