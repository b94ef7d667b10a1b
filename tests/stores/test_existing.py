"""Buckets that were there before: looked at, decided about, brought in and removed again, in an emulated Amazon."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from django.test import Client

from console.audit.models import AuditEvent
from console.operations import snapshots
from console.operations.actions import cancel
from stores import actions as stores
from stores.control_status import agreed
from stores.existing import actions
from stores.models import BucketLook, DriftReport, Store
from stores.plans import delete_plan
from tests import factories
from tests.delivery import deliver
from tests.responses import HTMX, text_of
from tests.stores.conftest import again, check, settled, work

LIST, ADD, IMPORT, ALL = (f"/stores/existing/{one}" for one in ("", "add/", "import/", "add-all/"))
TAG = "storekeeper:store-id"
THEIRS = {
    "Sid": "Theirs",
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:DeleteBucket",
    "Resource": "arn:aws:s3:::archive",
}


@pytest.fixture
def archive(s3):
    """A bucket that somebody uses: a repository in it, a policy, a lifecycle rule and a tag."""
    s3.create_bucket(Bucket="archive", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_tagging(Bucket="archive", Tagging={"TagSet": [{"Key": "team", "Value": "db"}]})
    for key in ("pg/archive/main/archive.info", "pg/backup/main/backup.info", "other/file"):
        s3.put_object(Bucket="archive", Key=key, Body=b"x")
    s3.put_bucket_policy(Bucket="archive", Policy=json.dumps({"Version": "2012-10-17", "Statement": [THEIRS]}))
    s3.put_bucket_lifecycle_configuration(
        Bucket="archive",
        LifecycleConfiguration={
            "Rules": [{"ID": "tmp", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 3}}]
        },
    )
    return "archive"


def look_at(client, account, bucket="archive", name="Old archive", **more):
    answer = client.post(ADD, {"cloud_account": account.pk, "bucket": bucket, "name": name, **more})
    assert answer.status_code == 302, text_of(answer)
    return read(bucket, account)


def read(bucket="archive", account=None):
    looks = BucketLook.objects.filter(bucket=bucket)
    look = looks.get(cloud_account=account) if account else looks.get()
    actions.look_again(look)
    snapshots.read("bucket_look", look.pk)
    look.refresh_from_db()
    return look


def decision(client, look, **given):
    """What the page would post, with what is given instead."""
    form = client.get(look.get_absolute_url()).context["form"]
    return {name: form[name].value() for name in form.fields if form[name].value() not in {False, None}} | given


def bring(client, look, **given):
    return client.post(look.get_absolute_url(), decision(client, look, **given))


def add_all(client, **given):
    """Press the button of the list as it is shown now."""
    return client.post(ALL, {"seen": client.get(LIST).context["seen"], **given}, follow=True)


def tags(s3, bucket="archive"):
    return {one["Key"]: one["Value"] for one in s3.get_bucket_tagging(Bucket=bucket)["TagSet"]}


def added(client, look, **given):
    answer = bring(client, look, **given)
    assert answer.status_code == 302, text_of(answer)
    store = Store.objects.get(bucket=look.bucket)
    deliver(store.operation_id)
    return again(store)


def test_a_bucket_is_read_and_nothing_is_written(as_alice, account, archive, s3, amazon):
    before = tags(s3), s3.get_bucket_policy(Bucket="archive")["Policy"]
    look = look_at(as_alice, account)
    assert not look.error, look.error
    page = text_of(as_alice.get(look.get_absolute_url()))
    for said in (
        "eu-west-1",
        "3 objects",
        "/pg",
        "main",
        "Nobody's yet",
        "put-bucket-tagging",
        "Deletes objects after 3 days",
    ):
        assert said in page, said
    assert (
        "{&quot;Key&quot;: &quot;team&quot;, " in page
    )  # the command sets all tags at once, so it names those that are there
    assert (tags(s3), s3.get_bucket_policy(Bucket="archive")["Policy"]) == before
    assert not Store.objects.exists()


def test_it_is_added_with_the_administrators_tag_and_nothing_else_is_set(as_alice, account, archive, s3, amazon):
    look = look_at(as_alice, account)
    refused = bring(as_alice, look)
    assert (refused.status_code, Store.objects.count()) == (422, 0)
    assert "Nothing shows yet that you may add it" in text_of(refused)
    given = {"team": "db", TAG: str(look.store_id)}
    s3.put_bucket_tagging(Bucket="archive", Tagging={"TagSet": [{"Key": k, "Value": v} for k, v in given.items()]})
    as_alice.post(f"{look.get_absolute_url()}look/")
    look = read()
    assert look.content["owner"] == "ours"
    store = added(as_alice, look, logs="none")
    assert (store.state, store.log_bucket in {one["Name"] for one in s3.list_buckets()["Buckets"]}) == (
        "available",
        False,
    )
    assert tags(s3) == given
    settled()
    store = check(store)
    assert (store.state, store.drift_report.drift) == ("available", [])
    assert all(not line.log for line in store.drift_report.lines)
    assert "has no log bucket" in text_of(as_alice.get(store.get_absolute_url()))


def test_what_is_set_is_beside_what_was_there(as_alice, account, archive, s3, amazon):
    look = look_at(as_alice, account)
    chosen = {f"control_{line.key}": "set" for line in actions.choices_of(actions.lines_of(look))}
    store = added(as_alice, look, logs="made", tag="on", **chosen)
    assert store.state == "available", store.operation.error
    sids = {one["Sid"] for one in json.loads(s3.get_bucket_policy(Bucket="archive")["Policy"])["Statement"]}
    assert sids == {"Theirs", "DenyInsecureTransport", "DenyOldTLS"}
    rules = s3.get_bucket_lifecycle_configuration(Bucket="archive")["Rules"]
    assert {one["ID"] for one in rules} == {"tmp", "abort-mpu"}
    assert tags(s3)["team"] == "db"
    assert s3.get_bucket_logging(Bucket="archive")["LoggingEnabled"]["TargetBucket"] == store.log_bucket
    settled()
    assert check(store).drift_report.drift == []
    s3.delete_bucket_policy(Bucket="archive")
    store = check(store)
    assert [line.key for line in store.drift_report.drift] == ["policy"]
    stores.repair(store, by=None)
    store = work(store)
    settled()
    assert [line.key for line in check(store).drift_report.drift] == [
        "policy"
    ]  # theirs is not the console's to bring back


def test_removing_it_deletes_nothing(as_alice, account, archive, s3, amazon):
    store = added(as_alice, look_at(as_alice, account), logs="made", tag="on")
    dialog = text_of(as_alice.get(f"/stores/{store.pk}/delete/"))
    assert "It stays, with all that is in it" in dialog
    assert "Empty it first" not in dialog
    assert "the console has set there" not in dialog
    Store.objects.update(taken_over={**store.taken_over, "chosen": [["tls", "Only TLS"], ["expiry", "Old versions"]]})
    dialog = text_of(as_alice.get(f"/stores/{store.pk}/delete/"))
    assert "what the console has set there when it was added: Only TLS, Old versions. Take it off yourself" in dialog
    assert as_alice.post(f"/stores/{store.pk}/delete/", {"name": store.name}).status_code == 302
    work_of = again(store)
    assert work_of.operation.verb == "forget"
    deliver(work_of.operation_id)
    assert not Store.objects.exists()
    assert [one["Name"] for one in s3.list_buckets()["Buckets"]] == ["archive"]
    assert len(s3.list_objects_v2(Bucket="archive")["Contents"]) == 3
    assert tags(s3) == {"team": "db"}
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket="archive")
    assert AuditEvent.objects.filter(action="Remove Store from the Console").exists()


def test_it_can_be_added_again_with_the_tag_that_stayed(as_alice, account, archive, s3, amazon):
    look = look_at(as_alice, account)
    s3.put_bucket_tagging(Bucket="archive", Tagging={"TagSet": [{"Key": TAG, "Value": str(look.store_id)}]})
    store = added(as_alice, read(), logs="none")
    stores.delete(store, by=None)
    deliver(again(store).operation_id)
    assert tags(s3)[TAG] == str(store.pk)
    look = look_at(as_alice, account)
    assert look.content["owner"] == "ours"
    assert added(as_alice, look, logs="none").pk == store.pk


def test_adding_can_be_cancelled_and_takes_back_what_it_made(as_alice, account, archive, s3, amazon, alice):
    bring(as_alice, look_at(as_alice, account), logs="made", tag="on")
    store = Store.objects.get()
    assert again(store).can_cancel
    cancel(again(store), by=alice)
    store = work(store)
    assert (store.state, store.operation.state) == ("failed", "cancelled")
    assert [one["Name"] for one in s3.list_buckets()["Buckets"]] == ["archive"]
    assert tags(s3) == {"team": "db"}
    stores.delete(store, by=alice)
    deliver(again(store).operation_id)
    assert not Store.objects.exists()


@pytest.mark.parametrize("owner", ["another tenant", "another console"])
def test_what_carries_anothers_tag_is_refused(as_alice, account, archive, s3, amazon, owner):
    look = look_at(as_alice, account)
    theirs = uuid4()
    if owner == "another tenant":
        other = factories.organisation("Other")
        mallory = Client()
        mallory.force_login(factories.user("mallory", other, "owner"))
        other_account = factories.account(other)
        mallory.post(ADD, {"cloud_account": other_account.pk, "bucket": "archive", "name": "mine"})
        theirs = read(account=other_account).store_id
    s3.put_bucket_tagging(Bucket="archive", Tagging={"TagSet": [{"Key": TAG, "Value": str(theirs)}]})
    # Between the look and the operation: the operation reads the tag again.
    answer = bring(as_alice, look, tag="on", logs="none")
    assert answer.status_code == 302
    store = work(Store.objects.get())
    assert (store.state, "another store" in store.operation.error) == ("failed", True)
    assert tags(s3) == {TAG: str(theirs)}
    stores.delete(store, by=None)
    deliver(again(store).operation_id)
    assert tags(s3) == {TAG: str(theirs)}
    look = look_at(as_alice, account, name="Again")
    assert "carries the tag of another store" in text_of(as_alice.get(look.get_absolute_url()))
    with pytest.raises(stores.NotNow):
        actions.bring(look, actions.as_it_is(look, tag=True), name="x", by=as_alice_membership(account))


def as_alice_membership(account):
    return account.organisation.memberships.first()


def test_a_bucket_of_a_store_is_refused_and_other_tenants_are_not_told_whose(as_alice, account, archive, s3, amazon):
    added(as_alice, look_at(as_alice, account), logs="none", tag="on")
    other = factories.organisation("Other")
    mallory = Client()
    mallory.force_login(factories.user("mallory", other, "owner"))
    look = look_at(mallory, factories.account(other))
    page = text_of(mallory.get(look.get_absolute_url()))
    assert "It carries the tag of another store" in page
    assert "Old archive" not in page.replace(look.name, "", 1) or look.name == "Old archive"
    assert bring(mallory, look, tag="on", logs="none").status_code == 422
    assert as_alice.get(look.get_absolute_url()).status_code == 404
    for verb in ("look", "drop"):
        assert as_alice.post(f"{look.get_absolute_url()}{verb}/").status_code == 404
    assert look.bucket not in text_of(as_alice.get(LIST))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"bucket": "a"}, "3 to 63"),
        ({"bucket": "a..b"}, "3 to 63"),
        ({"bucket": "x;rm -rf"}, "3 to 63"),
        ({"bucket": ""}, "Name the bucket"),
        ({"name": ""}, "Give the store a name"),
        ({"cloud_account": ""}, "Choose the account"),
    ],
)
def test_bad_input_is_said_beside_its_field(as_alice, account, given, said):
    form = {"cloud_account": account.pk, "bucket": "archive", "name": "x", **given}
    answer = as_alice.post(ADD, form, **HTMX)
    assert (answer.status_code, BucketLook.objects.count()) == (422, 0)
    assert said in text_of(answer)


@pytest.mark.parametrize(
    ("bucket", "region", "said"),
    [("nothing-here", "", "has no bucket named"), ("archive", "us-east-1", "is in eu-west-1, not in us-east-1")],
)
def test_what_cannot_be_read_says_why(as_alice, account, archive, amazon, bucket, region, said):
    look = look_at(as_alice, account, bucket, region=region)
    assert said in look.error
    page = as_alice.get(look.get_absolute_url())
    assert (page.status_code, said in text_of(page)) == (200, True)
    assert bring(as_alice, look, tag="on", logs="none").status_code == 422
    assert not Store.objects.exists()


def test_a_bucket_that_vanishes_between_the_steps_fails_in_words(as_alice, account, s3, amazon):
    s3.create_bucket(Bucket="short.lived", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    look = look_at(as_alice, account, "short.lived")
    assert "has dots" in text_of(as_alice.get(look.get_absolute_url()))
    s3.delete_bucket(Bucket="short.lived")
    bring(as_alice, look, tag="on", logs="none")
    store = work(Store.objects.get())
    assert (store.state, "any more" in store.operation.error) == ("failed", True)


def test_a_public_bucket_is_said_loudly(as_alice, account, archive, s3, amazon):
    opened = {
        **THEIRS,
        "Sid": "Open",
        "Effect": "Allow",
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::archive/*",
    }
    s3.delete_public_access_block(Bucket="archive")
    s3.put_bucket_policy(Bucket="archive", Policy=json.dumps({"Version": "2012-10-17", "Statement": [opened]}))
    look = look_at(as_alice, account)
    assert "It is public" in text_of(as_alice.get(look.get_absolute_url()))


def test_what_changed_since_it_was_shown_is_shown_again(as_alice, account, archive, s3, amazon):
    look = look_at(as_alice, account)
    given = decision(as_alice, look, tag="on", logs="none")
    s3.delete_bucket_lifecycle(Bucket="archive")
    read()
    answer = as_alice.post(look.get_absolute_url(), given)
    assert (answer.status_code, Store.objects.count()) == (422, 0)
    assert "has changed since" in text_of(answer)


def test_logs_go_into_a_bucket_that_is_named(as_alice, account, archive, s3, amazon):
    s3.create_bucket(Bucket="our-logs", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    delivery = {
        "Sid": "Logs", "Effect": "Allow", "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject", "Resource": "arn:aws:s3:::our-logs/*",
    }  # fmt: skip
    s3.put_bucket_policy(Bucket="our-logs", Policy=json.dumps({"Version": "2012-10-17", "Statement": [delivery]}))
    look = look_at(as_alice, account)
    for name in ("archive", "", "a;b"):
        assert bring(as_alice, look, tag="on", logs="named", logs_into=name).status_code == 422
    store = added(as_alice, look, tag="on", logs="named", logs_into="our-logs")
    assert store.state == "available", store.operation.error
    assert s3.get_bucket_logging(Bucket="archive")["LoggingEnabled"]["TargetBucket"] == "our-logs"
    stores.delete(store, keep_logs=True, by=None)
    deliver(again(store).operation_id)
    assert s3.get_bucket_logging(Bucket="archive")["LoggingEnabled"]["TargetBucket"] == "our-logs"
    assert {one["Name"] for one in s3.list_buckets()["Buckets"]} == {"archive", "our-logs"}


@pytest.mark.parametrize("target", ["*", "x;id", "a" * 80, "archive", "of a store"])
def test_where_a_bucket_says_that_it_logs_to_is_no_name_to_trust(as_alice, account, archive, s3, amazon, target):
    other = factories.store(account, name="ours")
    look = look_at(as_alice, account)
    [logging] = (one for one in look.content["lines"] if one["key"] == "logging")
    logging |= {"observed": {"bucket": other.bucket if target == "of a store" else target}, "state": "off"}
    look.save()
    said = text_of(add_all(as_alice, tag="on"))
    assert "0 stores are being added, 1 left out" in said
    assert Store.objects.get() == other


@pytest.mark.parametrize("is_there", [True, False])
def test_where_another_s_logs_go_is_told_by_the_bucket_and_by_nothing_else(as_alice, account, archive, s3, is_there):
    """Whoever names another organisation's bucket hears of it what his own account may see, and no more."""
    theirs = factories.account(factories.organisation("Other"), number="999999999999")
    other = factories.store(theirs, name="theirs", bucket="of-another")
    if is_there:  # where both have linked the same account
        s3.create_bucket(Bucket=other.bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        tag = [{"Key": TAG, "Value": str(other.pk)}]
        s3.put_bucket_tagging(Bucket=other.bucket, Tagging={"TagSet": tag})
    store = added(as_alice, look_at(as_alice, account), tag="on", logs="named", logs_into=other.bucket)
    said = f"Bucket {other.bucket} is another store's" if is_there else f"There is no bucket {other.bucket}"
    assert store.operation.error.startswith(said)
    assert tags(s3) == {"team": "db"}  # the first step has refused


def test_nobody_reserves_a_name_by_writing_that_logs_go_there(as_alice, account, archive, s3, amazon):
    theirs = factories.account(factories.organisation("Other"), number="999999999999")
    factories.store(theirs, name="theirs", logs="named", logs_into="archive")
    look = look_at(as_alice, account)
    assert actions.obstacle(look, by=as_alice_membership(account)) == ""
    factories.store(account, name="ours", logs="named", logs_into="archive")
    assert "already, ours" in actions.obstacle(look, by=as_alice_membership(account))


HEAD = "account,bucket,region,name,log_bucket\n"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", "Paste the list"),
        ("bucket\narchive", "The first line has to be"),
        (HEAD, "no line after"),
        (f"{HEAD}prod,archive,,x,\nprod,archive,,y,", "named twice"),
        (f"{HEAD}prod,archive,,x,\nprod,b-two,,X,", "given twice"),
        (f"{HEAD}nobody,archive,,x,", "no linked account"),
        (f"{HEAD}prod,archive,,x", "4 values instead of 5"),
        (f"{HEAD}prod,a b,,x,", "3 to 63"),
        (f"{HEAD}prod,archive,,x,archive", "logs into itself"),
        (f'{HEAD}prod,"archive,,x,', "is no CSV"),
        (f"{HEAD}prod,archive,{'r' * 41},x,", "too long"),
    ],
)
def test_a_list_with_anything_wrong_changes_nothing(as_alice, account, lines, said):
    answer = as_alice.post(IMPORT, {"lines": lines}, **HTMX)
    assert (answer.status_code, BucketLook.objects.count()) == (422, 0)
    assert said in text_of(answer)


def test_a_list_is_looked_at_then_added_one_operation_for_each(as_alice, account, archive, s3, amazon):
    s3.create_bucket(Bucket="second", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    lines = f"{HEAD}prod,archive,eu-west-1,One,\n{account.number},second,,,\nprod,missing,,Three,\n"
    assert as_alice.post(IMPORT, {"lines": lines}).status_code == 302
    for bucket in ("archive", "second", "missing"):
        read(bucket)
    page = text_of(as_alice.get(LIST))
    assert "Add 2 stores, and set the tags" in page
    assert "0 stores are being added, 2 left out" in text_of(add_all(as_alice))
    assert not Store.objects.exists()  # no tag, and the console may set none
    add_all(as_alice, tag="on")
    for store in Store.objects.all():
        deliver(store.operation_id)
    assert dict(Store.objects.values_list("name", "state")) == {"One": "available", "second": "available"}
    assert [one.bucket for one in BucketLook.objects.all()] == ["missing"]


def test_all_are_added_as_they_were_shown_or_none(as_alice, account, archive, s3, amazon):
    look_at(as_alice, account)
    seen = as_alice.get(LIST).context["seen"]
    assert as_alice.get(LIST).content.decode().count(seen) == 2  # in both buttons
    s3.delete_bucket_policy(Bucket="archive")
    read()
    for given in ({"seen": seen, "tag": "on"}, {"tag": "on"}):
        assert "What was found has changed since this was shown" in text_of(as_alice.post(ALL, given, follow=True))
    assert not Store.objects.exists()
    add_all(as_alice, tag="on")
    assert Store.objects.count() == 1


def test_what_the_owner_changes_later_is_told_as_what_no_repair_ends(as_alice, account, archive, s3, amazon):
    store = added(as_alice, look_at(as_alice, account), tag="on", logs="none", control_policy="set")
    settled()
    policy = json.loads(s3.get_bucket_policy(Bucket="archive")["Policy"])
    theirs = [one for one in policy["Statement"] if one["Sid"] != "Theirs"]
    s3.put_bucket_policy(Bucket="archive", Policy=json.dumps({**policy, "Statement": theirs}))
    store = check(store)
    [line] = store.drift_report.drift
    assert (line.key, line.repairable) == ("policy", False)
    for address in (store.get_absolute_url(), f"{store.get_absolute_url()}repair/"):
        assert "Accept it as it is now, or change it back." in text_of(as_alice.get(address))
    refused = as_alice.post(f"{store.get_absolute_url()}repair/", {"seen": agreed([line])}, **HTMX)
    assert (refused.status_code, again(store).state) == (422, "degraded")
    assert "the console only adds its own" in text_of(refused)
    as_alice.post(f"{store.get_absolute_url()}accept/", {"control": line.name, "seen": line.seen})
    assert again(store).state == "available"
    # What lacks the console's own is repaired, whatever else was changed.
    s3.put_bucket_policy(Bucket="archive", Policy=json.dumps({**policy, "Statement": theirs[:1]}))
    store = check(store)
    [line] = store.drift_report.drift
    assert (line.repairable, line.advice) == (True, "")


def test_a_viewer_adds_nothing(client, acme, account):
    client.force_login(factories.user("bob", acme, "viewer"))
    for address in (LIST, ADD, IMPORT):
        assert client.get(address).status_code == 403
    for address in (ADD, IMPORT, ALL):
        assert client.post(address, {}).status_code == 403


def test_a_store_that_was_created_is_deleted_as_before(account, alice, amazon):
    store = stores.create(account, name="orders", region="eu-west-1", by=alice)
    deliver(store.operation_id)
    assert not again(store).is_brought
    stores.delete(again(store), by=alice)
    assert again(store).operation.verb == "delete"
    assert DriftReport.objects.filter(store=store).count() == 1


def test_whoever_asks_for_its_deletion_gets_a_plan_that_deletes_nothing(as_alice, account, archive, s3, amazon):
    store = added(as_alice, look_at(as_alice, account), logs="none", tag="on")
    assert [step.key for stage in delete_plan(store) for step in stage] == ["let_go"]
