from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class OperationsConfig(AppConfig):
    name = "console.operations"
    label = "operations"

    def ready(self) -> None:
        """Load every app's plans.py, as Django's admin loads every admin.py; tell people which tasks are theirs."""
        from console.accounts.personal_data import KEPT, Kept  # noqa: PLC0415 - models cannot be loaded before

        autodiscover_modules("plans")
        fields = ("created_at", "title", "state", "finished_at")
        KEPT.append(Kept("tasks", "operations.Operation", "requested_by", fields))
        KEPT.append(Kept("tasks cancelled", "operations.Operation", "cancelled_by", fields))
