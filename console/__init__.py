"""The project: glue that names the apps, and web tools that know none of them."""

from console.starting import load, say_plainly

say_plainly()
load()

from console.celery import app as celery_app  # noqa: E402 - what is wrong with its settings is said plainly, too

__all__ = ["celery_app"]
