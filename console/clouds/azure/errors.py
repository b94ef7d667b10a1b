"""What Azure's errors mean for a step: one table, in words that an administrator can act on.

Also the calls themselves with the permissions that Azure checks for each, of which the console's role is made.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from console.clouds import foreign
from console.clouds.specs import AccountRef, StoreSpec
from console.clouds.steps import Conflict, Denied, Failed, NotReady, StepError

STORAGE = "Microsoft.Storage/storageAccounts"
CONTAINERS = f"{STORAGE}/blobServices/containers"
BLOBS_READ = f"{CONTAINERS}/blobs/read"
LIST_KEYS = f"{STORAGE}/listKeys/action"
# The actions that Azure checks for each of our calls ("Azure permissions for Storage", "… for Management and
# governance", "… for Identity" in the documentation of Azure RBAC), by the names of its REST API. Writing a diagnostic
# setting also asks whether we may list the keys of the account that takes the logs.
ALWAYS: Mapping[str, tuple[str, ...]] = {
    "ResourceGroups_Get": ("Microsoft.Resources/subscriptions/resourceGroups/read",),
    "Permissions_ListForResourceGroup": ("Microsoft.Authorization/permissions/read",),
    "StorageAccounts_GetProperties": (f"{STORAGE}/read",),
    "StorageAccounts_ListByResourceGroup": (f"{STORAGE}/read",),
    "StorageAccounts_Create": (f"{STORAGE}/write",),
    "StorageAccounts_Update": (f"{STORAGE}/write",),
    "StorageAccounts_Delete": (f"{STORAGE}/delete",),
    "BlobServices_GetServiceProperties": (f"{STORAGE}/blobServices/read",),
    "BlobServices_SetServiceProperties": (f"{STORAGE}/blobServices/write",),
    "ManagementPolicies_Get": (f"{STORAGE}/managementPolicies/read",),
    "ManagementPolicies_CreateOrUpdate": (f"{STORAGE}/managementPolicies/write",),
    "ManagementPolicies_Delete": (f"{STORAGE}/managementPolicies/delete",),
    "BlobContainers_List": (f"{CONTAINERS}/read",),
    "BlobContainers_Create": (f"{CONTAINERS}/write",),
    "DiagnosticSettings_Get": ("Microsoft.Insights/diagnosticSettings/read",),
    "DiagnosticSettings_CreateOrUpdate": ("Microsoft.Insights/diagnosticSettings/write", LIST_KEYS),
    "DiagnosticSettings_Delete": ("Microsoft.Insights/diagnosticSettings/delete",),
    "ManagementLocks_GetByScope": ("Microsoft.Authorization/locks/read",),
    "ManagementLocks_CreateOrUpdateByScope": ("Microsoft.Authorization/locks/write",),
    "ManagementLocks_DeleteByScope": ("Microsoft.Authorization/locks/delete",),
    "Blobs_List": (BLOBS_READ,),
    "Blobs_Get": (BLOBS_READ,),
}
# Where nodes have an identity of their cluster's.
BY_IDENTITY: Mapping[str, tuple[str, ...]] = {
    "UserAssignedIdentities_Get": ("Microsoft.ManagedIdentity/userAssignedIdentities/read",),
    "UserAssignedIdentities_CreateOrUpdate": ("Microsoft.ManagedIdentity/userAssignedIdentities/write",),
    "UserAssignedIdentities_Delete": ("Microsoft.ManagedIdentity/userAssignedIdentities/delete",),
    "RoleAssignments_ListForResourceGroup": ("Microsoft.Authorization/roleAssignments/read",),
    "RoleAssignments_Create": ("Microsoft.Authorization/roleAssignments/write",),
    "RoleAssignments_Delete": ("Microsoft.Authorization/roleAssignments/delete",),
}
# And where they have a shared access signature, which the account's key signs.
BY_SIGNATURE: Mapping[str, tuple[str, ...]] = {
    "StorageAccounts_ListKeys": (LIST_KEYS,),
    "Container_GetAccessPolicy": (),  # signed with the key, as the next
    "Container_SetAccessPolicy": (),
}
# Of the subscription, which the console is not given a role on: asked, and done without.
UNASKED: Mapping[str, tuple[str, ...]] = {"Subscriptions_Get": ("Microsoft.Resources/subscriptions/read",)}
ACTIONS: Mapping[str, tuple[str, ...]] = {**ALWAYS, **BY_IDENTITY, **BY_SIGNATURE, **UNASKED}
DATA_ACTIONS = frozenset({BLOBS_READ})

GONE = "ResourceNotFound"  # the code with which a storage account is not there
NO_OWN_IDENTITY = (
    "The console has no identity of its own to sign in with. Whoever runs it has to give its processes a token of "
    "theirs: AZURE_FEDERATED_TOKEN_FILE names the file. Or link the account with a client secret."
)
AGAIN = "then try again"


class Refusal(Exception):
    """An answer of Azure that is an error, as plain data: the SDK's own exceptions end where it is called."""

    def __init__(self, code: str, reason: str, *, status: int = 0, request_id: str = "", policies: str = "") -> None:
        self.code, self.reason, self.status = foreign.word(code), foreign.text(reason), status
        self.request_id = foreign.word(request_id)
        self.policies = foreign.text(policies)  # the names of the policies that refuse
        super().__init__(f"{self.code}: {self.reason}")


class NoAnswer(Exception):
    """No answer came, or none that can be understood."""

    def __init__(self, message: str) -> None:
        super().__init__(foreign.text(message))


def wait(patience: float) -> Callable[..., StepError]:
    """Return the reaction "try again for so many seconds"."""
    return partial(NotReady, patience=patience)


PROXY = "proxy-"  # before a status: it came without a code of Azure's, so what is in between has answered
UNKNOWN = "*"  # stands for every code that is in no row
BUSY = "TooManyRequests"
# Codes (or operation:code, which wins), the reaction, and what to tell. Meanings: "Resource provider error codes"
# (Azure Storage REST API), "Common REST API error codes", "Blob service error codes", "Resolve errors for … " of Azure
# Resource Manager, "Troubleshoot Azure RBAC", "Microsoft Entra authentication and authorization error codes".
ROWS: tuple[tuple[str, Callable[..., StepError], str], ...] = (
    (
        "AuthorizationFailed AuthorizationPermissionMismatch InsufficientAccountPermissions LinkedAuthorizationFailed",
        Denied,
        "Azure refused {action} on {name}. Add it to the console's custom role (the part is in the details), "
        "{again}; a change of a role takes up to ten minutes. Azure says: {reason}",
    ),
    (
        # What a storage account answers to a network that its rules do not name ("Configure Azure Storage firewalls").
        "AuthorizationFailure AuthorizationSourceIPMismatch because-network",
        Denied,
        "{name} does not let the console in. Most likely it is the storage account's firewall (Networking), which lets "
        "in only certain networks: have it let in the console's. If it has no such rule, add {action} to the console's "
        "custom role (the part is in the details). Azure says: {reason}",
    ),
    (
        "403",  # without a code of Azure's
        Denied,
        "Something answered 403 for Azure without saying why: a firewall or proxy on the way may not let this console, "
        "or {operation}, through. If there is none, add {action} to the console's custom role (the part is in the "
        "details). It says: {reason}",
    ),
    (
        # "Blob service error codes"; "Storage Resource Provider error codes"
        "BlobImmutableDueToPolicy BlobImmutableDueToLegalHold ContainerImmutabilityPolicyFailure "
        "ContainerProtectedFromDeletion AccountProtectedFromDeletion because-locked",
        Failed,
        "Azure refused {operation} on {name}, because an immutability policy or a legal hold keeps what is there. Wait "
        "until it is over, or have somebody take the hold away who may; {again}. Azure says: {reason}",
    ),
    (
        "KeyVaultEncryptionKeyNotFound KeyVaultAccessTokenCannotBeAcquired KeyVaultVaultNotFound because-kms",
        Failed,
        "Azure cannot use the key in Key Vault that {name} is encrypted with ({code}): it is disabled, deleted, or the "
        "storage account may not use it any more. Restore it or give the account's identity access to it, {again}. "
        "Azure says: {reason}",
    ),
    (
        "AccountIsDisabled because-suspended",
        Failed,
        "Azure has disabled {name} ({code}), as it does when a subscription is not paid for. Have it enabled again, "
        "{again}. Azure says: {reason}",
    ),
    (
        "because-clock AADSTS700024 AADSTS50013",
        wait(600),
        "Azure does not take what the console signed at this time. Set the clock of each machine that a worker of the "
        "console runs on. Azure says: {reason}",
    ),
    (
        "502 504 proxy-503",
        wait(600),
        "A proxy on the way to Azure answered {status} in its place: it got no answer. See that it reaches Azure.",
    ),
    (
        "413",
        Failed,
        "A proxy on the way to Azure refused the request for {name} as too large (413). Have it let requests of any "
        "size through to Azure, {again}.",
    ),
    (
        "407 511",
        Failed,
        "A proxy on the way to Azure wants a sign-in ({status}), which the console has none for. Let the console "
        "through, {again}.",
    ),
    (
        "RequestDisallowedByPolicy",
        Failed,
        "A policy of your organisation{policies} forbids what the console asked for on {name}. Exempt the resource "
        "group {group} from it, or change it, {again}. Azure says: {reason}",
    ),
    (
        "StorageAccountAlreadyTaken StorageAccountInAnotherResourceGroup AccountAlreadyExists "
        "StorageAccountAlreadyExists AccountNameReserved",
        Conflict,
        "The name {name} is taken: storage accounts of all of Azure share one space of names. Delete this store here "
        "and create it again: it gets another name.",
    ),
    (
        "AccountNameInvalid InvalidResourceName InvalidContainerName",
        Failed,
        "Azure does not accept the name {name} ({reason}). This is a fault in the console: please report it.",
    ),
    (
        "SubscriptionNotRegistered MissingSubscriptionRegistration",
        Failed,
        "Subscription {number} has not registered a resource provider that the console needs. Run "
        "az provider register --namespace {namespace} --subscription {number}, wait until it says Registered, {again}. "
        "Azure says: {reason}",
    ),
    (
        "LocationNotAvailableForResourceType LocationNotAvailable InvalidLocation NoRegisteredProviderFound "
        "InvalidLocationConstraint",
        Failed,
        "Subscription {number} cannot make storage accounts in {region}. Choose another region, or have it opened for "
        "the subscription. Azure says: {reason}",
    ),
    (
        "ReadOnlyDisabledSubscription SubscriptionNotFound InvalidSubscriptionId DisallowedOperation",
        Failed,
        "Subscription {number} is disabled, or is not there any more. Enable it, or link another one, {again}. Azure "
        "says: {reason}",
    ),
    (
        "MaxStorageAccountsCountPerSubscriptionExceeded MaxStorageAccountsCountExceeded QuotaExceeded "
        "ResourceQuotaExceeded",
        Failed,
        "Subscription {number} has as many storage accounts in {region} as its quota allows (250 by default). Delete "
        "unused ones, or ask for more: Quotas, Storage, in the Azure portal; {again}.",
    ),
    (
        "StorageAccountOperationInProgress AccountOperationInProgress OperationInProgress ConcurrentUpdateInProgress "
        "AnotherOperationInProgress ConflictError Conflict AccountIsBeingCreated ResourceBeingCreated 409",
        wait(300),
        "Azure is still working on {name}.",
    ),
    (
        "ScopeLocked",
        Failed,
        "A lock forbids this on {name}, one that the console has not made, perhaps of the resource group {group}. Take "
        "it away, {again}. Azure says: {reason}",
    ),
    (
        "RoleAssignments_Delete:ScopeLocked StorageAccounts_Delete:ScopeLocked DiagnosticSettings_Delete:ScopeLocked",
        wait(180),  # our own was taken away just now, which may not be known everywhere yet
        "A lock keeps {name} from being deleted, or its role assignments. The console has taken its own away; if "
        "there is another, perhaps on the resource group {group}, take that away. Azure says: {reason}",
    ),
    (
        "ResourceGroupNotFound",
        Failed,
        "The resource group {group} is not there any more. Make it again, or link another one, {again}.",
    ),
    (
        "ResourceGroupBeingDeleted",
        Failed,
        "The resource group {group} is being deleted, with all that is in it.",
    ),
    (
        "TooManyRequests SubscriptionRequestsThrottled OperationNotAllowed ServerBusy ServerTimeout OperationTimedOut "
        "InternalError InternalServerError GatewayTimeout ServiceUnavailable RequestTimeout 408 429 500",
        wait(600),
        "Azure is busy and asked the console to slow down ({code}).",
    ),
    (
        "ResourceNotFound ResourceNotFoundOrDeleted 404",
        wait(120),
        "Azure does not show {name} yet. If someone deleted it meanwhile, try again: it is created anew.",
    ),
    (
        "ContainerNotFound",
        wait(60),
        "Azure does not show the container of {name} yet. If someone deleted it, try again: it is created anew.",
    ),
    (
        "ContainerBeingDeleted ContainerDisabled",  # at least 30 seconds ("Delete Container")
        wait(300),
        "Azure is still deleting a container of the same name in {name}.",
    ),
    (
        "KeyBasedAuthenticationNotPermitted",
        wait(120),
        "{name} takes no shared keys (yet), and the nodes' signature needs one. If a policy turns them off, exempt the "
        "resource group {group}, or let the nodes sign in with a managed identity: the account's page, Change.",
    ),
    (
        "PrincipalNotFound",  # the new identity is not yet known everywhere ("Troubleshoot Azure RBAC")
        wait(300),
        "Microsoft Entra does not know {name} everywhere yet.",
    ),
    (
        "RoleAssignmentLimitExceeded RoleAssignmentsLimitExceeded",
        Failed,
        "Subscription {number} has as many role assignments as Azure allows (4,000). Delete unused ones, {again}.",
    ),
    (
        "InvalidAuthenticationToken ExpiredAuthenticationToken AuthenticationFailed InvalidAuthenticationInfo "
        "AuthenticationFailedInvalidHeader NoAuthenticationInformation 401",
        wait(120),
        "Azure does not accept the console's token any more; it signs in anew.",
    ),
    (
        "InvalidAuthenticationTokenTenant",
        Failed,
        "Subscription {number} is not in tenant {tenant} any more. Link it again with its new tenant. Azure says: "
        "{reason}",
    ),
    (
        "AADSTS7000215 AADSTS7000216 AADSTS7000218",
        Failed,
        "Microsoft Entra does not accept the client secret of {client}. Change the secret on the account's page, "
        "{again}.",
    ),
    (
        "AADSTS7000222",
        Failed,
        "The client secret of {client} has expired. Make a new one (Microsoft Entra, App registrations, Certificates & "
        "secrets) and change it on the account's page, {again}.",
    ),
    (
        "AADSTS700016 AADSTS700027 AADSTS7000112 AADSTS500011",
        Failed,
        "Microsoft Entra does not know application {client} in tenant {tenant}, or it was turned off there. Azure "
        "says: {reason}",
    ),
    (
        "AADSTS90002 AADSTS900023",
        Failed,
        "There is no tenant {tenant}.",
    ),
    (
        "AADSTS70021 AADSTS700211 AADSTS700212 AADSTS700213 AADSTS50027",
        Failed,
        "Microsoft Entra does not take the console's own token for application {client}: its federated credential has "
        "to name that token's issuer, subject and audience. Azure says: {reason}",
    ),
    ("NoTokenFile", Failed, NO_OWN_IDENTITY),
    (
        "AADSTS90033 AADSTS50196 AADSTS90055 temporarily_unavailable",
        wait(600),
        "Microsoft Entra is busy ({code}).",
    ),
    (
        "InvalidRequestContent InvalidResource InvalidRequestFormat InvalidInput InvalidRequestPropertyValue "
        "InvalidParameter BadRequest InvalidXmlDocument InvalidHeaderValue InvalidQueryParameterValue",
        Failed,
        "Azure rejected the console's request for {name} ({code}: {reason}). This is a fault in the console: please "
        "report it.",
    ),
    (UNKNOWN, Failed, "Azure refused the request for {name}: {code}: {reason}"),
)
Row = tuple[Callable[..., StepError], str]


def by_code(rows: Iterable[tuple[str, Callable[..., StepError], str]]) -> dict[str, Row]:
    """Return reaction and message by code."""
    return {code: (reaction, message) for codes, reaction, message in rows for code in codes.split()}


ERRORS = by_code(ROWS)
# Why else a call is refused, by the words of the answer, where its code alone says too little.
REFUSED = frozenset({"AuthorizationFailed", "AuthenticationFailed", "Forbidden", "OperationNotAllowed", "401", "409"})
BECAUSE = tuple(
    (re.compile(words, re.IGNORECASE), row)
    for words, row in (
        (r"immutab|legal hold|retention (?:period|policy)", "because-locked"),
        (r"key ?vault", "because-kms"),
        (r"public network access|network (?:acl|rule)|firewall|ip address", "because-network"),
        (r"request date|not within its valid time|clock", "because-clock"),
        (r"\b(?:subscription|account) (?:is|was|has been) (?:disabled|suspended)", "because-suspended"),
    )
)


# What a call is about


def group_id(account: AccountRef) -> str:
    """Return the ID of the resource group that all of the account's stores are in."""
    return f"/subscriptions/{account.number}/resourceGroups/{account.settings.get('resource_group', '')}"


def resource_id(account: AccountRef, name: str) -> str:
    """Return the ID of the storage account."""
    return f"{group_id(account)}/providers/{STORAGE}/{name}"


@dataclass(frozen=True)
class CallTarget:
    """What a call is about, in the words of its errors."""

    account: AccountRef
    name: str  # for people
    scope: str  # the ID of the resource
    region: str = ""
    details: Mapping[str, str] = field(default_factory=dict)


def on_bucket(spec: StoreSpec, name: str) -> CallTarget:
    """Return a storage account of this store as the subject of a call."""
    return CallTarget(
        account=spec.account,
        name=f"storage account {name}",
        scope=resource_id(spec.account, name),
        region=spec.region,
        details={"bucket": name},
    )


def on_group(account: AccountRef) -> CallTarget:
    """Return the account's resource group as the subject of a call."""
    return CallTarget(account, f"resource group {account.settings.get('resource_group', '')}", group_id(account))


def role_part(actions: Iterable[str]) -> str:
    """Return the part of a custom role's definition that allows these actions, as JSON."""
    given = list(dict.fromkeys(actions))
    part = {
        "actions": [one for one in given if one not in DATA_ACTIONS],
        "dataActions": [one for one in given if one in DATA_ACTIONS],
    }
    return json.dumps({key: value for key, value in part.items() if value}, indent=2)


def step_error(error: Refusal | NoAnswer, operation: str, subject: CallTarget) -> StepError:
    """Return what this error means for the step that called; an unknown one is final, unless Azure is ill."""
    if isinstance(error, NoAnswer):
        return wait(600)(
            f"The console got no answer from Azure about {subject.name}. Check that its network lets it out to Azure.",
            code="NoAnswer",
            operation=operation,
            **subject.details,
        )
    settings = subject.account.settings
    details = {"code": error.code, "operation": operation, **subject.details, "request_id": error.request_id}
    reason = foreign.said(error.reason, error.code)
    reaction, message = _row(operation, error, reason)
    if reaction is Denied:
        # Which of them was missing: "… to perform action 'Microsoft.Storage/storageAccounts/write' over scope …".
        named = re.findall(r"perform action(?:\(s\))? '([\w./]+)'", error.reason)
        actions = tuple(named[-1:]) or ACTIONS.get(operation) or (operation,)
        details |= {"action": ", ".join(actions), "statement": role_part(actions)}
    namespace = re.search(r"'(Microsoft\.\w+)'", error.reason)
    text = foreign.told(
        message,
        reason,
        action=details.get("action", ""),
        again=AGAIN,
        client=settings.get("client_id", ""),
        code=error.code,
        group=settings.get("resource_group", ""),
        name=subject.name,
        namespace=namespace[1] if namespace else "Microsoft.Storage",
        number=subject.account.number,
        operation=operation,
        policies=f" ({error.policies})" if error.policies else "",
        region=subject.region or "this region",
        status=str(error.status or error.code),
        tenant=settings.get("tenant_id", ""),
    )
    return reaction(text, **details)


def _row(operation: str, error: Refusal, reason: str) -> Row:
    code = error.code
    if code in REFUSED:
        code = next((row for words, row in BECAUSE if words.search(reason)), code)
    known = ERRORS.get(f"{operation}:{code}") or ERRORS.get(f"{PROXY}{code}") or ERRORS.get(code)
    return known or ERRORS[BUSY if error.status >= 500 or error.status == 429 else UNKNOWN]
