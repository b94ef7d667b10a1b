"""Preflight as people see it: asked for, read by a worker, shown as a table and before a store is created."""

from __future__ import annotations

import html
import json
import re
from datetime import timedelta

import pytest
from django.utils import timezone

from console.cloud_accounts import actions, preflight
from console.cloud_accounts.models import CloudAccount, Preflight
from console.operations import snapshots
from tests import factories
from tests.responses import HTMX
from tests.stores.conftest import due

OK = {"label": "s3:CreateBucket", "on": "arn:aws:s3:::pgbk-*", "outcome": "pass", "without": "No store.", "regions": []}
STATEMENT = {"Effect": "Allow", "Action": "s3:PutBucketLogging", "Resource": "arn:aws:s3:::pgbk-*"}
FAIL = {
    **OK,
    "label": "s3:PutBucketLogging",
    "outcome": "fail",
    "why": "No policy.",
    "statement": json.dumps(STATEMENT),
}
HERE = {**OK, "label": "Region eu-west-1", "regions": ["eu-west-1"]}


def url(account, what=""):
    return f"/stores/preflight/{account.pk}/{what}"


def notice(client, account, region="eu-west-1"):
    answer = client.get("/stores/preflight/", {"cloud_account": account.pk, "region": region}, headers=HTMX)
    assert answer.status_code == 200
    return answer.content.decode()


def kept(account, *lines, **values):
    """A preflight that was read just now."""
    found = preflight.of(account).get()
    snapshots.read("preflight", found.pk)
    Preflight.objects.update(content=list(lines), error="", **values)
    return Preflight.objects.get()


def work(account):
    """Do what the worker is sent."""
    snapshots.read("preflight", preflight.of(account).get().pk)
    return Preflight.objects.get(cloud_account=account)


def regions(found):
    return {code for one in found.checks for code in one.regions}


def test_a_linked_account_is_due_by_itself_and_then_daily(account, amazon):
    [pk] = due("preflight")
    snapshots.read("preflight", pk)
    found = Preflight.objects.get(pk=pk)
    assert (found.error, found.failing, found.unknown) == ("", [], [])  # an administrator's key may do everything
    assert 86_000 < (found.due_at - found.tried_at).total_seconds() < 87_000
    assert due("preflight") == []


def test_the_regions_of_stores_and_the_chosen_one_are_looked_at(account, amazon):
    factories.store(account, region="eu-west-1")
    assert regions(work(account)) == {"eu-west-1"}
    actions.check_account(account, region="us-west-2")
    assert regions(work(account)) == {"eu-west-1", "us-west-2"}
    actions.check_account(account)
    assert regions(work(account)) == {"eu-west-1"}


def test_chosen_regions_are_few(account):
    for code in ("eu-west-1", "eu-west-2", "eu-west-3", "us-east-1", "us-east-2", "us-west-1", "eu-west-3"):
        actions.check_account(account, region=code)
    assert Preflight.objects.get().chosen == ["eu-west-2", "us-east-1", "us-east-2", "us-west-1", "eu-west-3"]


def test_a_failed_check_keeps_the_last_known(account, amazon):
    before = work(account)
    amazon.inject("GetCallerIdentity", code="AccessDenied", status=403)
    actions.check_account(account)
    after = work(account)
    assert after.error
    assert (after.content, after.read_at) == (before.content, before.read_at)


def test_statements_of_one_resource_are_one(account):
    also = {**FAIL, "statement": json.dumps({**STATEMENT, "Action": "s3:PutBucketPolicy"})}
    found = Preflight(cloud_account=account, content=[OK, FAIL, also])
    [statement] = json.loads(found.statements)
    assert statement == {**STATEMENT, "Action": ["s3:PutBucketLogging", "s3:PutBucketPolicy"]}
    assert Preflight(cloud_account=account, content=[OK]).statements == ""


def test_preflight_of_a_server_says_what_it_lacks(acme, object_server):
    account = factories.server(
        acme,
        endpoint=object_server.endpoint,
        ca_certificate=object_server.ca_certificate,
        access_key_id=object_server.access_key_id,
    )
    account.secrets = {"secret_access_key": object_server.secret_access_key}
    account.save()
    found = work(account)
    assert found.error == ""
    assert found.failing == []
    assert "Access logging" in {one.label for one in found.lacking}
    account.secrets = {"secret_access_key": "wrong"}
    account.save()
    actions.check_account(account)
    assert "does not accept the console's access key" in work(account).error


def test_preflight_table_asks_by_itself_once(as_alice, account):
    page = as_alice.get(url(account)).content.decode()
    assert 'hx-trigger="load"' in page
    actions.check_account(account)
    page = as_alice.get(url(account)).content.decode()
    assert 'hx-trigger="load"' not in page
    assert 'hx-trigger="every 1s"' in page


def test_preflight_table_shows_what_breaks_and_what_to_add(as_alice, account, amazon):
    kept(account, OK, FAIL, HERE)
    answer = as_alice.get(url(account), headers=HTMX)
    page = answer.content.decode()
    assert "<html" not in page
    assert "HX-Request" in answer["Vary"]
    assert page.index("s3:PutBucketLogging") < page.index("s3:CreateBucket")  # what fails is first
    for text in ("1 missing", "No policy.", "What to add", "&quot;s3:PutBucketLogging&quot;"):
        assert text in page
    assert "could not be checked" not in page


def test_preflight_table_leaves_out_regions_without_stores(as_alice, account, amazon):
    there = {**HERE, "label": "Region us-west-2", "regions": ["us-west-2"], "outcome": "fail"}
    kept(account, OK, HERE, there)
    assert "1 missing" in as_alice.get(url(account)).content.decode()  # no store yet: what was chosen is all there is
    factories.store(account, region="eu-west-1")
    page = as_alice.get(url(account)).content.decode()
    assert "us-west-2" not in page
    assert "All that is needed" in page


def test_preflight_check_asks_a_worker(as_alice, account, amazon, django_capture_on_commit_callbacks):
    kept(account, OK)
    answer = as_alice.post(url(account, "check/"), {"region": "EU-West-1"}, headers=HTMX)
    assert (answer.status_code, json.loads(answer["HX-Trigger"])) == (204, {"preflight-changed": {}})
    found = Preflight.objects.get()
    assert (found.is_awaited, found.chosen) == (True, ["eu-west-1"])
    assert "Being checked" in as_alice.get(url(account)).content.decode()
    answer = as_alice.post(url(account, "check/"), {"region": "nowhere-1"})
    assert (answer.status_code, answer["Location"]) == (302, account.get_absolute_url())
    assert Preflight.objects.get().chosen == []


def test_preflight_notice_is_quiet_when_all_is_there(as_alice, account, amazon):
    kept(account, OK, HERE)
    text = notice(as_alice, account)
    assert "2 permissions checked" in text
    assert "notice" not in text
    assert "hx-trigger" not in text


def test_preflight_notice_says_what_would_break(as_alice, account, amazon):
    there = {**HERE, "label": "Region us-west-2", "regions": ["us-west-2"], "outcome": "fail", "why": "Not enabled."}
    kept(account, OK, FAIL, HERE, there)
    text = notice(as_alice, account)
    assert "1 of what the console needs" in text
    assert account.get_absolute_url() in text
    assert "us-west-2" not in text  # another region's
    assert "2 of what the console needs" in notice(as_alice, account, "us-west-2")


def test_preflight_notice_does_not_pass_what_was_not_checked(as_alice, account, amazon):
    kept(account, {**OK, "outcome": "unknown"}, HERE)
    text = notice(as_alice, account)
    assert "1 permission in prod could not be checked" in text
    kept(account, OK, HERE)
    Preflight.objects.update(error="AWS is busy.")
    assert "AWS is busy." in notice(as_alice, account)


def test_preflight_notice_asks_once_for_a_region_that_was_not_looked_at(as_alice, account, amazon):
    kept(account, OK, HERE)
    text = notice(as_alice, account, "us-west-2")
    assert 'hx-trigger="load"' in text
    assert "&quot;us-west-2&quot;" in text or '"us-west-2"' in text
    as_alice.post(url(account, "check/"), {"region": "us-west-2"}, headers=HTMX)
    text = notice(as_alice, account, "us-west-2")
    assert 'hx-trigger="load"' not in text
    assert 'hx-trigger="every 1s"' in text
    assert "Region us-west-2" in {one.label for one in work(account).checks}
    assert "All that a store needs is there" in notice(as_alice, account, "us-west-2")


@pytest.mark.parametrize("query", [{}, {"cloud_account": ""}, {"cloud_account": "x"}, {"region": "eu-west-1"}])
def test_preflight_notice_says_nothing_before_an_account_is_chosen(as_alice, query):
    answer = as_alice.get("/stores/preflight/", query, headers=HTMX)
    assert (answer.status_code, answer.content.strip()) == (200, b"")


@pytest.mark.parametrize("region", ["", "eu-we", "Ir", "Japan", "cn-north-1"])
def test_preflight_notice_says_nothing_before_a_region_is_chosen(as_alice, account, region):
    assert notice(as_alice, account, region).strip() == ""


def test_preflight_notice_of_a_server_needs_no_region(as_alice, acme):
    account = factories.server(acme)
    kept = preflight.of(account)
    kept.update(content=[OK], read_at=timezone.now(), tried_at=timezone.now())
    assert "1 permission checked" in notice(as_alice, account, "")


def test_store_create_has_a_place_for_the_notice(as_alice, account):
    assert "/stores/preflight/" in as_alice.get("/stores/create/", {"provider": "aws"}).content.decode()


def test_preflight_is_seen_by_viewers_who_cannot_ask(client, bob, account):
    client.force_login(bob)
    page = client.get(url(account)).content.decode()
    assert "What the console may do here" in page
    assert "Check again" not in page
    assert "hx-post" not in page
    assert "hx-post" not in notice(client, account)
    assert client.post(url(account, "check/")).status_code == 403


def test_preflight_is_not_seen_by_strangers(client, charlie, account):
    client.force_login(charlie)
    assert client.get(url(account)).status_code == 404
    assert client.get("/stores/preflight/", {"cloud_account": account.pk}).status_code == 404
    assert client.post(url(account, "check/")).status_code == 404
    assert client.get(f"{account.get_absolute_url()}documents/permissions.json/").status_code == 404


def test_preflight_methods(as_alice, account):
    assert as_alice.get(url(account, "check/")).status_code == 405
    assert as_alice.post(url(account)).status_code == 405
    assert as_alice.post("/stores/preflight/").status_code == 405


def test_preflight_needs_no_enterprise_edition(as_alice, acme, account):
    acme.edition = "developer"
    acme.save()
    assert as_alice.get(url(account)).status_code == 200


def test_account_detail_hands_out_the_files_of_its_role(as_alice, account):
    account.settings = {"role_arn": "arn:aws:iam::123456789012:role/sk", "external_id": "8c1f"}
    account.save()
    page = as_alice.get(account.get_absolute_url()).content.decode()
    for document in CloudAccount.objects.get().documents:
        link = f"{account.get_absolute_url()}documents/{document.filename}/"
        assert link in page
        answer = as_alice.get(link)
        assert answer.content.decode() == document.text
        assert answer["Content-Disposition"] == f'attachment; filename="{document.filename}"'
    assert as_alice.get(f"{account.get_absolute_url()}documents/passwd/").status_code == 404


def test_account_link_hands_out_files_with_its_own_external_id(as_alice, bob, client):
    external_id = as_alice.get("/cloud-accounts/link/", {"provider": "aws"}).context["external_id"]
    files = ("trust.json", "storekeeper-role.template.json", "storekeeper-role.tf")
    for name in files:
        assert external_id in as_alice.get(f"/cloud-accounts/link/aws/{name}/").content.decode()
    assert "arn:aws:s3:::pgbk-*" in as_alice.get("/cloud-accounts/link/s3/permissions.json/").content.decode()
    assert as_alice.get("/cloud-accounts/link/azure/permissions.json/").status_code == 404
    client.force_login(bob)
    assert client.get("/cloud-accounts/link/aws/trust.json/").status_code == 403


# What a new version needs, and how it is got

LINKED = {
    "aws": ({"role_arn": "arn:aws:iam::123456789012:role/team/sk", "external_id": "8c1f"}, "123456789012", "aws"),
    "azure": (
        {"resource_group": "rg", "method": "secret", "client_id": "c"},
        "99999999-8888-4777-8666-555555555555",
        "",
    ),
    "google": ({"method": "key", "client_email": "sk@my-project.iam.gserviceaccount.com"}, "my-project", ""),
}
DEPLOY = "aws cloudformation deploy --template-file storekeeper-role.template.json --stack-name storekeeper"
AGAIN = {"aws": DEPLOY, "azure": "sh storekeeper-setup.sh", "google": "sh storekeeper-setup.sh"}


@pytest.mark.parametrize("cloud", LINKED)
def test_what_is_missing_comes_with_the_very_command_to_run_again(as_alice, account, cloud):
    settings, number, partition = LINKED[cloud]
    CloudAccount.objects.update(provider_key=cloud, settings=settings, number=number, partition=partition)
    account.refresh_from_db()
    missing = {**FAIL, "statement": FAIL["statement"] if cloud == "aws" else '{"actions": ["x"]}'}
    found, _ = Preflight.objects.update_or_create(
        cloud_account=account, defaults={"content": [missing], "tried_at": timezone.now(), "read_at": timezone.now()}
    )
    first = found.remedies[0]
    assert first.again.startswith(AGAIN[cloud])
    page = as_alice.get(url(account)).content.decode()
    assert "Run this again, as whoever administers" in page
    assert first.again in page
    assert f"{account.get_absolute_url()}documents/{first.filename}/" in page
    assert page.index(first.again) < page.index("Other ways") < page.index("terraform apply")
    assert first.text == as_alice.get(f"{account.get_absolute_url()}documents/{first.filename}/").content.decode()
    assert first.again in as_alice.get(account.get_absolute_url()).content.decode()
    Preflight.objects.update(content=[OK])
    assert "Run this again" not in as_alice.get(url(account)).content.decode()


def test_nothing_is_offered_to_run_again_before_an_account_is_linked(as_alice):
    for cloud in LINKED:
        page = as_alice.get("/cloud-accounts/link/", {"provider": cloud}).content.decode()
        assert "Run this again, as whoever administers" not in page
        assert "create-policy-version" not in page


@pytest.mark.parametrize("page", ["list", "account"])
def test_an_account_that_lacks_something_is_not_said_to_be_well(as_alice, account, amazon, page):
    address = "/cloud-accounts/" if page == "list" else account.get_absolute_url()
    kept(account, OK, FAIL)
    shown = as_alice.get(address).content.decode()
    assert "1 of 2 permissions missing" in shown
    assert 'class="badge available">Verified' not in shown
    kept(account, OK, {**OK, "outcome": "unknown"})
    assert "1 permission not checked" in as_alice.get(address).content.decode()
    kept(account, OK)
    assert 'class="badge available">Verified' in as_alice.get(address).content.decode()


def test_what_lacks_where_no_store_is_counts_for_nothing(as_alice, account, amazon):
    factories.store(account, region="eu-west-1")
    kept(account, OK, HERE, {**FAIL, "regions": ["ap-south-1"]})
    assert 'class="badge available">Verified' in as_alice.get("/cloud-accounts/").content.decode()
    kept(account, OK, HERE, {**FAIL, "regions": ["eu-west-1"]})
    assert "1 of 3 permissions missing" in as_alice.get("/cloud-accounts/").content.decode()


def test_each_account_is_shown_what_was_found_of_it_alone(as_alice, acme, account, amazon):
    other = factories.account(acme, name="other")
    for one, lines in ((account, [OK, FAIL]), (other, [OK])):
        Preflight.objects.update_or_create(cloud_account=one, defaults={"content": lines})
    preflight.show(shown := list(CloudAccount.objects.order_by("name")))
    assert {one.name: len(one.shown_preflight.failing) for one in shown} == {"other": 0, "prod": 1}


def test_the_heading_of_an_account_follows_the_end_of_a_check(as_alice, account, amazon):
    kept(account, OK)
    polled = {**HTMX, "HX-Trigger": "stores-preflight-poll"}
    assert "accounts-changed" in as_alice.get(url(account), headers=polled)["HX-Trigger"]
    assert "HX-Trigger" not in as_alice.get(url(account), headers=HTMX)
    Preflight.objects.update(wanted_at=timezone.now() + timedelta(seconds=5))
    assert "HX-Trigger" not in as_alice.get(url(account), headers=polled)  # not at its end yet


def test_an_account_is_linked_step_by_step(as_alice):
    page = as_alice.get("/cloud-accounts/link/", {"provider": "aws"}).content.decode()
    places = [
        page.index(text) for text in ("Give the console access", "Enter how the console signs in", "Link the account")
    ]
    assert places == sorted(places)
    ways = re.findall(r'<details class="set-up" name="set-up" id="set-up-([\w-]+)"( open)?>', page)
    assert ways == [("cloudformation", " open"), ("terraform", ""), ("by-hand", "")]
    assert 'href="https://console.aws.amazon.com/cloudformation/home#/stacks/create"' in page
    assert 'name="name" value="' in page  # a name is suggested


def test_each_way_to_sign_in_has_the_files_that_it_needs(as_alice):
    """A key's user gets a policy, as a role does; what is handed out is what is shown."""
    shown = as_alice.get("/cloud-accounts/link/", {"provider": "aws"}).content.decode()
    by_role, by_key = re.split(r'<div class="access" data-only-way="2">', shown)
    for part, method in ((by_role, "role"), (by_key, "access_key")):
        path = f"/cloud-accounts/link/aws/permissions.json/?method={method}"
        assert f'href="{path}"' in part
        policy = as_alice.get(path).content.decode()
        assert html.escape(policy, quote=True) in part
    assert "user/${aws:username}" in as_alice.get(path).content.decode()
    assert "create-policy --policy-name storekeeper " in by_key
    assert "trust.json" not in by_key
    ids = re.findall(r'id="(document-[^"]*)"', shown)
    assert len(ids) == len(set(ids))


def test_a_suggested_name_is_free_and_goes_with_its_cloud(as_alice, acme):
    def suggested(**query):
        return as_alice.get("/cloud-accounts/link/", query).context["form"]["name"].value()

    first = suggested(provider="aws")
    factories.account(acme, name=first)
    assert suggested(provider="aws") == f"{first} 2"
    assert suggested(provider="azure", name=first) == suggested(provider="azure") != first
    assert suggested(provider="azure", name="ours") == "ours"
    assert suggested() == ""
