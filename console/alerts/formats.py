"""How each kind of channel wants to be told: a function from a message to a request. Pure, and a table at its end."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlsplit

from console.alerts.messages import Item, Message, News

LINES = 10  # alerts that a chat shows
COLOURS = {"critical": "#c0261f", "warning": "#b06a00", "ok": "#0a6b44"}
PAGERDUTY = {"us": "https://events.pagerduty.com/v2/enqueue", "eu": "https://events.eu.pagerduty.com/v2/enqueue"}
OPSGENIE = {"us": "https://api.opsgenie.com/v2/alerts", "eu": "https://api.eu.opsgenie.com/v2/alerts"}


@dataclass(frozen=True)
class Request:
    """A POST."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    secrets: Sequence[str] = ()  # of its channel, beside the address: what is kept of an answer holds none of them


@dataclass(frozen=True)
class Envelope:
    """What goes around a message: its ID, the same in each try, when it is sent, and where the console is."""

    id: str
    at: int  # seconds since 1970
    secrets: Mapping[str, Any]  # of the channel
    signing: Sequence[str] = ()  # secrets, the newest first
    base: str = ""  # https://console.example.org; "": nobody has said

    def link(self, path: str) -> str:
        """Return a page's whole address; "" where it is not known."""
        return f"{self.base}{path}" if self.base and path else ""


def _json(url: str, body: Any, **headers: str) -> Request:
    known = {"Content-Type": "application/json", **{name.replace("_", "-"): one for name, one in headers.items()}}
    return Request(url, json.dumps(body, ensure_ascii=False).encode(), known)


def signature(secret: str, message_id: str, at: int, body: bytes) -> str:
    """Return the signature of Standard Webhooks: HMAC-SHA256 of "id.timestamp.body" ("Signature scheme", 1.0.0)."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = hmac.new(key, f"{message_id}.{at}.".encode() + body, sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


def webhook(message: Message, envelope: Envelope) -> Request:
    """Return a message of Standard Webhooks (standardwebhooks.com, 1.0.0): type, timestamp, data."""
    data = {
        "organisation": message.organisation,
        "alerts": [_plain(one, envelope) for one in message.items],
        "more": message.more,
    }
    kind = "alerts.test" if message.items and message.items[0].event == "test" else "alerts.changed"
    return _signed(kind, data, envelope)


def news(message: News, envelope: Envelope) -> Request:
    """Return a message of Standard Webhooks that says what has happened."""
    told = {**message.content, "url": envelope.link(message.url)}
    return _signed(message.type, {"organisation": message.organisation, message.name: told}, envelope)


def _signed(kind: str, data: dict[str, Any], envelope: Envelope) -> Request:
    request = _json(str(envelope.secrets["url"]), {"type": kind, "timestamp": _iso(envelope.at), "data": data})
    signed = " ".join(signature(one, envelope.id, envelope.at, request.body) for one in envelope.signing)
    headers = {"webhook-id": envelope.id, "webhook-timestamp": str(envelope.at), "webhook-signature": signed}
    return Request(request.url, request.body, {**request.headers, **headers})


def _plain(one: Item, envelope: Envelope) -> dict[str, Any]:
    return {
        "id": one.id,
        "event": one.event,
        "rule": one.rule,
        "severity": one.severity,
        "title": one.title,
        "words": one.words,
        "advice": one.advice,
        "key": one.key,
        "cluster": one.cluster,
        "subject": {"kind": one.subject_kind, "id": one.subject_id},
        "url": envelope.link(one.url),
        "opened_at": one.opened_at,
        "closed_at": one.closed_at,
    }


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def slack(message: Message, envelope: Envelope) -> Request:
    """Return a message of an incoming webhook ("Sending messages using incoming webhooks", Slack)."""

    def escaped(text: str) -> str:
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    said = []
    for line, detail, path in message.lines(LINES):
        link = envelope.link(path)
        title = f"<{link}|{escaped(line).replace('|', '¦')}>" if link else f"*{escaped(line)}*"
        said.append(f"{title}\n{escaped(detail)}" if detail else title)
    if rest := message.rest(LINES):
        said.append(rest)
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": one[:3000]}} for one in said]
    colour = COLOURS[message.severity]
    body = {"text": escaped(_headed(message)), "attachments": [{"color": colour, "blocks": blocks}]}
    return _json(str(envelope.secrets["url"]), body)


def teams(message: Message, envelope: Envelope) -> Request:
    """Return an adaptive card for a webhook of Workflows ("Create incoming webhooks with Workflows", Microsoft)."""
    colour = {"critical": "attention", "warning": "warning", "ok": "good"}[message.severity]
    head = {"type": "TextBlock", "size": "medium", "weight": "bolder", "wrap": True, "color": colour}
    body: list[dict[str, Any]] = [{**head, "text": _unmarked(_headed(message))}]
    for line, detail, path in message.lines(LINES):
        link = envelope.link(path)
        text = f"[{_unmarked(line)}]({link})" if link else f"**{_unmarked(line)}**"
        body.append({"type": "TextBlock", "wrap": True, "text": f"{text}\n\n{_unmarked(detail)}" if detail else text})
    if rest := message.rest(LINES):
        body.append({"type": "TextBlock", "wrap": True, "text": rest})
    schema = "http://adaptivecards.io/schemas/adaptive-card.json"
    card = {"$schema": schema, "type": "AdaptiveCard", "version": "1.4", "body": body}
    attached = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return _json(str(envelope.secrets["url"]), {"type": "message", "attachments": [attached]})


def _unmarked(text: str) -> str:
    """Return the text with nothing in it that Markdown takes for more than text."""
    return "".join(f"\\{one}" if one in "\\[]()*_`#<>" else one for one in text)


def _headed(message: Message) -> str:
    return f"{message.subject} ({message.organisation})"


def pagerduty(message: Message, envelope: Envelope) -> Request:
    """Return an event of the Events API v2 ("Send an Alert Event", PagerDuty); the group is one incident."""
    action = message.action or "trigger"
    body: dict[str, Any] = {
        "routing_key": envelope.secrets["key"],
        "event_action": action,
        "dedup_key": _short(message.group),
    }
    if action == "trigger":
        first = message.items[0]
        body["payload"] = {
            "summary": _headed(message)[:1024],
            "source": first.cluster or message.organisation,
            "severity": "info"
            if first.event == "test"
            else "critical"
            if message.severity == "critical"
            else "warning",
            "component": first.subject_kind,
            "class": first.rule,
            "custom_details": {line: detail for line, detail, _ in message.lines(LINES)},
        }
        if rest := message.rest(LINES):
            body["payload"]["custom_details"]["more"] = rest
        body["client"] = "Storekeeper"
        if link := envelope.link(first.url):
            body["client_url"], body["links"] = link, [{"href": link, "text": "Open it in Storekeeper"}]
    return _json(PAGERDUTY[envelope.secrets.get("region") or "us"], body)


def opsgenie(message: Message, envelope: Envelope) -> Request:
    """Return a call of the Alert API ("Create Alert", "Close Alert", Opsgenie); the group is one alert there."""
    url, alias = OPSGENIE[envelope.secrets.get("region") or "us"], _short(message.group)
    key = f"GenieKey {envelope.secrets['key']}"
    if message.action in {"resolve", "acknowledge"}:
        verb = "close" if message.action == "resolve" else "acknowledge"
        note = {"source": "Storekeeper", "note": message.subject[:1000]}
        return _json(f"{url}/{quote(alias, safe='')}/{verb}?identifierType=alias", note, Authorization=key)
    first = message.items[0]
    told = "\n".join(f"{line}: {detail}" for line, detail, _ in message.lines(LINES))
    link = envelope.link(first.url)
    body = {
        "message": message.subject[:130],
        "alias": alias,
        "description": "\n".join(one for one in (told, message.rest(LINES), link) if one)[:15_000],
        "priority": "P5" if first.event == "test" else "P1" if message.severity == "critical" else "P3",
        "source": "Storekeeper",
        "entity": first.cluster or message.organisation,
        "details": {"organisation": message.organisation, "rule": first.rule},
    }
    return _json(url, body, Authorization=key)


def _short(group: str) -> str:
    """Return the group as the other side knows it: of a fixed length, and one that tells nothing."""
    return f"storekeeper-{sha256(group.encode()).hexdigest()[:40]}"


def ntfy(message: Message, envelope: Envelope) -> Request:
    """Return a message as JSON, which goes to the server's root ("Publish as JSON", ntfy)."""
    root, topic = split_topic(str(envelope.secrets["url"]))
    said = [f"{line}\n{detail}" if detail else line for line, detail, _ in message.lines(LINES)]
    priority, tag = {"critical": (5, "rotating_light"), "warning": (4, "warning"), "ok": (3, "white_check_mark")}[
        message.severity
    ]
    body = {
        "topic": topic,
        "title": _headed(message)[:250],
        "message": "\n\n".join([*said, message.rest(LINES)]).strip()[:4000],
        "priority": priority,
        "tags": [tag],
    }
    if message.items and (link := envelope.link(message.items[0].url)):
        body["click"] = link
    token = envelope.secrets.get("token")
    return _json(root, body, **({"Authorization": f"Bearer {token}"} if token else {}))


def split_topic(url: str) -> tuple[str, str]:
    """Return the root of a server of ntfy's, and the topic, of a topic's address; raises ValueError for none."""
    address = urlsplit(url)
    above, _, topic = address.path.rstrip("/").rpartition("/")
    if not topic:
        raise ValueError("There is no topic in the address.")  # which is a secret, and errors are logged
    return f"{address.scheme}://{address.netloc}{above}/", topic


def plain_text(message: Message, envelope: Envelope) -> str:
    """Return the text of an e-mail."""
    said = []
    for line, detail, path in message.lines(50):
        said.append("\n".join(one for one in (line, detail, envelope.link(path)) if one))
    if rest := message.rest(50):
        said.append(rest)
    said.append(f"--\nStorekeeper, for {message.organisation}")
    return "\n\n".join(said) + "\n"


FORMATS: Mapping[str, Callable[[Message, Envelope], Request]] = {
    "webhook": webhook,
    "slack": slack,
    "teams": teams,
    "pagerduty": pagerduty,
    "opsgenie": opsgenie,
    "ntfy": ntfy,
}
