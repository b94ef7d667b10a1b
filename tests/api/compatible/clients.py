"""pgEdge's clients, as far as they decide what an answer must be: who calls, and how Terraform and the CLI wait."""

from __future__ import annotations

import json
import re
import time

from django.test import Client
from jsonschema import Draft202012Validator, FormatChecker

from console.api.compatible import surface

DOCUMENTS = {
    f"/{prefix}": json.loads(surface._document(name, prefix))
    for name, prefixes in surface.PREFIXES.items()
    for prefix in prefixes
}


def described(method, path):
    """Return what the file of the path's prefix says of the call, and the file."""
    bare = path.partition("?")[0]
    for prefix, document in DOCUMENTS.items():
        for known, calls in document["paths"].items():
            pattern = re.sub(r"\{region\}", "[a-z0-9-]+", re.sub(r"\{pk\}", "[0-9a-f-]{36}", known))
            if bare.startswith(prefix) and re.fullmatch(pattern, bare) and method.lower() in calls:
                return calls[method.lower()], document
    raise LookupError(f"{method} {path} is in no OpenAPI file")


def hold(status, kind, body, method, path):
    """Hold an answer against the file, and against what goes for all: JSON, the code of an error, and no null."""
    said, document = described(method, path)
    answer = said["responses"][str(status)]
    if status == 204:
        assert body == b""
        return
    assert kind == "application/json"
    content = json.loads(body)
    assert "null" not in re.sub(r'"(\\.|[^"\\])*"', "", body.decode())
    schema = {**answer["content"]["application/json"]["schema"], "components": document["components"]}
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(content)
    assert status < 400 or content["code"] == status


class Caller:
    """Calls the compatible surface below a prefix with a token, and holds each answer against its OpenAPI file."""

    def __init__(self, token, prefix="/v1"):
        self.prefix = prefix
        self.client = Client(headers={"Authorization": f"Bearer {token}"} if token else {})

    def __call__(self, method, path, body=None, *, held=True):
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        path = f"{self.prefix}{path}"
        answer = self.client.generic(method, path, data, content_type="application/json")
        if held:
            hold(answer.status_code, answer.get("Content-Type"), answer.content, method, path)
        return answer

    def get(self, path, **options):
        return self("GET", path, **options)

    def post(self, path, body, **options):
        return self("POST", path, body, **options)

    def patch(self, path, body, **options):
        return self("PATCH", path, body, **options)

    def delete(self, path, **options):
        return self("DELETE", path, **options)


class Terraform:
    """terraform-provider-pgedge 2bf357f, client/client.go: PollTaskStatus. `send` is (method, path, body) -> answer."""

    def __init__(self, send, pause=1.0):
        self.send, self.pause = send, pause  # of a second: the share of the real pauses that is waited

    def wait(self, subject_id, kind, attempts=360):
        """Wait as it does for what was just begun; raises RuntimeError in its words."""
        task, attempt = None, 0
        query = f"/tasks?subject_id={subject_id}&subject_kind={kind}"
        while attempt < attempts:
            if task is None:
                listed = [one for one in self.send("GET", query) if one["status"] in {"running", "queued"}]
                if listed:
                    task = max(listed, key=lambda one: one["created_at"])["id"]
                    continue
                if attempt >= 4:
                    raise RuntimeError(f"no active task found for {kind} {subject_id}")
                time.sleep(2 * self.pause)
                attempt += 1
                continue
            found = self.send("GET", f"{query}&id={task}")
            if not found:
                raise RuntimeError(f"task {task} not found")
            if found[0]["status"] == "succeeded":
                return
            if found[0]["status"] == "failed":
                raise RuntimeError(f"task failed: {found[0].get('error', '')}")
            time.sleep(5 * self.pause)
            attempt += 1
        raise RuntimeError(f"timeout waiting for task {task}")


class CommandLine:
    """pgedge-cli 4ee81ee, --wait: the newest task before the write, afterwards the first other one, then by its ID."""

    def __init__(self, send, pause=1.0):
        self.send, self.pause, self.read = send, pause, 0

    def newest(self, subject_id):
        """Return the ID of the subject's newest task, "" where there is none: asked before the write."""
        listed = self.send("GET", f"/tasks?subject_id={subject_id}&limit=100")
        return listed[0]["id"] if listed else ""

    def wait(self, subject_id, before=""):
        """Wait until the first task that is not `before` has ended; returns its messages, each read once."""
        for _ in range(30):
            if (found := self.newest(subject_id)) != before:
                break
            time.sleep(self.pause)
        else:
            raise RuntimeError("no task found")
        messages = []
        for _ in range(600):
            [task] = self.send("GET", f"/tasks?id={found}")
            messages += task["messages"][len(messages) :]
            if task["status"] in {"succeeded", "failed"}:
                return task["status"], messages
            time.sleep(self.pause)
        raise RuntimeError("timeout")
