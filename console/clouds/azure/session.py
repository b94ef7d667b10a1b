"""Getting into an Azure subscription: clients that are kept, each call of them, and who we are there."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING, Any
from uuid import UUID

from console.clouds import calls, streams
from console.clouds.azure.errors import (
    CallTarget,
    NoAnswer,
    Refusal,
    step_error,
)
from console.clouds.proof import TAG, SignIn, ensure_proven
from console.clouds.specs import AccountRef
from console.clouds.steps import ensure_lease

if TYPE_CHECKING:
    from console.clouds.azure.clients import AzureClients

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
GROUP = re.compile(r"[\w().-]{1,89}[\w()-]")  # "Naming rules and restrictions for Azure resources"
GROUPS_VERSION = SUBSCRIPTIONS_VERSION = "2022-12-01"
SECRET, FEDERATION = "secret", "federation"
SUBSCRIPTION, GROUP_NAME = "<subscription ID>", "<resource group>"  # stand for what is not known before linking
IDENTITY, SIGNATURE = "identity", "sas"  # how nodes sign in
# What a token of an earlier role, or of an emulator that was started anew, is answered.
STALE = frozenset({"InvalidAuthenticationToken", "ExpiredAuthenticationToken", "AuthenticationFailed", "401"})

_clouds: dict[UUID, tuple[str, AzureClients]] = {}
_lock = Lock()


def _tag_command(settings: Mapping[str, str]) -> str:
    """Return the command that puts the link's external ID on the resource group ("az tag update")."""
    group = shlex.quote(scope_of(settings))
    return f"az tag update --operation Merge --resource-id {group} --tags {TAG}={settings.get('external_id', '')}"


def scope_of(settings: Mapping[str, str]) -> str:
    """Return the ID of the resource group as it is known, also while nobody has named it."""
    number, group = settings.get("subscription_id") or SUBSCRIPTION, settings.get("resource_group") or GROUP_NAME
    return f"/subscriptions/{number}/resourceGroups/{group}"


BY_SECRET = SignIn(key=SECRET, label="A client secret", proof="secret")
# The application trusts the console's token, whoever it was linked by, and Microsoft Entra asks for nothing else.
BY_FEDERATION = SignIn(
    key=FEDERATION,
    label="Workload identity federation, without a secret",
    proof="console",
    where=f"the tag {TAG} of the resource group",
    command=_tag_command,
)
SIGN_INS = (BY_SECRET, BY_FEDERATION)


def sign_in(account: AccountRef) -> SignIn:
    """Return how the console signs in to the account; the clients are made accordingly."""
    return BY_FEDERATION if account.settings.get("method") == FEDERATION else BY_SECRET


def ask(operation: str, subject: CallTarget, do: Callable[[AzureClients], Any], accept: Collection[str] = ()) -> Any:
    """Return what one call returns, or None when Azure answers with one of the accepted codes.

    Whatever else goes wrong leaves as a StepError. The call is counted, timed and logged with the ID that Azure gave.
    """
    try:
        return call(operation, subject.account, do)
    except Refusal as refusal:
        if refusal.code in accept:
            return None
        raise step_error(refusal, operation, subject) from refusal
    except NoAnswer as error:
        raise step_error(error, operation, subject) from error


def call(operation: str, account: AccountRef, do: Callable[[AzureClients], Any]) -> Any:
    """Return what one call returns; raises Refusal and NoAnswer, and NotProven."""
    ensure_lease()
    ensure_proven(sign_in(account), account.settings)
    sdk = import_module(".clients", __package__)
    began, code = time.perf_counter(), ""
    try:
        with streams.within():
            return sdk.calling(lambda: do(cloud_of(account)))
    except Refusal as refusal:
        code = refusal.code
        if code in STALE:
            forget_clients(account)
        raise
    except NoAnswer:
        code = "NoAnswer"
        raise
    finally:
        calls.tell("azure", operation, code, time.perf_counter() - began, {"request_id": sdk.request_id.get()})


def cloud_of(account: AccountRef) -> AzureClients:
    """Return the account's clients, made anew when what it signs in with has changed."""
    with _lock:
        kept = _clouds.get(account.id)
        if kept and kept[0] == account.fingerprint:
            return kept[1]
        cloud: AzureClients = import_module(".clients", __package__).AzureClients(account)
        _clouds[account.id] = (account.fingerprint, cloud)
        return cloud


def forget_clients(account: AccountRef | None = None) -> None:
    """Drop the kept clients of this account, or of all: the next call signs in again."""
    with _lock:
        for key in [key for key in _clouds if account is None or key == account.id]:
            del _clouds[key]


def gives_signatures(account: AccountRef) -> bool:
    """Return whether the nodes sign in with a shared access signature, which needs the accounts' shared keys."""
    return account.settings.get("node_access") == SIGNATURE
