"""The demo as an app, so that `manage.py demo` is found."""

from django.apps import AppConfig


class DemoConfig(AppConfig):
    """The commands that run the console with everything it needs on one machine."""

    name = "console.demo"
    verbose_name = "Demo"
