"""The console as somebody uses it who copies what its pages say; and how long each step took."""

from __future__ import annotations

import html
import re
import time

from tests.demo_process import Visitor

UUID = r"[0-9a-f-]{36}"


def text_of(page):
    """Return what a reader sees, on one line."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))


class Console:
    """The console as its owner uses it, page by page."""

    def __init__(self, demo):
        self.visitor = Visitor(demo["url"], demo["username"], demo["password"])

    def get(self, path, status=200):
        found, text = self.visitor.get(path)
        assert found == status, (path, found, text)
        return text

    def post(self, path, data, status=302):
        found, text = self.visitor.post(path, data)
        assert found == status, (path, found, text_of(text))
        return text

    def find(self, path, name):
        """Return the ID in the link that has this name."""
        found = re.search(rf'href="/[a-z-]+/({UUID})/"[^>]*>(?:<[^>]*>)*{re.escape(name)}<', self.get(path))
        assert found, (path, name)
        return found[1]

    def wait(self, path, text, gone=None, seconds=60):
        """Wait until the page says this, and return the page."""
        until, pause = time.monotonic() + seconds, 0.1
        while True:
            status, page = self.visitor.get(path)
            main = page[page.find('<main id="content"') :]  # the navigation has states of its own
            if (status == gone) if gone else (text in text_of(main)):
                return page
            assert time.monotonic() < until, (path, text, text_of(page))
            time.sleep(pause)
            pause = min(1.0, pause * 1.5)  # each look costs the console a page

    def commands(self, page):
        """Return the commands that a page shows, in their order."""
        return [html.unescape(one) for one in re.findall(r'data-copy="([^"]+)"\s+aria-label="Copy the command"', page)]


class Clock:
    """How long each part took; printed at the end."""

    def __init__(self):
        self.times, self.last = [], time.monotonic()

    def lap(self, name):
        now = time.monotonic()
        self.times.append(f"{name} {now - self.last:.2f} s")
        self.last = now
