"""Servers that speak S3 and are not Amazon's: what a store gets there, stage by stage, and what makes them a cloud."""

from console.clouds.contract import Cloud, Linking, NodeAccess, Setting
from console.clouds.s3api import CREATION
from console.clouds.vocabulary import Vocabulary

from .access import DELETE, END_KEYS, GRANT, REVOKE, SECOND_KEY, facts, key_id, repository
from .by_hand import key_documents, policy
from .documents import access_documents
from .existing import EXISTING
from .features import capabilities, linked
from .key_trial import try_key
from .linking import BY_KEY, FIELDS, account_facts, clean
from .probe import identify, preflight
from .recovery import RECOVERY
from .session import node_regions
from .storage import TRIAL, S3Storage

# Before versions are kept and locked: what it is tried with is to go again.
PROOF = Setting("backup", (TRIAL,), "Trying out what a backup does", proves=True)
SET = next(number for number, stage in enumerate(CREATION) if any(setting.only_with for setting in stage))

S3_COMPATIBLE = Cloud(
    key="s3",
    label="S3-compatible",
    service="MinIO, Ceph, SeaweedFS …",
    mark="rack",
    vocabulary=Vocabulary(
        account="server", within="on", number="server", here="on this server", at="on the server", name="The server"
    ),
    linking=Linking(
        fields=FIELDS,
        sign_ins=(BY_KEY,),
        sign_in=lambda account: BY_KEY,
        explanation="The console tries the server out before it keeps anything: it makes three buckets and a user, "
        "reads back what it set, does there what a backup does, and removes them again.",
        identify=identify,
        linked=linked,
        facts=account_facts,
        documents=access_documents,
        preflight=preflight,
        clean=clean,
    ),
    storage=S3Storage(),
    creation=(*CREATION[:SET], (PROOF,), *CREATION[SET:]),
    access=NodeAccess(
        grant=GRANT,
        revoke=REVOKE,
        delete=DELETE,
        facts=facts,
        policy=policy,
        refusal=lambda spec: "",  # no such server documents a fixed limit
        repository=repository,
        key_options=(("s3-key", "FILL-IN-THE-ACCESS-KEY-ID"), ("s3-key-secret", "FILL-IN-ITS-SECRET")),
        key_from="Make an access key on the server that may list the bucket and get the objects below the folder "
        "(s3:ListBucket, s3:GetObject). The nodes' own key, in the pgbackrest.conf of each of them, "
        "may while their cluster has the store attached.",
        regions=node_regions,
        key_id=key_id,
        by_hand=key_documents,
        try_key=try_key,
        second_key=SECOND_KEY,
        end_keys=END_KEYS,
        note="IAM roles are for Amazon's own machines: here each cluster's nodes sign in with an access key.",
    ),
    recovery=RECOVERY,
    existing=EXISTING,
    capabilities=capabilities,
)
