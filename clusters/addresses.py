"""Where the nodes reach the console: at its own address, if the operator gave one, else as whoever asks now does."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from clusters.models import Node


def console_address(request: HttpRequest, path: str) -> str:
    """Return the address of a path of the console, for a node."""
    return f"{settings.PUBLIC_URL}{path}" if settings.PUBLIC_URL else request.build_absolute_uri(path)


def report_address(request: HttpRequest, node: Node) -> str:
    """Return where the node reports what is applied on it."""
    return console_address(request, reverse("clusters:node_applied", args=[node.cluster_id, node.name]))
