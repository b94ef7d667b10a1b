"""Amazon Web Services: what a store gets on Amazon S3, stage by stage, and what the cloud is made of."""

from console.clouds.contract import Capabilities, Cloud, Linking, NodeAccess, PgEdgeNames
from console.clouds.prices import Prices
from console.clouds.s3api import CREATION
from console.clouds.specs import AccountRef
from console.clouds.vocabulary import Vocabulary

from .access import DELETE, GRANT, REVOKE, facts, machine_steps, outdated, policy, refusal, repository
from .documents import access_documents, merge_statements
from .existing import EXISTING
from .linking import FIELDS, KEY, ROLE, SIGN_INS, clean, sign_in
from .permissions import preflight
from .recovery import RECOVERY
from .session import account_facts, identify
from .storage import AWSStorage, regions_of


def capabilities(account: AccountRef) -> Capabilities:
    """Return what can be done in the account: all that there is."""
    return Capabilities(versions=True, lock=True)


AWS = Cloud(
    key="aws",
    label="AWS",
    service="Amazon S3",
    mark="pail",
    mark_colour="ink",
    vocabulary=Vocabulary(),
    linking=Linking(
        fields=FIELDS,
        sign_ins=SIGN_INS,
        sign_in=sign_in,
        explanation="Make a role in your account with the permissions and the trust policy below, and the boundary of "
        "the nodes' roles; or have CloudFormation or Terraform make all of it. Then enter its ARN. The external ID is "
        "yours alone; without it nobody can use the role, and the console checks that.",
        identify=identify,
        linked=lambda account: f"AWS says it is account {account.number}.",
        facts=account_facts,
        documents=access_documents,
        preflight=preflight,
        preflight_note="IAM is asked what it would answer (iam:SimulatePrincipalPolicy). Resource control policies, "
        "conditions of service control policies and the buckets' own policies may still refuse a call; its task then "
        "says why.",
        clean=clean,
        merge_statements=merge_statements,
        documents_for=(ROLE, KEY),
    ),
    storage=AWSStorage(),
    creation=CREATION,
    access=NodeAccess(
        grant=GRANT,
        revoke=REVOKE,
        delete=DELETE,
        facts=facts,
        machine_steps=machine_steps,
        policy=policy,
        refusal=refusal,
        repository=repository,
        own_key_needs="Where a KMS key encrypts the bucket, it also has to have kms:GenerateDataKey and kms:Decrypt on "
        "that key.",
        key_options=(
            ("s3-key-type", "shared"),
            ("s3-key", "FILL-IN-THE-ACCESS-KEY-ID"),
            ("s3-key-secret", "FILL-IN-ITS-SECRET"),
        ),
        key_from="On a machine whose role may list the bucket and get the objects below the folder (s3:ListBucket, "
        "s3:GetObject), s3-key-type=auto is all it takes. Elsewhere make an access key that may do this. The nodes' "
        "own role may while their cluster has the store attached.",
        regions=regions_of,
        key_id=lambda keys: "",  # nodes sign in with their role
        outdated=outdated,
    ),
    recovery=RECOVERY,
    existing=EXISTING,
    capabilities=capabilities,
    pgedge=PgEdgeNames(method=ROLE),
    prices=Prices(0.005, 0.0004, "S3 Standard, us-east-1", "https://aws.amazon.com/s3/pricing/"),
)
