import importlib

from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "console.audit"
    label = "audit"
    verbose_name = "Audit log"

    def ready(self) -> None:
        """Listen to what is announced."""
        importlib.import_module("console.audit.recorder")
