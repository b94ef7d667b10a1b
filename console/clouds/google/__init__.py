"""Google Cloud: what a store gets on Google Cloud Storage, stage by stage, and what the cloud is made of."""

from console.clouds.contract import Capabilities, Cloud, Linking, NodeAccess, PgEdgeNames, Setting
from console.clouds.prices import Prices
from console.clouds.specs import AccountRef
from console.clouds.vocabulary import Vocabulary

from .access import DELETE, END_KEYS, GRANT, REVOKE, SECOND_KEY, facts, key_id, machine_steps, policy, repository
from .buckets import STORE_LABEL
from .documents import access_documents
from .existing import EXISTING
from .linking import FIELDS
from .permissions import preflight
from .recovery import RECOVERY
from .session import FEDERATION, SIGN_INS, account_facts, identify, sign_in
from .storage import GoogleStorage, regions_of

# A create call takes all settings, so little is left to set: nothing is ever there half-made. Google does not look for
# the log bucket when it is told to log into it, so both are made at once.
CREATION = (
    (
        Setting("log", ("log_delivery",), "Closing the log bucket to all but log delivery"),
        Setting("backup", ("principals",), "Closing the backup bucket to the project's viewers and editors"),
    ),
    (
        Setting(
            "backup",
            ("soft_delete", "versioning", "lifecycle"),
            "Keeping what is deleted or overwritten",
            only_with="versions",
        ),
    ),
)


def capabilities(account: AccountRef) -> Capabilities:
    """Return what can be done in the project.

    No lock: a bucket's retention policy would also forbid what pgBackRest overwrites and expires.
    """
    return Capabilities(versions=True)


GOOGLE = Cloud(
    key="google",
    label="Google",
    service="Google Cloud Storage",
    mark="comb",
    mark_colour="plain",
    vocabulary=Vocabulary(
        account="project",
        number="project ID",
        name="Google",
        here="in this project",
        at="in Google Cloud",
        tag="label",
        owner_tag=STORE_LABEL,
    ),
    linking=Linking(
        fields=FIELDS,
        sign_ins=SIGN_INS,
        sign_in=sign_in,
        explanation="Make a service account in your project with the roles that are described here, then either let "
        "the console's identity act as it (workload identity federation), or make a key of it. The console asks Google "
        "for a token and for the project.",
        identify=identify,
        linked=lambda account: f"Google says it is project {account.number}.",
        facts=account_facts,
        documents=access_documents,
        preflight=preflight,
        preflight_note="Google is asked which permissions the console has (testIamPermissions), of the project, and of "
        "one bucket where there is one. Organisation policies and deny policies may still refuse a call; its task then "
        "says why.",
    ),
    storage=GoogleStorage(),
    creation=CREATION,
    access=NodeAccess(
        grant=GRANT,
        revoke=REVOKE,
        delete=DELETE,
        facts=facts,
        machine_steps=machine_steps,
        policy=policy,
        refusal=lambda spec: "",  # each bucket has a policy of its own, with room for 1,500 principals
        repository=repository,
        key_options=(
            ("gcs-key-type", "service"),
            ("gcs-key", "FILL-IN-THE-PATH-OF-A-SERVICE-ACCOUNT-S-KEY-FILE"),
        ),
        key_from="Make a key file of a service account that may list and get the objects below the folder (Storage "
        "Object Viewer). On a machine with such a service account attached, gcs-key-type=auto is all it takes. The "
        "nodes' own key is in their files while their cluster has the store attached.",
        regions=regions_of,
        key_id=key_id,
        second_key=SECOND_KEY,
        end_keys=END_KEYS,
        key_ends="Google refuses it after some minutes; a token that was fetched with it lasts up to an hour.",
    ),
    recovery=RECOVERY,
    existing=EXISTING,
    capabilities=capabilities,
    pgedge=PgEdgeNames(type="gcp", method=FEDERATION, credentials={"provider": "workload_provider"}),
    prices=Prices(
        *(0.005, 0.0004, "Standard storage in a region, class A and class B operations"),
        source="https://cloud.google.com/storage/pricing",
    ),
)
