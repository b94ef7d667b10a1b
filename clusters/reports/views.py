"""The address at which nodes report. Whoever has the node's token is the node."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from clusters import keys
from clusters.models import Cluster, Node, RemovedNode
from clusters.node_setup import NodeSetup, node_setups
from clusters.reports import receiving, refused
from clusters.reports.receiving import Refused, TooSoon, put_off, receive, receive_of_removed
from clusters.reports.report import BYTES_AT_MOST, Malformed, Report, of_form, of_json


@csrf_exempt
@require_POST
def node_applied(request: HttpRequest, pk: UUID, name: str) -> HttpResponse:
    """Take a node's report: 200 with kept, or with applied or outdated where somebody waits for it.

    401 for another's token, 409 for a second machine and for a report from before the last one, 410 once the node is
    removed, 413 for more than 16 KB, 422 for what is no report, 429 for one right after another.
    """
    node = Node.objects.filter(cluster=pk, name=name).order_by().first()
    gone = None if node else RemovedNode.objects.filter(cluster=pk, name=name).order_by().first()
    known = node or gone
    token = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    taken = known.takes(token) if known else ""
    if not taken:
        refused.note(pk, name)
        return _said("The token is not this node's. Take report.sh from the console again.", 401)
    if int(request.META.get("CONTENT_LENGTH") or 0) > BYTES_AT_MOST:
        return _said(f"A report has at most {BYTES_AT_MOST} bytes.", 413)
    try:
        said = of_json(request.body) if request.content_type == "application/json" else of_form(request.POST.dict())
    except Malformed as error:
        return _said(str(error), 422)
    if gone:
        receive_of_removed(gone, said)
        return _said(f"{name} was removed in the console. Stop pgBackRest here: empty archive_command first.", 410)
    assert node is not None  # one of them is known
    answer = _answer(node, said)
    if taken == "report_token" and node.has_former_token:
        keys.end_former_token(node)
    return answer


def _answer(node: Node, said: Report) -> HttpResponse:
    """Keep the report, and answer whether the node has the file that it should: looked up now, so it is true."""
    node_setup = None
    try:
        put_off(node)
        if said.by_hand or said.version == 1:
            node_setup = _node_setup(node)
        if node_setup and said.sha256 == node_setup.sha256:
            keys.note_file(node_setup)
            if said.version == 1:
                said = replace(said, repositories=tuple(node_setup.numbers))  # later ones say it themselves
        receive(node, said)
    except TooSoon as error:
        answer = _said(str(error), 429)
        answer["Retry-After"] = str(receiving.APART.seconds)
        return answer
    except Refused as error:
        return _said(str(error), 409)
    if node_setup is None:
        return _said("kept", 200)
    return _said("applied" if said.sha256 == node_setup.sha256 else "outdated", 200)


def _node_setup(node: Node) -> NodeSetup:
    cluster = Cluster.objects.with_node_setup().get(pk=node.cluster_id)
    return next(one for one in node_setups(cluster) if one.node.pk == node.pk)


def _said(text: str, status: int) -> HttpResponse:
    return HttpResponse(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")
