"""The modules for Terraform: what providers take, all that the console needs, and the answers that linking asks for.

`terraform.json` has the arguments of the resources, as the providers' own schemas say: it is made from the packages of
CDK for Terraform, which are written from those.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from uuid import UUID

import pytest

from console.clouds import CLOUDS
from console.clouds.azure import documents as azure_documents
from console.clouds.google import permissions as google_permissions
from console.clouds.specs import AccountRef, DeploymentSettings, Place

SCHEMAS = json.loads((Path(__file__).parent / "terraform.json").read_text())["resources"]
META = {"count", "for_each", "depends_on", "lifecycle", "provider"}
NUMBERS = {"aws": "123456789012", "azure": "99999999-8888-4777-8666-555555555555", "google": "my-project"}
EMAIL = "sk@my-project.iam.gserviceaccount.com"
POOL = "projects/1/locations/global/workloadIdentityPools/pool"
LINKED = {
    "azure secret": {"resource_group": "rg", "method": "secret"},
    "azure sas": {"resource_group": "rg", "method": "secret", "node_access": "sas"},
    "azure federation": {"resource_group": "rg", "method": "federation", "external_id": "sk-1"},
    "google key": {"method": "key", "client_email": EMAIL},
    "google attached": {
        "method": "key",
        "client_email": EMAIL,
        "node_access": "attached",
    },
    "google federation": {
        "method": "federation",
        "external_id": "sk-1",
        "client_email": EMAIL,
        "workload_provider": f"{POOL}/providers/console",
    },
    "google elsewhere": {
        "method": "federation",
        "external_id": "sk-1",
        "client_email": "sk@other-1.iam.gserviceaccount.com",
    },
    "google places": {"method": "key", "client_email": EMAIL},
    "aws role": {"role_arn": "arn:aws:iam::123456789012:role/team/sk", "external_id": "8c1f"},
    "aws places": {"role_arn": "arn:aws:iam::123456789012:role/team/sk", "external_id": "8c1f"},
}
PLACES = (Place("archive", True, ("pg",)), Place("pgbk-abcdef", False, ("old/repo", "")))
CASES = [*LINKED, "azure", "google", "aws"]  # those without settings are not linked yet


def account(case):
    cloud = case.split()[0]
    settings = LINKED.get(case, {"external_id": "sk-1"})
    deployment = DeploymentSettings(principal="arn:aws:iam::999999999999:root")
    partition = "aws" if cloud == "aws" else ""
    places = PLACES if case.endswith("places") else ()
    number = NUMBERS[cloud] if case in LINKED else ""
    return AccountRef(UUID(int=1), number, partition, settings, {}, deployment, places)


def module(case):
    found = CLOUDS[case.split()[0]].linking.documents(account(case))
    return next(one.text for one in found if one.filename.endswith(".tf") and "all-regions" not in one.filename)


def blocks(text):
    """Yield kind, labels and lines of each block at the left margin, as `terraform fmt` has them."""
    for kind, labels, body in re.findall(r'^(\w+)((?: "[^"]+")*) \{\n(.*?)^\}$', text, re.MULTILINE | re.DOTALL):
        yield kind, re.findall(r'"([^"]+)"', labels), re.sub(r"<<-JSON\n.*?\n  JSON\n", "JSON\n", body, flags=re.DOTALL)


def arguments(body, indent="  "):
    """Return the names that are given at this depth: arguments, and blocks with theirs."""
    given = set(re.findall(rf"^{indent}(\w+) +=", body, re.MULTILINE))
    inner = dict(re.findall(rf"^{indent}(\w+) \{{\n(.*?)^{indent}\}}$", body, re.MULTILINE | re.DOTALL))
    return given, inner


@pytest.mark.parametrize("case", CASES)
def test_every_resource_has_the_arguments_that_its_provider_takes(case):
    resources = [(labels[0], body) for kind, labels, body in blocks(module(case)) if kind == "resource"]
    assert len(resources) >= 3
    for name, body in resources:
        if name == "azapi_resource_action":  # of another provider
            continue
        schema = SCHEMAS[name]
        given, inner = arguments(body)
        named = (given | {*inner}) - META
        assert named <= {*schema["required"], *schema["optional"]}, name
        assert {*schema["required"]} <= named, name
        for block, text in inner.items():
            if block in META:
                continue
            assert arguments(text, "    ")[0] <= {*schema["blocks"][block]}, f"{name}.{block}"


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_referred_to_that_the_module_does_not_have(case):
    text = module(case)
    made = re.findall(r'^(resource|data) "(\w+)" "([\w-]+)" \{', text, re.MULTILINE)
    there = {f"{'data.' if kind == 'data' else ''}{type_}.{name}" for kind, type_, name in made}
    named = {
        *re.findall(r"(?<![\w./\"-])((?:data\.)?(?:azuread|azurerm|azapi|google|aws)_\w+\.[\w-]+)", text),
        *re.findall(r"\$\{((?:data\.)?(?:azuread|azurerm|google|aws)_\w+\.[\w-]+)", text),
    }
    assert named <= there
    variables = {labels[0] for kind, labels, _ in blocks(text) if kind == "variable"}
    assert {*re.findall(r"\bvar\.(\w+)", text)} == variables
    [known] = [body for kind, _, body in blocks(text) if kind == "locals"] or [""]
    assert {*re.findall(r"\blocal\.(\w+)", text)} == arguments(known)[0]


@pytest.mark.parametrize("case", CASES)
def test_it_says_what_linking_asks_for(case):
    cloud = CLOUDS[case.split()[0]]
    outputs = {labels[0]: body for kind, labels, body in blocks(module(case)) if kind == "output"}
    asked = {one.name for one in cloud.linking.fields if one.required} - {"access_key_id", "secret_access_key"}
    assert {*outputs} == asked
    secret = {one.name for one in cloud.linking.fields if one.secret}
    assert {name for name, body in outputs.items() if "sensitive = true" in body} == secret & asked


@pytest.mark.parametrize("case", [case for case in CASES if not case.startswith("aws")])
def test_it_has_every_permission_of_the_table(case):
    given = account(case)
    if case.startswith("azure"):
        wanted = {one for actions in azure_documents.permissions(given).values() for one in actions}
        assert ("condition_version" in module(case)) == bool(azure_documents.condition(given))
    else:
        wanted = {*google_permissions.needed(given)}
        assert all(
            json.dumps(one.condition) in module(case) for one in google_permissions.roles(given) if one.condition
        )
    assert wanted <= {*re.findall(r'^ +"([\w./]+)",$', module(case), re.MULTILINE)}


def asked(case):
    """Return the variables that have no default."""
    return [one[1][0] for one in blocks(module(case)) if one[0] == "variable" and "default" not in one[2]]


@pytest.mark.parametrize("case", [case for case in LINKED if not case.startswith("aws")])
def test_a_linked_account_is_asked_nothing_that_is_known(case):
    assert asked(case) == []
    method = next(body for kind, labels, body in blocks(module(case)) if labels == ["sign_in"])
    assert f'= "{LINKED[case]["method"]}"' in method


def test_what_is_not_known_is_asked():
    assert asked("azure") == ["subscription_id", "resource_group", "sign_in"]
    assert asked("google") == ["project_id", "sign_in"]


@pytest.mark.skipif(not shutil.which("terraform"), reason="terraform is not installed")
@pytest.mark.parametrize("case", CASES)
def test_terraform_would_not_format_it_otherwise(tmp_path, case):
    (tmp_path / "main.tf").write_text(module(case))
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-diff", str(tmp_path)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
