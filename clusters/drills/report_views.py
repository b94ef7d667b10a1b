"""The addresses at which machines tell of drills: a node's with the node's token, a drill machine's with its plan's."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from clusters import keys
from clusters.drills.receiving import Gone, Refused, TooMany, receive
from clusters.drills.report import BYTES_AT_MOST, of_json
from clusters.models import Cluster, Drill, Node
from clusters.reports.report import Malformed


@csrf_exempt
@require_POST
def node_drill(request: HttpRequest, pk: UUID, name: str) -> HttpResponse:
    """Take what a node says of a drill: 200 with kept, 400 for what is no report, 401 for another's token.

    409 for what is not its own, 410 where the plan was removed, 413 for more than 16 KB, 429 for too many runs.
    """
    node = Node.objects.select_related("cluster").filter(cluster=pk, name=name).order_by().first()
    taken = node.takes(_token(request)) if node else ""
    if not (node and taken):
        return _said("The token is not this node's. Run its set-up script again.", 401)
    answer = _answer(request, node.cluster, node, None)
    if taken == "report_token" and node.has_former_token:
        keys.end_former_token(node)
    return answer


@csrf_exempt
@require_POST
def machine_drill(request: HttpRequest, pk: UUID, drill: int) -> HttpResponse:
    """Take what a drill machine says of its plan; as node_drill answers."""
    found = Drill.objects.select_related("cluster").exclude(machine="").filter(cluster=pk, pk=drill).first()
    if not (found and found.takes(_token(request))):
        return _said("The token is not this plan's, or the plan was removed. Run its set-up script again.", 401)
    return _answer(request, found.cluster, None, found)


def _token(request: HttpRequest) -> str:
    return request.headers.get("Authorization", "").removeprefix("Bearer ").strip()


def _answer(request: HttpRequest, cluster: Cluster, node: Node | None, drill: Drill | None) -> HttpResponse:
    if int(request.META.get("CONTENT_LENGTH") or 0) > BYTES_AT_MOST:
        return _said(f"A report has at most {BYTES_AT_MOST} bytes.", 413)
    try:
        return _said(receive(cluster, of_json(request.body), node=node, drill=drill), 200)
    except Malformed as error:
        return _said(str(error), 400)
    except TooMany as error:
        answer = _said(str(error), 429)
        answer["Retry-After"] = "3600"
        return answer
    except Gone as error:
        return _said(str(error), 410)
    except Refused as error:
        return _said(str(error), 409)


def _said(text: str, status: int) -> HttpResponse:
    return HttpResponse(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")
