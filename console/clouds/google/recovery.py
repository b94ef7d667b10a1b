"""How deleted objects come back from a store at Google: restored from soft delete, copied from versions."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime

from console.clouds.contract import Document, Recovery
from console.clouds.google.buckets import LOG_PREFIX, kept_days
from console.clouds.specs import StoreSpec

# Of each object the generation that was live at the time (JSON API, "Objects": timeCreated, timeDeleted), unless it
# still is.
LIVE_THEN = """import json, sys
for one in json.load(sys.stdin):
    facts = one["metadata"]
    if facts["timeCreated"] <= sys.argv[1] < facts.get("timeDeleted", "") and "\\n" not in facts["name"]:
        print(facts["generation"], facts["name"])"""


def _has_versions(spec: StoreSpec) -> bool:
    return kept_days(spec)[0] > 0


def _undelete(spec: StoreSpec, prefix: str, at: datetime) -> Document:
    moment, filename = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", f"undelete-{prefix.replace('/', '-') or 'all'}.sh"
    everything = shlex.quote(f"gs://{spec.bucket}/{f'{prefix}/'.lstrip('/')}**")
    project = f"--project={shlex.quote(spec.account.number)}"
    lines = [
        "#!/bin/sh",
        "# Needs the Google Cloud CLI, signed in as somebody with the role Storage Admin on the bucket.",
        "set -eu",
        f"at={moment}",
        "# What was there at that time and is soft-deleted comes back, also over what replaced it.",
        f'gcloud storage restore {everything} --created-before-time="$at" --deleted-after-time="$at" --allow-overwrite '
        f"--async {project}",
        "echo 'Google restores in the background; this lists what it is at:'",
        f"gcloud storage operations list {shlex.quote(f'gs://{spec.bucket}')} {project}",
    ]
    if _has_versions(spec):
        lines += [
            "# The same for what is a noncurrent version.",
            f"gcloud storage ls --all-versions --json {everything} {project} |",
            f'  python3 -c {shlex.quote(LIVE_THEN)} "$at" |',
            "  while read -r generation name; do",
            f'    gcloud storage cp "gs://{spec.bucket}/$name#$generation" "gs://{spec.bucket}/$name" {project}',
            "  done",
        ]
    return Document(
        filename,
        "undelete",
        "\n".join([*lines, ""]),
        "The Google Cloud CLI, signed in as somebody with the role Storage Admin on the bucket. Nothing is taken away: "
        "what it overwrites is soft-deleted or a version itself.",
        f"sh {filename}",
    )


def _deleters(spec: StoreSpec, prefix: str) -> str:
    # "Usage logs & storage logs": the address is the second field, the method the fifth, the URI the sixth.
    below = f' && index($6, "{prefix}")' if prefix else ""
    count = f"""awk -F'","' '$5 == "DELETE"{below} {{ print $2 }}'"""
    logs = shlex.quote(f"gs://{spec.log_bucket}/{LOG_PREFIX}_usage_*")
    return f"gcloud storage cat {logs} --project={shlex.quote(spec.account.number)} | {count} | sort | uniq -c"


RECOVERY = Recovery(
    has_versions=_has_versions,
    undelete=_undelete,
    whole_from="",
    uses="The configuration has its key as a file, unless nodes sign in as the service account of their machine: then "
    "start the machine with this one.",
    ends="Its condition ends by itself, to the second, and a worker deletes the service account with its key then.",
    shut_out="Delete the key of the cluster's service account in Google Cloud. The console makes another when the "
    "cluster's access is repaired; then apply the files on each node.",
    deleters=_deleters,
)
