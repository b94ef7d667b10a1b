"""A store's work done as the workers do it, and the dialog that deletes it."""

from __future__ import annotations

from django.urls import reverse

from stores.models import Store
from tests.delivery import deliver
from tests.responses import HTMX


def work(store):
    deliver(store.operation.pk)
    return Store.objects.with_story().filter(pk=store.pk).first()


def dialog(client, store, **headers):
    return client.get(reverse("stores:delete", args=[store.pk]), headers=headers or HTMX).content.decode()
