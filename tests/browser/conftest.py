"""A running demo and a real Chromium that reports whatever a page should not do."""

from __future__ import annotations

import json
from urllib.request import Request, urlopen

import boto3
import pytest

from tests.demo_process import CHROMIUM, running_demo

WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (e) =>
  window.violations.push(`${e.violatedDirective} ${e.sourceFile}:${e.lineNumber} ${e.sample}`));
"""


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/browser" in str(item.path):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.browser)


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

    def mend(self):
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

    def pid(self, name):
        return json.loads((self.data / "pids.json").read_text())[name]


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    data = tmp_path_factory.mktemp("demo")
    with running_demo(data, latency=40) as facts:
        yield Demo(facts, data)


@pytest.fixture
def visit(browser, demo):
    """A function that opens a page as somebody; at the end, nothing that a page should not do may have been seen."""
    seen, contexts = [], []

    def visit(role="owner", path="/stores/", expected=(), **options):
        context = browser.new_context(
            base_url=demo.url, reduced_motion="reduce", **{"viewport": {"width": 1280, "height": 900}, **options}
        )
        contexts.append(context)
        context.add_init_script(WATCH)
        page = context.new_page()
        page.on("pageerror", lambda error: seen.append(f"page error: {error}"))
        page.on("request", lambda request: request.url.startswith(demo.url) or seen.append(f"foreign: {request.url}"))
        page.on(
            "console",
            lambda message: (
                message.type != "error"
                or any(text in message.text for text in ("Failed to load resource", *expected))
                or seen.append(f"console: {message.text}")
            ),
        )
        if role:
            person = demo.person(role)
            page.goto("/login/")
            page.fill("[name=username]", person["username"])
            page.fill("[name=password]", person["password"])
            page.click("button.primary")
            page.wait_for_load_state()
        page.goto(path)
        return page

    yield visit
    for context in contexts:
        for page in context.pages:
            if context._impl_obj._options.get("javaScriptEnabled", True) is not False:
                seen += page.evaluate("window.violations ?? []")
        context.close()
    assert not seen
