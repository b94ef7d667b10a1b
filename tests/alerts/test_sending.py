"""One guarded way out: whatever address is given, and whatever answers."""

from __future__ import annotations

import logging
from contextlib import closing

import pytest

from console.alerts import sending
from console.alerts.formats import Request
from tests import hostile


@pytest.fixture
def short(monkeypatch, settings):
    monkeypatch.setattr(sending, "SECONDS", 0.5)
    settings.ALERT_ENDPOINTS_ALLOWED = ["127.0.0.1"]


def test_what_is_sent_comes_with_its_headers(receiver):
    answer = sending.post(Request(f"{receiver.url}/hook", b"{}", {"X-Own": "1"}))
    assert (answer.status, answer.text, answer.is_good) == (200, "ok", True)
    [(path, headers, body)] = receiver.got
    assert (path, headers["x-own"], body) == ("/hook", "1", b"{}")
    assert headers["user-agent"].startswith("Storekeeper/")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://alerts.example.org/", "begin with https://"),
        ("https://127.0.0.1/", "loopback address"),
        ("https://10.0.0.1/", "private address"),
        ("https://169.254.169.254/latest", "link-local address"),
        ("https://[::1]/", "loopback address"),
        ("https://[::ffff:169.254.169.254]/", "link-local address"),
        ("https://user:pass@alerts.example.org/", "name and password"),
        ("ftp://alerts.example.org/", "whole address"),
        ("alerts.example.org", "whole address"),
        ("https://", "whole address"),
        ("https://[::1/", "whole address"),
        ("https://alerts.example.org:99999/", "whole address"),
        ("", "whole address"),
    ],
)
def test_an_address_where_nothing_may_be_sent_is_refused_in_words(url, words):
    assert words in sending.refusal(url)
    answer = sending.post(Request(url, b""))
    assert answer.status is None
    assert words in answer.text


def test_an_address_is_checked_when_the_connection_opens(monkeypatch):
    """A name that leads somewhere public in a form, and inside a moment later (DNS rebinding)."""
    assert sending.refusal("https://rebinding.example.org/") == ""
    found = [(2, 1, 6, "", ("169.254.169.254", 443))]
    monkeypatch.setattr("console.clouds.addresses._look_up", lambda host, port: found)
    answer = sending.post(Request("https://rebinding.example.org/secret-path", b""))
    assert answer.status is None
    assert "link-local" in answer.text
    assert "ALERT_ENDPOINTS_ALLOWED" in answer.text
    assert "secret-path" not in answer.text


def test_the_operator_s_own_address_may_be_anywhere(receiver, settings):
    settings.ALERT_ENDPOINTS_ALLOWED = []
    assert not sending.ping(receiver.url).is_good
    assert sending.ping(receiver.url, anywhere=True).is_good


def test_no_redirect_is_followed(receiver):
    receiver.status, receiver.headers = 302, {"Location": f"{receiver.url}/elsewhere"}
    answer = sending.post(Request(receiver.url, b"{}"))
    assert (answer.status, answer.is_good) == (302, False)
    assert "redirects are not followed" in answer.text
    assert len(receiver.got) == 1


def test_a_large_answer_is_read_in_part(receiver):
    receiver.said = "x" * 10_000_000
    answer = sending.post(Request(receiver.url, b"{}"))
    assert answer.is_good
    assert len(answer.text) == sending.SHOWN


def test_what_it_says_is_cleaned(receiver):
    receiver.status, receiver.said = 400, f"no{hostile.FORGED[:60]}".encode("utf-8", "replace").decode()
    answer = sending.post(Request(receiver.url, b"{}"))
    assert (answer.status, "\n" in answer.text, "\x1b" in answer.text) == (400, False, False)


def test_retry_after_is_heard_and_bounded(receiver):
    receiver.status, receiver.headers = 429, {"Retry-After": "120"}
    assert sending.post(Request(receiver.url, b"{}")).retry_after == 120
    receiver.headers = {"Retry-After": "99999999"}
    assert sending.post(Request(receiver.url, b"{}")).retry_after == sending.LATEST
    receiver.headers = {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}
    assert sending.post(Request(receiver.url, b"{}")).retry_after == 0


@pytest.mark.parametrize("behaviour", ["silence", "head that drips", "endless headers", "garbage", "endless continue"])
def test_whatever_answers_it_ends_without_an_answer(short, behaviour):
    with closing(hostile.Peer()) as peer:
        peer.behaviour = behaviour
        answer = sending.post(Request(peer.url, b"{}"))  # that comes back at all is what is tried
    assert answer.status is None
    assert answer.text


@pytest.mark.parametrize("behaviour", ["body that drips", "chunks that drip", "endless body"])
def test_a_head_that_says_yes_is_enough(short, behaviour):
    with closing(hostile.Peer()) as peer:
        peer.behaviour = behaviour
        answer = sending.post(Request(peer.url, b"{}"))  # that comes back at all is what is tried
    assert answer.is_good
    assert len(answer.text) <= sending.SHOWN


def test_a_certificate_that_nobody_knows_is_refused(short, tmp_path):
    with closing(hostile.Peer(tmp_path)) as peer:
        answer = sending.post(Request(peer.url.replace("localhost", "127.0.0.1"), b"{}"))
    assert answer.status is None
    assert answer.text == "Its certificate could not be verified."


def test_nothing_listens(settings):
    settings.ALERT_ENDPOINTS_ALLOWED = ["127.0.0.1"]
    answer = sending.post(Request("http://127.0.0.1:1/secret", b"{}"))
    assert answer.text == "It could not be reached."


PATH = "/services/T0000AAAA/B0000BBBB/x9y8z7SeCrEt"


@pytest.mark.parametrize(
    "said",
    [
        f"<h1>404</h1><p>Cannot POST {PATH}</p>",
        f"no {PATH}?sig=abc%2Fdef123&amp;v=1 here",
        "x9y8z7SeCrEt is no hook",
        "X9Y8Z7SECRET is no hook",
        f'{{"path": "{PATH.replace("/", chr(92) + "/")}"}}',
        "the signature abc/def123 is wrong",
        "the signature abc%2Fdef123 is wrong",
        "Bearer tk_AgQdq7mVBoFD37zQ is unknown",
        "x" * 180 + PATH,
        "y" * (4 * sending.SHOWN - 30) + PATH,
    ],
)
@pytest.mark.parametrize("status", [200, 404])
def test_what_is_kept_of_an_answer_holds_nothing_of_the_address(receiver, said, status):
    receiver.status, receiver.said = status, said
    secrets = ["tk_AgQdq7mVBoFD37zQ", "us"]
    answer = sending.post(Request(f"{receiver.url}{PATH}?sig=abc%2Fdef123&v=1", b"{}", secrets=secrets))
    assert answer.status == status
    for part in ("SeCrEt", "T0000", "def123", "AgQdq"):
        assert part.lower() not in answer.text.lower()
    assert "…" in answer.text


def test_a_beginning_of_a_secret_at_the_end_of_what_was_read_is_none_of_it():
    forms = {*sending._forms(f"https://hooks.example.org{PATH}")}
    assert sending._hidden(f"it is {PATH[:-5]}", forms) == "it is /…/…/…/…"
    assert sending._hidden("it is x9y8z7Se", forms) == "it is …"
    assert sending._hidden("all is well", forms) == "all is well"


def test_no_log_has_an_address():
    assert logging.getLogger("urllib3.connectionpool").getEffectiveLevel() >= logging.ERROR


# E-mail


def test_mail_is_sent(mail_server):
    answer = sending.mail("ops@example.org", "a subject", "a text\n", "abc")
    assert answer.is_good
    [mail] = mail_server.mails
    assert (mail["To"], mail["Subject"], mail["Message-ID"]) == ("ops@example.org", "a subject", "<abc@example.org>")
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content().strip() == "a text"


def test_an_address_that_the_mail_server_refuses_is_said(mail_server):
    answer = sending.mail("nobody@example.org", "a", "b", "c")
    assert (answer.status, answer.is_good, answer.text) == (550, False, "Nobody of that name")


def test_a_mail_server_that_is_down_is_said(mail_server, settings):
    settings.EMAIL_PORT = 1
    answer = sending.mail("ops@example.org", "a", "b", "c")
    assert (answer.status, answer.text) == (None, "The mail server could not be reached (ConnectionRefusedError).")


def test_a_console_without_a_mail_server_says_so(settings):
    settings.EMAIL_HOST = ""
    assert "EMAIL_HOST" in sending.mail("ops@example.org", "a", "b", "c").text
