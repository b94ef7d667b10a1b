"""What linking an Azure subscription asks for, and how Azure says who it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from console.clouds.azure.errors import (
    ERRORS,
    NO_OWN_IDENTITY,
    NoAnswer,
    Refusal,
    group_id,
    on_group,
    step_error,
)
from console.clouds.azure.session import (
    BY_FEDERATION,
    BY_SECRET,
    GROUP,
    GROUPS_VERSION,
    GUID,
    IDENTITY,
    SECRET,
    SIGN_INS,
    SIGNATURE,
    SUBSCRIPTIONS_VERSION,
    call,
    gives_signatures,
    sign_in,
)
from console.clouds.contract import Fact, Field, Identity, LinkError, Unproven
from console.clouds.proof import FOUND, NO_ID, TAG, on_trial, stands_in
from console.clouds.specs import AccountRef


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
    if text and not (GROUP.fullmatch(text) and max(text) <= "\uffff"):  # .NET's letters, as Azure's rules have them
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
        choices=tuple((one.key, one.label) for one in SIGN_INS),
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
    """Ask Azure whose subscription this is; raise LinkError when it cannot, or must not, be used as it was given."""
    way, settings = sign_in(account), account.settings
    number = settings.get("subscription_id", "")
    if way.takes_external_id and not settings.get("external_id"):
        raise Unproven(NO_ID)
    if way is BY_SECRET and not account.secrets.get("client_secret"):
        raise LinkError("Enter the client secret.", "client_secret")
    if way is BY_FEDERATION and not account.deployment.token_file:
        raise LinkError(NO_OWN_IDENTITY, "method")
    account = replace(account, number=number, settings=on_trial(settings))
    group = _linking("ResourceGroups_Get", account, group_id(account), GROUPS_VERSION)
    proven = _prove(account, group)
    proofs = [
        f"Microsoft Entra lets the console sign in as application {settings.get('client_id')} of tenant "
        f"{settings.get('tenant_id')}.",
        f"Azure shows resource group {group['name']} in {group['location']}.",
    ]
    found = {"location": str(group["location"])}
    if proven:
        found[FOUND] = settings["external_id"]
        proofs.append(proven)
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


def _prove(account: AccountRef, group: Mapping[str, Any]) -> str:
    """Return what proves the link, in a sentence, where a secret does not; raises Unproven.

    Who may tag a resource group administers it: the console's own role has no such action.
    """
    tags, wanted = group.get("tags") or {}, account.settings.get("external_id", "")
    if not sign_in(account).takes_external_id:
        return ""
    if any(name.lower() == TAG and stands_in(str(value), account.settings) for name, value in tags.items()):
        return f"The resource group has the external ID of this link in its tag {TAG}."
    raise Unproven(
        f"Resource group {group['name']} does not have the external ID {wanted} in its tag {TAG}, which would say that "
        "your organisation may use it. Put it there, then try again.",
        "resource_group",
    )


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
        *([Fact("External ID", settings.get("external_id", ""))] if sign_in(account).takes_external_id else []),
        Fact("Nodes sign in with", f"{way} of their cluster"),
    ]


def linked(account: AccountRef) -> str:
    """Return one sentence about the account that was just linked."""
    settings = account.settings
    named = settings.get("subscription_name") or account.number
    return f"Azure says it is subscription {named}; stores are made in resource group {settings.get('resource_group')}."
