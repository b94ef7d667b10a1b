"""How deleted blobs come back from a store on Azure: what is soft-deleted is undeleted."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime

from console.clouds.azure.places import blob_of, container_of
from console.clouds.contract import Document, Recovery
from console.clouds.specs import StoreSpec


def _undelete(spec: StoreSpec, prefix: str, at: datetime) -> Document:
    moment, filename = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}", f"undelete-{prefix.replace('/', '-')}.sh"
    of_cluster, below = container_of(prefix), shlex.quote(f"{blob_of(prefix)}/".lstrip("/"))
    account, container = shlex.quote(spec.bucket), shlex.quote(of_cluster)
    here = f"--account-name {account} --auth-mode login"
    lines = [
        "#!/bin/sh",
        "# Needs the Azure CLI, signed in as somebody with the role Storage Blob Data Contributor on the account.",
        "set -eu",
        f"at={moment}",
        "# The container itself, if it was deleted.",
        f"az storage container list {here} --include-deleted --prefix {container} "
        f"--query \"[?deleted && name=='{of_cluster}'].version\" --output tsv |",
        "  while read -r version; do",
        f'    az storage container restore {here} --name {container} --deleted-version "$version"',
        "  done",
        "# What was deleted or overwritten since then: name, time, and of what was overwritten its snapshot.",
        f"az storage blob list {here} --container-name {container} --prefix {below} --include ds "
        "--num-results '*' --query '[?deleted].[name, properties.deletedTime, snapshot]' --output tsv |",
        "  awk -F'\\t' -v at=\"$at\" '$2 >= at' | sort > deleted.tsv",
        "cut -f1 deleted.tsv | uniq | while IFS= read -r name; do",
        f'  az storage blob undelete {here} --container-name {container} --name "$name"',
        "done",
        "# The first snapshot that was replaced after the time is what was there then.",
        "awk -F'\\t' '$3 != \"None\" && !seen[$1]++ { print $1 \"\\t\" $3 }' deleted.tsv |",
        "  while IFS=\"$(printf '\\t')\" read -r name snapshot; do",
        f'    az storage blob copy start {here} --destination-container {container} --destination-blob "$name" '
        f'--source-account-name {account} --source-container {container} --source-blob "$name" '
        '--source-snapshot "$snapshot"',
        "  done",
    ]
    return Document(
        filename,
        "undelete",
        "\n".join([*lines, ""]),
        "The Azure CLI, signed in as somebody with the role Storage Blob Data Contributor on the storage account. "
        "Nothing is taken away: what it overwrites is soft-deleted itself.",
        f"sh {filename}",
    )


def _deleters(spec: StoreSpec, prefix: str) -> str:
    account = shlex.quote(spec.log_bucket)
    return (
        f"az storage blob download-batch --account-name {account} --auth-mode login --source "
        "insights-logs-storagedelete --destination access-logs\n"
        f'grep -rhF \'/{prefix}/\' access-logs | grep -o \'"callerIpAddress":"[^"]*"\' | sort | uniq -c'
    )


RECOVERY = Recovery(
    has_versions=lambda spec: False,
    undelete=_undelete,
    whole_from="",
    uses="",
    ends="",
    shut_out="Take the managed identity from the machine that was broken into. Where nodes have a signature, delete "
    "the container's stored access policy: the console makes another when the cluster's access is repaired; then apply "
    "the files on each node.",
    deleters=_deleters,
)
