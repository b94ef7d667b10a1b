from django.apps import AppConfig


class RestorationConfig(AppConfig):
    name = "console.restoration"
    label = "restoration"
    verbose_name = "Restored from a copy"
