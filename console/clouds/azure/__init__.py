"""Microsoft Azure: what a store gets on Azure Storage, stage by stage, and what the cloud is made of."""

from console.clouds.contract import Capabilities, Cloud, Linking, NodeAccess, PgEdgeNames, Setting
from console.clouds.prices import Prices
from console.clouds.specs import AccountRef
from console.clouds.vocabulary import Vocabulary

from .access import DELETE, END_KEYS, GRANT, REVOKE, SECOND_KEY, due, facts, key_id, machine_steps, policy
from .documents import access_documents
from .existing import EXISTING
from .linking import EXPLANATION, FIELDS, account_facts, identify, linked
from .permissions import preflight
from .recovery import RECOVERY
from .repository import repository
from .session import SECRET, SIGN_INS, sign_in
from .storage import AzureStorage, regions_of

# Each account is closed by the very call that creates it. Then nothing waits for anything else.
CREATION = (
    (
        Setting("log", ("lifecycle",), "Setting the log storage account to expire old logs"),
        Setting("backup", ("delete_lock",), "Locking the backup storage account against deletion"),
    ),
    (Setting("backup", ("logging",), "Turning on access logging"),),
    (Setting("backup", ("versions",), "Turning on soft delete", only_with="versions"),),
)


def capabilities(account: AccountRef) -> Capabilities:
    """Return what can be done in the resource group."""
    return Capabilities(versions=True)


AZURE = Cloud(
    key="azure",
    label="Azure",
    service="Azure Storage",
    mark="peaks",
    mark_colour="blue",
    vocabulary=Vocabulary(
        bucket="storage account",
        account="subscription",
        number="subscription ID",
        name="Azure",
        here="in this resource group",
        at="in Azure",
    ),
    linking=Linking(
        fields=FIELDS,
        sign_ins=SIGN_INS,
        sign_in=sign_in,
        explanation=EXPLANATION,
        identify=identify,
        linked=linked,
        facts=account_facts,
        documents=access_documents,
        preflight=preflight,
        preflight_note="Azure says which actions the console's roles allow on the resource group. Policies and locks "
        "of your organisation are not part of that answer and may forbid a call all the same.",
    ),
    storage=AzureStorage(),
    creation=CREATION,
    access=NodeAccess(
        grant=GRANT,
        revoke=REVOKE,
        delete=DELETE,
        facts=facts,
        machine_steps=machine_steps,
        policy=policy,
        refusal=lambda spec: "",
        repository=repository,
        in_containers=True,
        key_options=(
            ("azure-key-type", "sas"),
            ("azure-key", "FILL-IN-A-SHARED-ACCESS-SIGNATURE"),
        ),
        key_from="Make a shared access signature that may list and read the container, such as with “az storage "
        "container generate-sas --permissions lr --as-user --auth-mode login”, and put it in without a ? at its "
        "beginning. The nodes' own one is in their files, and ends.",
        regions=regions_of,
        key_id=key_id,
        second_key=SECOND_KEY,
        end_keys=END_KEYS,
        key_ends="Azure refuses it within 30 seconds.",
        keys_due=due,
    ),
    recovery=RECOVERY,
    existing=EXISTING,
    capabilities=capabilities,
    pgedge=PgEdgeNames(method=SECRET),
    prices=Prices(
        *(0.005, 0.0004, "hot tier, LRS, East US"),
        source="https://azure.microsoft.com/en-us/pricing/details/storage/blobs/",
    ),
)
