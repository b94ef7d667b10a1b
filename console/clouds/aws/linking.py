"""What linking an AWS account asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping

from console.clouds.aws.session import ROLE_ARN
from console.clouds.contract import Field, LinkError, key_part
from console.clouds.proof import SignIn
from console.clouds.specs import AccountRef

ACCESS_KEY_ID = re.compile(r"[A-Z0-9]{16,128}", re.ASCII)
ROLE, KEY = "role", "access_key"
BY_ROLE = SignIn(
    key=ROLE,
    label="IAM role (recommended: no secret to keep)",
    proof="cloud",
    where="the condition of the role's trust policy",
)
BY_KEY = SignIn(key=KEY, label="Access key", proof="secret")
SIGN_INS = (BY_ROLE, BY_KEY)


def _role_arn(text: str) -> str:
    if not ROLE_ARN.fullmatch(text):
        raise LinkError("Enter the role's ARN, such as arn:aws:iam::012345678910:role/storekeeper.")
    return text


def _access_key_id(text: str) -> str:
    if not ACCESS_KEY_ID.fullmatch(text):
        raise LinkError("Enter the access key's ID: 16 or more capitals and digits.")
    return text


FIELDS = (
    Field(
        "method",
        "How the console signs in",
        kind="choice",
        choices=tuple((one.key, one.label) for one in SIGN_INS),
    ),
    Field(
        "role_arn",
        "AWS IAM Role",
        "Such as arn:aws:iam::012345678910:role/storekeeper. The account ID is read from AWS. Its trust policy must "
        "ask for the external ID.",
        required="Enter the role's ARN, such as arn:aws:iam::012345678910:role/storekeeper.",
        at_most=600,
        method=ROLE,
        identity=True,
        clean=_role_arn,
    ),
    Field(
        "access_key_id",
        "Access Key ID",
        "For accounts without a role. Its user needs the permissions of the file above.",
        required="Enter the access key's ID: 16 or more capitals and digits.",
        at_most=128,
        method=KEY,
        identity=True,
        binds_secrets=True,
        clean=_access_key_id,
    ),
    Field(
        "secret_access_key",
        "Secret Access Key",
        secret=True,
        required="Enter the secret that AWS showed with the access key.",
        method=KEY,
        clean=key_part,
    ),
)


def clean(given: Mapping[str, str]) -> Mapping[str, str]:
    """Return what is kept of an account: its role with our external ID, or its access key's ID."""
    names = ("role_arn", "external_id") if given.get("method") == ROLE else ("access_key_id",)
    return {name: given[name] for name in names}


def sign_in(account: AccountRef) -> SignIn:
    """Return how the console signs in to the account."""
    return BY_ROLE if "role_arn" in account.settings else BY_KEY
