"""What lets a key that is made by hand use the cluster's stores: on most servers a policy, on some something else.

Which server it is, it says itself, by the IDs of its answers. What Ceph 16.2 and Swift 2.30 want was found by trying
them: Ceph looks at no prefix when a file is not there, asks for s3:DeleteObject on the bucket before it deletes
several files, and gives an object to whoever wrote it; Swift's s3api knows no policies, only ACLs of containers, and
puts files of several parts into a container of its own.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from console.clouds.contract import Document
from console.clouds.s3.session import has
from console.clouds.s3api import nodes
from console.clouds.s3api.errors import bucket_arn
from console.clouds.s3api.nodes import POLICY, node_name
from console.clouds.specs import AccessSpec

CEPH, SWIFT = "ceph", "swift"  # as an account's settings list what its server is
CEPH_REQUEST = re.compile(r"tx[0-9a-f]{21}-[0-9a-f]{10}-[0-9a-f]+-\S+")  # rgw_common.cc, "gen_rgw_trans_id"
READ_BACKUPS = "read-backups"
READING = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{bucket_arn('pgbk-*')}/c-*"}


def kind_of(headers: Mapping[str, str]) -> str:
    """Return which server answered with these headers, as far as that changes what nodes need; else ""."""
    if "x-openstack-request-id" in headers or "x-trans-id" in headers:
        return SWIFT
    return CEPH if CEPH_REQUEST.fullmatch(headers.get("x-amz-request-id", "")) else ""


def policy(spec: AccessSpec) -> dict[str, Any]:
    """Return the policy of the nodes, or of what recovers backups, such as their server can keep it."""
    if not has(spec.account, CEPH):
        return nodes.policy(spec)
    statements, form = [], nodes.reading if spec.reads_until else nodes.statements
    for bucket in spec.buckets:
        arn = bucket_arn(bucket)
        objects = [form(arn, folder)[1] for folder in spec.folders(bucket)]
        listing, _ = form(arn, "")
        statements += [listing, *objects]
        if not spec.reads_until:
            statements.append({"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": arn})
    return {"Version": "2012-10-17", "Statement": statements}


def key_documents(spec: AccessSpec) -> list[Document]:
    """Return what somebody needs to make the nodes' key by hand, in the order of use."""
    if has(spec.account, SWIFT):
        return [_in_swift(spec)]
    text = json.dumps(policy(spec), indent=2)
    if not has(spec.account, CEPH):
        return [Document("nodes.json", "Permissions", text, "For the user whose key the nodes get, and no others.")]
    hint = (
        "For the nodes' user. It is wider than elsewhere, because Ceph needs it so: the nodes can also list the names "
        "of other clusters' files in these buckets. They can neither read nor change those."
    )
    reads = (
        "For the console's user. In Ceph a file belongs to whoever wrote it: without this the console sees no "
        "backup. It can then read all that nodes write, which is encrypted: no narrower pattern fits in Ceph."
    )
    return [
        Document("nodes.json", "Permissions of the nodes", text, hint),
        Document("console.json", "Permission of the console", json.dumps(_reading(spec), indent=2), reads),
        Document("ceph.sh", "Commands", _in_ceph(spec), "ADMIN is a user of Ceph that may set policies."),
    ]


def _reading(spec: AccessSpec) -> dict[str, Any]:
    """Return the policy with which the console reads what nodes write, in all of its buckets and those of the cluster.

    Ceph's * ends at the first character that follows it in the pattern, so "c-*/backup/*" fits no node's folder.
    """
    kept = [{**READING, "Resource": f"{bucket_arn(bucket)}/*"} for bucket in spec.kept]
    return {"Version": "2012-10-17", "Statement": [READING, *kept]}


def _in_ceph(spec: AccessSpec) -> str:
    name, account = node_name(spec), spec.account
    reads = f"{READ_BACKUPS}-{spec.prefix}" if spec.kept else READ_BACKUPS  # no cluster's policy replaces another's
    endpoint, region = (shlex.quote(account.settings[name]) for name in ("endpoint", "region"))
    put = f"aws iam put-user-policy --endpoint-url {endpoint} --region {region}"
    console = f"radosgw-admin user info --access-key={shlex.quote(account.settings.get('access_key_id', ''))}"
    return "\n".join(
        [
            "# On a machine of the Ceph cluster. The first answer shows the nodes' key, with \\/ for a / in it.",
            f"radosgw-admin user create --uid={name} --display-name={shlex.quote(f'Nodes of {spec.name}')}",
            f"radosgw-admin user modify --uid={name} --max-buckets=-1",
            "radosgw-admin caps add --uid=ADMIN --caps='user-policy=*'",
            f'console=$({console} | sed -n \'s/^ *"user_id": "\\(.*\\)",$/\\1/p\')',
            "# With ADMIN's key in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY:",
            f"{put} --user-name {name} --policy-name {POLICY} --policy-document file://nodes.json",
            f'{put} --user-name "$console" --policy-name {reads} --policy-document file://console.json',
        ]
    )


def _in_swift(spec: AccessSpec) -> Document:
    lines = ["# As the console's user or another owner of these containers. NODES is the nodes' user, as ACLs name it."]
    for bucket in spec.buckets:
        lines += [
            f"swift post {bucket} --read-acl NODES --write-acl NODES",
            f"swift post {bucket}+segments --read-acl NODES --write-acl NODES",
        ]
    hint = (
        "Swift has no policies, and its ACLs are for whole containers: the nodes of one cluster can read, overwrite "
        "and delete what other clusters have there. Attach a store to one cluster only."
    )
    return Document("swift.sh", "Commands", "\n".join(lines), hint)
