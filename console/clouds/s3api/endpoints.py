"""Where a bucket is asked for: botocore's own answer for the first bucket of a region, and for the others the same.

botocore goes through the rules of S3 anew for each bucket, twice: a tenth of what a new store costs a worker. Of a name
that the console has made, the letters of the ID decide nothing. All other names go through the rules.
"""

from __future__ import annotations

import re
from typing import Any

# The names of global_names(), and Amazon's with an account of its own.
OURS = re.compile(r"pgbk-([a-z2-7]{26}|[a-z2-7]{12}(?=-(?:log-)?\d{12}-))[a-z0-9-]*", re.ASCII)


class Provider:
    """Stands in front of botocore's EndpointProvider, which keeps what it has found for the last hundred questions."""

    def __init__(self, behind: Any) -> None:
        self._behind, self.ruleset = behind, behind.ruleset

    def resolve_endpoint(self, **given: Any) -> Any:
        """Return the URL of the bucket, with the headers and the properties that go with it."""
        name = str(given.get("Bucket", ""))
        found = OURS.fullmatch(name)
        if not found:
            return self._behind.resolve_endpoint(**given)
        other = f"pgbk-{'a' * len(found[1])}{name[found.end(1) :]}"  # as long, of the same kind of letters
        answer = self._behind.resolve_endpoint(**{**given, "Bucket": other})
        return answer._replace(url=answer.url.replace(other, name))


def keep(client: Any) -> None:
    """Have this client of S3 go through the rules once for all buckets of the console that are alike."""
    resolver = client._ruleset_resolver
    resolver._provider = Provider(resolver._provider)
