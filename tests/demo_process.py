"""`manage.py demo` as a process of its own, and a browserless visitor of it: for the bench and the tests."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, HTTPRedirectHandler, Request, build_opener

# Chromium without its own windows and menus takes a third less of a core for each page. The last options keep it from
# calling home, which is no part of a page.
HEADLESS = Path("/usr/bin/chromium-headless-shell")
CHROMIUM = {
    "executable_path": str(HEADLESS if HEADLESS.exists() else HEADLESS.with_name("chromium")),
    "args": [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ],
}
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Made:
    """What a demo makes at its first start: the database with all migrations, and the static files."""

    migrated: Path
    collected: Path

    def give(self, data: Path) -> None:
        """Have it lie in a demo's folder, as its last start would have left it."""
        from console.demo.supervisor import DATABASE, MADE, state_of

        shutil.copyfile(self.migrated, data / DATABASE)
        shutil.copytree(self.collected, data / "static")
        for command in MADE:
            (data / f"{command}.stamp").write_text(state_of(command))


@contextmanager
def running_demo(data: Path, latency: int = 0, port: int = 0, patience: float = 240, made: Made | None = None):
    """Give the contents of demo.json while the demo runs; its output is in `output.log`.

    What is `made` before, it need not make itself, which takes half of its start.
    """
    clean = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    data.mkdir(parents=True, exist_ok=True)
    if made:
        made.give(data)
    with (data / "output.log").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "demo", "--port", str(port), "--data", str(data), "--latency", str(latency)],
            cwd=ROOT,
            env=clean,
            stdout=output,
            stderr=output,
        )
    try:
        yield {**wait_for_demo(process, data, patience), "pid": process.pid}
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_demo(process, data: Path, patience: float) -> dict:
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if (data / "demo.json").exists():
            return json.loads((data / "demo.json").read_text())
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError(f"the demo did not start:\n{(data / 'output.log').read_text()}")


def transfers(page, path: str) -> list[float]:
    """Open a path with an empty cache and return the bytes that came over the wire, one figure for each request."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    sizes: list[float] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(path, wait_until="networkidle")
    return sizes


class _StayHere(HTTPRedirectHandler):
    def redirect_request(self, *args):
        return None


class Visitor:
    """A signed-in visitor that speaks HTTP, with cookies and the CSRF token that forms carry."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self.url = url.rstrip("/")
        self.opener = build_opener(HTTPCookieProcessor(CookieJar()), _StayHere())
        self.token = ""
        self.get("/login/")
        status, _ = self.post("/login/", {"username": username, "password": password})
        if status != 302:
            raise RuntimeError(f"{username} could not sign in: {status}")
        self.get("/stores/create/?provider=aws")

    def get(self, path: str) -> tuple[int, str]:
        return self._open(Request(self.url + path))

    def post(self, path: str, data: dict) -> tuple[int, str]:
        body = urlencode({**data, "csrfmiddlewaretoken": self.token}, doseq=True).encode()
        return self._open(Request(self.url + path, body, {"Referer": self.url + path}))

    def _open(self, request: Request) -> tuple[int, str]:
        try:
            with self.opener.open(request, timeout=30) as answer:
                status, text = answer.status, answer.read().decode()
        except HTTPError as error:
            status, text = error.code, error.read().decode()
        if found := re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', text):
            self.token = found[1]
        return status, text
