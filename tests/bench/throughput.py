"""How many calls of the API a console with two web processes answers in a second, as production runs it; wrk asks."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.installation import Installation, installation

Figure = tuple[str, float, str]
SECONDS, CONNECTIONS = 20, 16
STORES, TOKENS = 50, 100  # so many tokens that none comes to its limit of 600 calls a minute below 1,000 a second
ROWS = """
import json
from datetime import timedelta
from django.utils import timezone
from console.accounts.models import Organisation, User
from console.api import tokens
from console.api.models import SCOPES, Token
from console.cloud_accounts.models import CloudAccount
from tests import factories
account, made = CloudAccount.objects.get(), []
Token.AT_MOST = {tokens}
made = [factories.store(account, name=f"store-{{number}}") for number in range({stores})]
owner, until = User.objects.get(username="bench"), timezone.now() + timedelta(days=1)
given = {{"kind": "token", "scopes": SCOPES, "expires_at": until, "by": owner}}
texts = [tokens.issue(owner.memberships.get(), name=f"t{{n}}", **given)[1] for n in range({tokens})]
print(json.dumps([str(made[0].pk), texts]))
"""
# Each request with the next token; what is not answered as it should be is counted, and told at the end.
SCRIPT = """
local tokens, at = %s, math.random(1, %d)
request = function()
  at = at %% #tokens + 1
  wrk.headers["Authorization"] = "Bearer " .. tokens[at]
  return wrk.format("GET", "%s")
end
done = function(summary, latency, requests)
  local found = summary.errors
  local wrong = found.connect + found.read + found.write + found.status + found.timeout
  print(string.format("FOUND %%d %%d %%d %%d", summary.requests, summary.duration, wrong, latency:percentile(99)))
end
"""


def measure() -> Iterator[Figure]:
    """Yield for some calls how many a second were answered, how many were not, and the 99th percentile in ms."""
    if shutil.which("wrk") is None:
        print("throughput needs wrk (apt-get install wrk)", flush=True)
        return
    with tempfile.TemporaryDirectory() as name, installation(Path(name), latency=0) as console:
        rows = ROWS.format(stores=STORES, tokens=TOKENS)
        store, tokens = json.loads(console.manage("shell", "-v0", "-c", rows).splitlines()[-1])
        calls = {"me": "/api/v1/me", "store": f"/api/v1/stores/{store}", "list": "/api/v1/stores?limit=50"}
        for call, path in calls.items():
            _asked(console, tokens, path, 2)  # what is loaded at the first
            number, seconds, wrong, slow = _asked(console, tokens, path, SECONDS)
            yield f"throughput_{call}", number / seconds, "calls/s"
            yield f"throughput_{call}_errors", wrong, "calls"
            yield f"throughput_{call}_99th", slow, "ms"


def _asked(console: Installation, tokens: list[str], path: str, seconds: int) -> tuple[int, float, int, float]:
    """Return the number of answers, in how many seconds, how many were no 2xx or none at all, the 99th percentile."""
    script = console.folder / "calls.lua"
    listed = "{" + ", ".join(f'"{one}"' for one in tokens) + "}"
    script.write_text(SCRIPT % (listed, len(tokens), path))
    script.chmod(0o600)
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), console.url]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"FOUND (\d+) (\d+) (\d+) (\d+)", told)
    if found is None:
        raise RuntimeError(f"wrk said: {told}")
    number, took, wrong, slow = map(int, found.groups())
    return number, took / 1e6, wrong, slow / 1000
