from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class OperationsConfig(AppConfig):
    name = "console.operations"
    label = "operations"

    def ready(self) -> None:
        """Load every app's plans.py, as Django's admin loads every admin.py."""
        autodiscover_modules("plans")
