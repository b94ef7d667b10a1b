"""What linking an Azure subscription asks for, and how Azure says who it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from console.clouds.azure.errors import (
    ERRORS,
    NO_OWN_IDENTITY,
    NoAnswer,
    Refusal,
    group_id,
    on_group,
    step_error,
)
from console.clouds.azure.session import call, gives_signatures
from console.clouds.contract import AccountRef, Fact, Field, Identity, LinkError

if TYPE_CHECKING:
    pass

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
GROUP = re.compile(r"[\w().-]{1,89}[\w()-]")  # "Naming rules and restrictions for Azure resources"
GROUPS_VERSION = SUBSCRIPTIONS_VERSION = "2022-12-01"
SECRET, FEDERATION = "secret", "federation"
IDENTITY, SIGNATURE = "identity", "sas"  # how nodes sign in


def _guid(what: str, field: str) -> Callable[[str], str]:
    def clean(text: str) -> str:
        if text and not GUID.fullmatch(text.lower()):
            raise LinkError(
                f"This is not {what}: those look like 00000000-0000-0000-0000-000000000000.",
                field,
            )
        return text.lower()

    return clean


def _group(text: str) -> str:
    if text and not GROUP.fullmatch(text):
        raise LinkError("This is not the name of a resource group.", "resource_group")
    return text


FIELDS = (
    Field(
        "tenant_id",
        "Tenant ID",
        "Microsoft Entra, Overview.",
        required="Enter the tenant ID.",
        at_most=36,
        binds_secrets=True,
        clean=_guid("the ID of a tenant", "tenant_id"),
    ),
    Field(
        "client_id",
        "Application (Client) ID",
        "Of the app registration that the console signs in as.",
        required="Enter the client ID.",
        at_most=36,
        identity=True,
        binds_secrets=True,
        clean=_guid("the ID of an application", "client_id"),
    ),
    Field(
        "subscription_id",
        "Subscription ID",
        required="Enter the subscription ID.",
        at_most=36,
        clean=_guid("the ID of a subscription", "subscription_id"),
    ),
    Field(
        "resource_group",
        "Resource Group",
        "All stores of the account are made in it. The console's role needs to be assigned on it, and on nothing else.",
        required="Enter the resource group.",
        at_most=90,
        clean=_group,
    ),
    Field(
        "method",
        "Sign in with",
        kind="choice",
        choices=((SECRET, "A client secret"), (FEDERATION, "Workload identity federation, without a secret")),
    ),
    Field(
        "client_secret",
        "Client Secret",
        "Its value, not its ID.",
        secret=True,
        required="Enter the client secret.",
        method=SECRET,
    ),
    Field(
        "node_access",
        "Nodes sign in with",
        "A managed identity takes pgBackRest 2.58 or newer. A signature suits any, and is renewed by the console.",
        kind="choice",
        choices=((IDENTITY, "A managed identity of their cluster"), (SIGNATURE, "A shared access signature (SAS)")),
    ),
)

EXPLANATION = (
    "The console signs in at Microsoft Entra, and reads the resource group. The app registration needs its custom role "
    "on that resource group; a role that was just given may take ten minutes."
)
ROLE_MISSING = (
    "Azure lets the console sign in, but not read resource group {group} of this subscription. Check both names, and "
    "that the console's role is assigned on the resource group: that takes up to ten minutes to be in force."
)
FIELD_OF = {  # the form's field that a code is about
    "AADSTS90002": "tenant_id",
    "AADSTS900023": "tenant_id",
    "AADSTS700016": "client_id",
    "AADSTS7000112": "client_id",
    "AADSTS7000215": "client_secret",
    "AADSTS7000222": "client_secret",
    "InvalidAuthenticationTokenTenant": "subscription_id",
    "SubscriptionNotFound": "subscription_id",
    "InvalidSubscriptionId": "subscription_id",
    "ResourceGroupNotFound": "resource_group",
}
MESSAGES = {
    "ResourceGroupNotFound": "This subscription has no resource group {group}. Make it first.",
    "SubscriptionNotFound": "Azure does not know this subscription.",
    "InvalidSubscriptionId": "Azure does not know this subscription.",
    "InvalidAuthenticationTokenTenant": "This subscription is not in that tenant.",
    "AuthorizationFailed": ROLE_MISSING,
    "AADSTS7000215": "Microsoft Entra does not accept this client secret. Enter its value, not its ID.",
    "AADSTS7000222": "This client secret has expired. Make a new one (App registrations, Certificates & secrets).",
}


def identify(account: AccountRef) -> Identity:
    """Ask Azure whose subscription this is; raise LinkError when it cannot be used as it was given."""
    settings = account.settings
    number = settings.get("subscription_id", "")
    if settings.get("method") == FEDERATION and not account.deployment.token_file:
        raise LinkError(NO_OWN_IDENTITY, "method")
    account = replace(account, number=number)
    group = _linking("ResourceGroups_Get", account, group_id(account), GROUPS_VERSION)
    proofs = [
        f"Microsoft Entra lets the console sign in as application {settings.get('client_id')} of tenant "
        f"{settings.get('tenant_id')}.",
        f"Azure shows resource group {group['name']} in {group['location']}.",
    ]
    found = {"location": str(group["location"])}
    if not str(group["id"]).lower().startswith(f"/subscriptions/{number}/"):
        raise LinkError("Azure says that the resource group is another subscription's.", "subscription_id")
    try:
        subscription = _linking("Subscriptions_Get", account, f"/subscriptions/{number}", SUBSCRIPTIONS_VERSION)
    except LinkError as error:
        if error.passing:
            raise
        proofs.append("The name of the subscription is not shown to the console, which does not need it.")
    else:
        if subscription.get("state") not in {"Enabled", "PastDue", None}:
            raise LinkError(
                f"The subscription is {str(subscription['state']).lower()}: nothing can be made in it.",
                "subscription_id",
            )
        found["subscription_name"] = str(subscription.get("displayName", ""))
        proofs.append(f"The subscription is {found['subscription_name']}, and enabled.")
    return Identity(number=number, partition="", arn=group_id(account), found=found, proofs=tuple(proofs))


def _linking(operation: str, account: AccountRef, path: str, version: str) -> dict[str, Any]:
    group = account.settings.get("resource_group", "")
    try:
        answer: dict[str, Any] = call(operation, account, lambda cloud: cloud.send("GET", path, version))
    except NoAnswer as error:
        raise LinkError(f"The console got no answer from Azure: {error}", passing=True) from error
    except Refusal as refusal:
        said = MESSAGES.get(refusal.code, "").format(group=group)
        passing = refusal.status >= 500 or refusal.code in {"429", "TooManyRequests"}
        known = refusal.code in ERRORS
        told = said or (step_error(refusal, operation, on_group(account)).message if known else "")
        text = told or f"Azure refused: {refusal.code}: {refusal.reason}"
        raise LinkError(text, FIELD_OF.get(refusal.code, ""), passing=passing) from refusal
    return answer


def account_facts(account: AccountRef) -> list[Fact]:
    """Return what the account is, and how the console signs in to it."""
    settings = account.settings
    name = settings.get("subscription_name", "")
    way = "a signature" if gives_signatures(account) else "a managed identity"
    return [
        Fact("Subscription ID", account.number, more=False),
        *([Fact("Subscription", name, more=False)] if name else []),
        Fact("Resource Group", settings.get("resource_group", ""), more=False),
        Fact("Location of the Resource Group", settings.get("location", "")),
        Fact("Tenant ID", settings.get("tenant_id", "")),
        Fact("Client ID", settings.get("client_id", "")),
        Fact("Nodes sign in with", f"{way} of their cluster"),
    ]


def linked(account: AccountRef) -> str:
    """Return one sentence about the account that was just linked."""
    settings = account.settings
    named = settings.get("subscription_name") or account.number
    return f"Azure says it is subscription {named}; stores are made in resource group {settings.get('resource_group')}."
