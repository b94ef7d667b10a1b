"""The project: glue that names the apps, and web tools that know none of them."""

from console.celery import app as celery_app

__all__ = ["celery_app"]
