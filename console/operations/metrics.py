"""`/metrics`: how much work waits and runs, as Prometheus text. No name and no tenant in it."""

from __future__ import annotations

from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from console.operations.models import Operation


def metrics(request: HttpRequest) -> HttpResponse:
    """Return the number of unfinished operations by state, and the age in seconds of the oldest."""
    found = dict(Operation.objects.unfinished().values_list("state").annotate(Count("pk")).order_by())
    oldest = Operation.objects.unfinished().aggregate(at=Min("created_at"))["at"]
    age = (timezone.now() - oldest).total_seconds() if oldest else 0
    lines = [
        "# HELP storekeeper_operations Unfinished operations.",
        "# TYPE storekeeper_operations gauge",
        *(f'storekeeper_operations{{state="{state}"}} {found.get(state, 0)}' for state in Operation.UNFINISHED),
        "# HELP storekeeper_oldest_unfinished_seconds Age of the oldest unfinished operation.",
        "# TYPE storekeeper_oldest_unfinished_seconds gauge",
        f"storekeeper_oldest_unfinished_seconds {age:.1f}",
    ]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; version=0.0.4; charset=utf-8")
