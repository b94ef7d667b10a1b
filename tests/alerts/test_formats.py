"""What each kind of channel is sent, by the documents of each."""

from __future__ import annotations

import base64
import hmac
import json
from hashlib import sha256

import pytest

from console.alerts.formats import FORMATS, Envelope, plain_text, signature, split_topic
from console.alerts.messages import Item, Message

ITEM = Item(
    id="1",
    event="opened",
    rule="verdict",
    severity="critical",
    title="orders <b> & *n1* is at risk",
    words="WAL is missing.",
    advice="Make a backup.",
    url="/alerts/1/",
    key="verdict:1",
    cluster="orders",
)
SECRETS = {"url": "https://hooks.example.org/services/T/B/x", "key": "k" * 32, "token": "tk_1"}
ENVELOPE = Envelope(id="msg_1", at=1_700_000_000, secrets=SECRETS, base="https://console.example.org")


def message(*items, **rest):
    return Message.of("Acme", items or [ITEM], **rest)


def made(kind, what=None, envelope=ENVELOPE):
    request = FORMATS[kind](what or message(), envelope)
    return request, json.loads(request.body)


def test_signature_is_that_of_the_specification():
    """The example of standardwebhooks' own libraries."""
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == expected


def test_webhook_is_signed_with_each_secret():
    secrets = [f"whsec_{base64.b64encode(name * 32).decode()}" for name in (b"n", b"o")]
    request, body = made(
        "webhook", envelope=Envelope("msg_1", 1_700_000_000, SECRETS, secrets, "https://c.example.org")
    )
    assert request.url == SECRETS["url"]
    assert request.headers["webhook-id"] == "msg_1"
    assert request.headers["webhook-timestamp"] == "1700000000"
    signed = b"msg_1.1700000000." + request.body
    made_by = [hmac.new(name * 32, signed, sha256).digest() for name in (b"n", b"o")]
    assert request.headers["webhook-signature"] == " ".join(f"v1,{base64.b64encode(one).decode()}" for one in made_by)
    assert (body["type"], body["timestamp"]) == ("alerts.changed", "2023-11-14T22:13:20+00:00")
    [alert] = body["data"]["alerts"]
    assert (alert["event"], alert["severity"], alert["key"]) == ("opened", "critical", "verdict:1")
    assert alert["url"] == "https://c.example.org/alerts/1/"


def test_slack_takes_nothing_for_markup():
    _, body = made("slack")
    assert body["text"] == "Critical: orders &lt;b&gt; &amp; *n1* is at risk (Acme)"
    [block] = body["attachments"][0]["blocks"]
    assert block["text"]["text"].startswith("<https://console.example.org/alerts/1/|Critical: orders &lt;b&gt;")
    assert "WAL is missing. Make a backup." in block["text"]["text"]


def test_teams_is_an_adaptive_card():
    _, body = made("teams")
    card = body["attachments"][0]["content"]
    assert (card["type"], card["body"][0]["color"]) == ("AdaptiveCard", "attention")
    assert "\\*n1\\*" in card["body"][0]["text"]


@pytest.mark.parametrize("action", ["trigger", "acknowledge", "resolve"])
def test_pagerduty_knows_an_incident_by_its_group(action):
    request, body = made("pagerduty", message(group="acme store", action=action))
    assert request.url == "https://events.pagerduty.com/v2/enqueue"
    assert (body["routing_key"], body["event_action"]) == ("k" * 32, action)
    assert body["dedup_key"] == made("pagerduty", message(group="acme store"))[1]["dedup_key"]
    assert body["dedup_key"] != made("pagerduty", message(group="other store"))[1]["dedup_key"]
    assert ("payload" in body) == (action == "trigger")
    if action == "trigger":
        assert body["payload"]["severity"] == "critical"
        assert body["links"][0]["href"] == "https://console.example.org/alerts/1/"


def test_pagerduty_has_a_region():
    request, _ = made("pagerduty", message(group="g"), Envelope("1", 1, {**SECRETS, "region": "eu"}))
    assert request.url == "https://events.eu.pagerduty.com/v2/enqueue"


def test_opsgenie_closes_by_alias():
    request, body = made("opsgenie", message(group="g", action="trigger"))
    assert request.headers["Authorization"] == f"GenieKey {'k' * 32}"
    assert (body["priority"], len(body["message"]) <= 130) == ("P1", True)
    closing, _ = made("opsgenie", message(group="g", action="resolve"))
    assert closing.url == f"{request.url}/{body['alias']}/close?identifierType=alias"
    acknowledging, _ = made("opsgenie", message(group="g", action="acknowledge"))
    assert acknowledging.url.endswith("/acknowledge?identifierType=alias")


def test_ntfy_goes_to_the_root_with_the_topic():
    envelope = Envelope("1", 1, {"url": "https://ntfy.example.org/sub/backups", "token": "tk_1"})
    request, body = made("ntfy", envelope=envelope)
    assert request.url == "https://ntfy.example.org/sub/"
    assert (body["topic"], body["priority"], body["tags"]) == ("backups", 5, ["rotating_light"])
    assert request.headers["Authorization"] == "Bearer tk_1"
    with pytest.raises(ValueError, match="no topic"):
        split_topic("https://ntfy.example.org/")


def test_what_is_over_is_green_and_says_so():
    over = Item(**{**vars(ITEM), "event": "closed"})
    _, body = made("slack", message(over))
    assert body["text"].startswith("Over: orders")
    assert body["attachments"][0]["color"] == "#0a6b44"
    assert "Make a backup" not in str(body)  # there is nothing left to do


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_three_hundred_alerts_are_one_message_of_a_bounded_size(kind):
    items = [Item(**{**vars(ITEM), "id": str(number), "words": "w" * 900}) for number in range(300)]
    request, body = made(kind, message(*items, group="g", action="trigger"))
    assert len(request.body) < (200_000 if kind == "webhook" else 28_000)
    assert "299 more" in str(body) or "290 more" in str(body) or body["data"]["more"] == 200


def test_plain_text_has_a_line_for_each_and_no_more_than_fifty():
    items = [Item(**{**vars(ITEM), "id": str(number)}) for number in range(300)]
    text = plain_text(message(*items), ENVELOPE)
    assert text.count("is at risk") == 50
    assert "and 250 more" in text
    assert "https://console.example.org/alerts/1/" in text


def test_the_worst_comes_first():
    mild = Item(**{**vars(ITEM), "severity": "warning", "title": "mild"})
    over = Item(**{**vars(ITEM), "event": "closed", "title": "over"})
    assert [one.title for one in message(over, mild, ITEM).items] == [ITEM.title, "mild", "over"]
    assert message(over, mild).severity == "warning"
    assert message(over).severity == "ok"


def test_a_message_is_kept_as_it_was():
    one = message(group="g", action="resolve")
    assert Message.from_json(json.loads(json.dumps(one.as_json()))) == one
