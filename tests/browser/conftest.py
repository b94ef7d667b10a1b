"""A running demo and a real Chromium that reports whatever a page should not do."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from contextlib import closing
from urllib.request import Request, urlopen

import boto3
import pytest
from django.contrib.sessions.serializers import JSONSerializer
from django.core import signing

from tests.browser.inspection import Inspector
from tests.demo_process import CHROMIUM, running_demo

WATCH = """
document.addEventListener("securitypolicyviolation", (e) =>
  reportViolation(`${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber} ${e.sample}`));
"""
DROPPED = ("htmx:sendAbort,", "htmx:afterRequest,")  # what htmx says of a request that ended: see_failure judges why
EXPECTED_STATUS = {401, 403, 404, 422}  # answers that a person is meant to see


@pytest.fixture(scope="session")
def browser_type_launch_args():
    return CHROMIUM


class Demo:
    """The demo's addresses and people, and the levers of its emulated Amazon."""

    def __init__(self, facts, data):
        self.facts, self.data, self.url = facts, data, facts["url"]

    def person(self, role):
        return self.facts if role == "owner" else self.facts[role]

    def fault(self, operation, **values):
        self._emulator("POST", "faults", {"operation": operation, **values})

    def clear_faults(self):
        self._emulator("DELETE", "faults")

    def _emulator(self, method, what, body=None):
        data = json.dumps(body).encode() if body else None
        url = f"{self.facts['aws']['endpoint']}/_emulator/{what}"
        with urlopen(Request(url, data, {"Content-Type": "application/json"}, method=method)) as answer:
            return answer.read()

    def s3(self, region="eu-west-1"):
        aws = self.facts["aws"]
        return boto3.client(
            "s3",
            region_name=region,
            endpoint_url=aws["endpoint"],
            aws_access_key_id=aws["access_key_id"],
            aws_secret_access_key=aws["secret_access_key"],
        )

    def forget_password(self, state):
        """Have the password count as given too long ago in the session that these cookies belong to."""
        assert self._given(state, 0)

    def give_password(self, state):
        """Have it count as given now, for signing in again takes a hash and two pages; False if the session is over."""
        return self._given(state, time.time())

    def _given(self, state, when):
        key = next(one["value"] for one in state["cookies"] if one["name"] == "sessionid")
        secret = json.loads((self.data / "secrets.json").read_text())["SECRET_KEY"]
        signer = {"key": secret, "salt": "django.contrib.sessions.SessionStore", "serializer": JSONSerializer}
        with closing(sqlite3.connect(self.data / "demo.sqlite3", timeout=30)) as database, database:
            row = database.execute("SELECT session_data FROM django_session WHERE session_key = ?", (key,)).fetchone()
            if row is None:
                return False
            session = signing.loads(row[0], **signer) | {"confirmed_at": when}
            kept = signing.dumps(session, compress=True, **signer)
            database.execute("UPDATE django_session SET session_data = ? WHERE session_key = ?", (kept, key))
            return True

    def pid(self, name):
        return json.loads((self.data / "pids.json").read_text())[name]


@pytest.fixture(scope="session")
def demo(tmp_path_factory, made_for_demos):
    data = tmp_path_factory.mktemp("demo")
    with running_demo(data, latency=40, made=made_for_demos) as facts:
        yield Demo(facts, data)


def sign_in(page, person):
    page.goto("/login/")
    page.fill("[name=username]", person["username"])
    page.fill("[name=password]", person["password"])
    page.click("button.primary")
    page.wait_for_url(re.compile("^(?!.*/login/)"))


@pytest.fixture(scope="session")
def signed_in(browser, demo):
    """A function that gives the cookies of somebody who has just signed in, for many tests at once."""
    kept = {}

    def cookies(role):
        # A password counts for five minutes: later, some pages would ask for it again.
        if role in kept and time.monotonic() - kept[role][1] > 180 and demo.give_password(kept[role][0]):
            kept[role][1] = time.monotonic()
        if role not in kept or time.monotonic() - kept[role][1] > 180:
            context = browser.new_context(base_url=demo.url)
            sign_in(context.new_page(), demo.person(role))
            kept[role] = [context.storage_state(), time.monotonic()]
            context.close()
        return kept[role][0]

    return cookies


@pytest.fixture
def visit(browser, demo, signed_in):
    """A function that opens a page as somebody; at the end, nothing that a page should not do may have been seen."""
    seen, contexts = [], []

    def see_request(request):
        if not request.url.startswith(demo.url):
            seen.append(f"foreign: {request.url}")

    def see_answer(answer):
        if answer.status >= 400 and answer.status not in EXPECTED_STATUS:
            seen.append(f"{answer.status}: {answer.url}")

    def see_failure(request):
        if request.failure != "net::ERR_ABORTED":  # a page that is left drops its requests
            seen.append(f"{request.failure}: {request.url}")

    def visit(role="owner", path="/stores/", **options):
        context = browser.new_context(
            base_url=demo.url,
            reduced_motion="reduce",
            storage_state=signed_in(role) if role else None,
            **{"viewport": {"width": 1280, "height": 900}, **options},
        )
        contexts.append(context)
        # axe works by inline styles; what the policy says to those is not the page's doing.
        if not options.get("bypass_csp"):
            context.expose_binding("reportViolation", lambda source, text: seen.append(f"violation: {text}"))
            context.add_init_script(WATCH)
        page = context.new_page()
        page.on("pageerror", lambda error: seen.append(f"page error: {error}"))
        page.on("request", see_request)
        page.on("response", see_answer)
        page.on("requestfailed", see_failure)
        page.on(
            "console",
            lambda message: (
                message.type not in {"error", "warning"}
                or "Failed to load resource" in message.text  # judged by its status instead
                or message.text.startswith(DROPPED)
                or seen.append(f"console: {message.text}")
            ),
        )
        page.goto(path)
        return page

    yield visit
    demo.clear_faults()
    for context in contexts:
        context.close()
    assert not seen


@pytest.fixture
def inspector():
    inspector = Inspector()
    yield inspector
    assert inspector.checked
    assert not inspector.found
