"""The emulated Azure where the provider's tests do not reach: what it refuses, and what it keeps."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from urllib.parse import urlencode

import pytest

from console.cloud_accounts.models import CloudAccount
from console.clouds.azure import session as azure_session
from console.demo import sample
from console.demo.credentials import AZURE, azure_token
from console.demo.emulators.azure import rights
from console.demo.emulators.azure.emulator import Emulator, prepare
from console.demo.roles import azure_roles
from console.operations.models import Operation
from stores.models import Store
from tests import factories
from tests.delivery import deliver

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    found = Emulator(tmp_path_factory.mktemp("azure")).start()
    yield found
    found.stop()


def ask(emulator, method, path, body=None, token=None, **headers):
    """Return the status and what is answered."""
    if token is None:
        token = emulator.token(emulator.object_id(), "https://management.azure.com")
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(
        f"{emulator.url}{path}", data, {"Authorization": f"Bearer {token}", **headers}, method=method
    )
    context = ssl.create_default_context(cafile=emulator.ca_file)
    try:
        with urllib.request.urlopen(request, context=context) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            text = error.read()
        return error.code, json.loads(text) if text[:1] == b"{" else text.decode()


@pytest.fixture
def owner(emulator):
    """The console's application may do everything; return the path of a storage account."""
    emulator.reset()
    emulator.assign(emulator.object_id(), rights.OWNER, f"/subscriptions/{emulator.subscription}")
    return f"{emulator.group_id}/providers/Microsoft.Storage/storageAccounts"


NEW = {
    "kind": "StorageV2",
    "sku": {"name": "Standard_LRS"},
    "location": "westeurope",
    "properties": {"isHnsEnabled": False, "allowBlobPublicAccess": False},
}
VERSION = "?api-version=2024-01-01"


@pytest.mark.parametrize(
    ("name", "changes", "status", "code"),
    [
        ("Not-Legal", {}, 400, "AccountNameInvalid"),
        ("legal1", {"location": "atlantis"}, 400, "LocationNotAvailableForResourceType"),
        ("legal1", {"location": "westus", "sku": {"name": "Standard_ZRS"}}, 400, "SkuNotAvailable"),
        ("legal1", {"colour": "red"}, 400, "InvalidRequestContent"),
        ("legal1", {"properties": {"colour": "red"}}, 400, "InvalidRequestContent"),
        ("legal1", {"tags": {"a?b": "c"}}, 400, "InvalidTagNameCharacters"),
        ("taken1", {}, 409, "StorageAccountAlreadyTaken"),
    ],
)
def test_creating_an_account_is_refused_as_azure_refuses(emulator, owner, name, changes, status, code):
    emulator.state["taken"].append("taken1")
    found = ask(emulator, "PUT", f"{owner}/{name}{VERSION}", {**NEW, **changes})
    assert (found[0], found[1]["error"]["code"]) == (status, code)
    assert emulator.state["accounts"] == {}


def test_creating_is_answered_before_it_is_done(emulator, owner):
    emulator.creation_seconds = 60
    assert ask(emulator, "PUT", f"{owner}/first{VERSION}", NEW) == (202, None)
    status, found = ask(emulator, "GET", f"{owner}/first{VERSION}")
    assert (status, found["properties"]["provisioningState"]) == (200, "ResolvingDNS")
    for method, path in (("PUT", "first"), ("DELETE", "first"), ("POST", "first/listKeys")):
        status, found = ask(emulator, method, f"{owner}/{path}{VERSION}", NEW)
        assert (status, found["error"]["code"]) == (409, "StorageAccountOperationInProgress")


def test_hierarchy_cannot_be_changed(emulator, owner):
    ask(emulator, "PUT", f"{owner}/first{VERSION}", NEW)
    status, found = ask(emulator, "PATCH", f"{owner}/first{VERSION}", {"properties": {"isHnsEnabled": True}})
    assert (status, found["error"]["code"]) == (400, "InvalidRequestPropertyValue")


def test_lock_holds_the_account_and_what_is_below_it(emulator, owner):
    ask(emulator, "PUT", f"{owner}/first{VERSION}", NEW)
    lock = f"{owner}/first/providers/Microsoft.Authorization/locks/l{VERSION}"
    assert ask(emulator, "PUT", lock, {"properties": {"level": "CanNotDelete"}})[0] == 201
    status, found = ask(emulator, "DELETE", f"{owner}/first{VERSION}")
    assert (status, found["error"]["code"]) == (409, "ScopeLocked")
    assert ask(emulator, "DELETE", lock)[0] == 200
    assert ask(emulator, "DELETE", f"{owner}/first{VERSION}")[0] == 200
    assert ask(emulator, "DELETE", f"{owner}/first{VERSION}")[0] == 204


def test_tokens_of_others_and_for_others_are_refused(emulator, owner):
    for token in ("nonsense", emulator.token(emulator.object_id(), "https://storage.azure.com")):
        status, found = ask(emulator, "GET", f"{emulator.group_id}{VERSION}", token=token)
        assert (status, found["error"]["code"]) == (401, "InvalidAuthenticationToken")
    stranger = emulator.token("somebody", "https://management.azure.com")
    status, found = ask(emulator, "GET", f"{emulator.group_id}{VERSION}", token=stranger)
    assert (status, found["error"]["code"]) == (403, "AuthorizationFailed")


def test_sign_in_says_what_microsoft_entra_says(emulator):
    def sign_in(tenant=emulator.tenant_id, **form):
        given = {"client_id": emulator.client_id, "scope": "https://management.azure.com/.default", **form}
        request = urllib.request.Request(f"{emulator.url}/{tenant}/oauth2/v2.0/token", urlencode(given).encode())
        try:
            with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=emulator.ca_file)) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return json.loads(error.read())["error_description"].partition(":")[0]

    assert sign_in(client_secret=emulator.client_secret)["token_type"] == "Bearer"
    assert sign_in(client_secret="wrong") == "AADSTS7000215"
    assert sign_in(client_id="nobody") == "AADSTS700016"
    assert sign_in("elsewhere", client_secret=emulator.client_secret) == "AADSTS90002"
    assert sign_in(client_assertion="a.e30.c") == "AADSTS700213"


@pytest.mark.parametrize(
    ("method", "path", "action", "scope"),
    [
        ("GET", "/subscriptions/s", "Microsoft.Resources/subscriptions/read", "/subscriptions/s"),
        ("PUT", "/g/providers/M.S/a/x", "M.S/a/write", "/g/providers/M.S/a/x"),
        ("PATCH", "/g/providers/M.S/a/x", "M.S/a/write", "/g/providers/M.S/a/x"),
        ("GET", "/g/providers/M.S/a", "M.S/a/read", "/g"),
        ("GET", "/g/providers/M.S/a/x/b/default/c", "M.S/a/b/c/read", "/g/providers/M.S/a/x/b/default"),
        ("POST", "/g/providers/M.S/a/x/listKeys", "M.S/a/listKeys/action", "/g/providers/M.S/a/x"),
        (
            "DELETE",
            "/g/providers/M.S/a/x/providers/M.A/locks/l",
            "M.A/locks/delete",
            "/g/providers/M.S/a/x/providers/M.A/locks/l",
        ),
    ],
)
def test_action_is_spelt_by_the_path(method, path, action, scope):
    assert rights.action_of(method, path) == (action, scope)


def test_everything_is_kept_if_it_shall_be(tmp_path):
    emulator = Emulator(tmp_path, keep=True).start()
    emulator.let_console_in(*azure_roles("sas"))
    ask(emulator, "PUT", f"{emulator.group_id}/providers/Microsoft.Storage/storageAccounts/first{VERSION}", NEW)
    emulator.blobs.make("first/c-a")
    emulator.blobs.put("first/c-a", "c-a/x", b"kept")
    emulator.save()
    token, state = emulator.token("somebody", "https://storage.azure.com"), emulator.state
    emulator.stop()
    again = Emulator(tmp_path, keep=True).start()
    try:
        assert again.state == json.loads(json.dumps(state))
        assert again.principal_of(token, "https://storage.azure.com") == "somebody"
        assert again.azurite.call("GET", "/first-c-a/c-a/x").body == b"kept"
    finally:
        again.stop()


@pytest.mark.django_db(transaction=True)
def test_sample_data_has_a_store_on_azure_and_makes_it_once(emulator, settings):
    emulator.reset()
    emulator.let_console_in(*azure_roles("sas"))
    operator = {"endpoint_url": emulator.url, "ca_file": str(emulator.ca_file)}
    settings.DEPLOYMENT_SETTINGS = {**settings.DEPLOYMENT_SETTINGS, "azure": operator}
    acme, owner = factories.organisation("Acme"), factories.user("olivia")

    def load():
        for _ in sample._azure(acme, AZURE, owner):
            pass

    sample_wait, sample.WAIT_SECONDS = sample.WAIT_SECONDS, 0
    try:
        load()
        for pk in Operation.objects.due().values_list("pk", flat=True):
            deliver(pk)
        load()
    finally:
        sample.WAIT_SECONDS = sample_wait
        azure_session.forget_clients()
    account = CloudAccount.objects.get()
    assert account.settings["location"] == "westeurope"
    assert dict(Store.objects.values_list("name", "state")) == {sample.AZURE_STORE: "available"}
    assert set(emulator.state["accounts"]) == {Store.objects.get().bucket, Store.objects.get().log_bucket}


def test_tags_of_a_resource_group_are_merged_and_shown(emulator, owner):
    tags, group = (
        f"{emulator.group_id}/providers/Microsoft.Resources/tags/default{VERSION}",
        f"{emulator.group_id}{VERSION}",
    )

    def patch(operation, **given):
        return ask(emulator, "PATCH", tags, {"operation": operation, "properties": {"tags": given}})

    assert "tags" not in ask(emulator, "GET", group)[1]
    assert patch("Merge", Team="data")[0] == 200
    assert patch("Merge", team="web", more="yes")[1]["properties"]["tags"] == {"team": "web", "more": "yes"}
    assert ask(emulator, "GET", group)[1]["tags"] == {"team": "web", "more": "yes"}
    assert patch("Delete", MORE="")[1]["properties"]["tags"] == {"team": "web"}
    for operation, given, code in (
        ("Melt", {}, "InvalidTagPatchOperation"),
        ("Merge", {"a?b": "c"}, "InvalidTagNameCharacters"),
        ("Merge", {"a": "x" * 257}, "InvalidTagValueLength"),
    ):
        status, found = patch(operation, **given)
        assert (status, found["error"]["code"]) == (400, code)
    assert ask(emulator, "GET", tags)[1]["properties"]["tags"] == {"team": "web"}


def test_the_console_s_own_role_cannot_tag_the_resource_group(emulator):
    emulator.reset()
    emulator.let_console_in(*azure_roles("identity", "sas"))
    tags = f"{emulator.group_id}/providers/Microsoft.Resources/tags/default{VERSION}"
    status, found = ask(emulator, "PATCH", tags, {"operation": "Merge", "properties": {"tags": {"a": "b"}}})
    assert (status, found["error"]["code"]) == (403, "AuthorizationFailed")
    assert "Microsoft.Resources/tags/write" in found["error"]["message"]


def test_the_demo_s_administrator_may_tag_and_the_console_s_own_token_signs_in(emulator):
    emulator.reset()
    prepare(emulator)
    prepare(emulator)
    form = {
        "client_id": emulator.client_id,
        "client_assertion": azure_token(),
        "scope": "https://management.azure.com/.default",
    }
    assert emulator.sign_in(emulator.tenant_id, form)[0] == 200
    secret = {"client_id": AZURE["administrator_id"], "client_secret": AZURE["administrator_secret"]}
    del form["client_assertion"]
    _, found = emulator.sign_in(emulator.tenant_id, {**form, **secret})
    tags = f"{emulator.group_id}/providers/Microsoft.Resources/tags/default{VERSION}"
    body = {"operation": "Merge", "properties": {"tags": {"a": "b"}}}
    assert ask(emulator, "PATCH", tags, body, token=found["access_token"])[0] == 200


CONDITION = (
    "((!(ActionMatches{'A/write'})) OR (@Request[A:PrincipalId] ForAnyOfAllValues:GuidNotEquals {a1, b2} AND "
    "@Request[A:PrincipalType] StringEqualsIgnoreCase 'ServicePrincipal')) AND "
    "((!(ActionMatches{'A/delete'})) OR (@Resource[A:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {c3}))"
)


@pytest.mark.parametrize(
    ("action", "attributes", "expected"),
    [
        ("A/read", {}, True),
        ("A/write", {"PrincipalId": "C3", "PrincipalType": "serviceprincipal"}, True),
        ("A/write", {"PrincipalId": "C3", "PrincipalType": "User"}, False),
        ("A/write", {"PrincipalId": "B2", "PrincipalType": "ServicePrincipal"}, False),
        ("a/delete", {"RoleDefinitionId": "C3"}, True),
        ("A/delete", {"RoleDefinitionId": "a1"}, False),
    ],
)
def test_conditions_of_assignments(action, attributes, expected):
    assert rights.holds(CONDITION, action, attributes) is expected


@pytest.mark.parametrize(
    "condition", ["anything", CONDITION.replace("GuidNotEquals", "GuidLike"), CONDITION + " AND (true)"]
)
def test_conditions_that_are_not_understood_let_nothing_through(condition):
    with pytest.raises(NotImplementedError):
        rights.holds(condition, "A/write", {"PrincipalId": "c3", "PrincipalType": "ServicePrincipal"})
