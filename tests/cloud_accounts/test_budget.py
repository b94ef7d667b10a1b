"""How often an account's backups are looked for, what that takes, and who may change it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from console.audit.models import AuditEvent
from console.cloud_accounts import budget
from console.cloud_accounts.models import CallsOfDay, LookBudget
from console.clouds import CLOUDS
from console.clouds.calls import Tally, tallied, tell
from tests import factories
from tests.responses import HTMX, words_of


def url(account, rest=""):
    return f"/cloud-accounts/{account.pk}/{rest}"


def test_the_page_shows_the_calls_and_their_price(as_alice, account):
    today = timezone.now().date()
    for ago, lists, reads in ((1, 1000, 100), (2, 1400, 300)):
        CallsOfDay.objects.create(cloud_account=account, day=today - timedelta(days=ago), lists=lists, reads=reads)
    budget.note(account.pk, Tally(1, 2))
    page = words_of(as_alice.get(url(account)))
    assert "1 list, 2 reads of 50,000 calls a day" in page
    assert "1,200 lists, 200 reads: about $0.18 a month" in page
    assert "$7.50 a month, were all of them lists" in page
    assert "$0.005 for 1,000 lists, $0.0004 for 1,000 reads (S3 Standard, us-east-1; price list )" in page
    assert "at least every 6 hours" in page
    assert "spent" not in page


def test_a_server_of_one_s_own_asks_for_nothing(as_alice, acme):
    server = factories.server(acme)
    page = words_of(as_alice.get(url(server)))
    assert "0 lists, 0 reads of 50,000 calls a day" in page
    assert "$" not in page


def test_each_cloud_with_a_price_says_where_it_is_from():
    assert [key for key, one in CLOUDS.items() if one.prices is None] == ["s3"]
    assert all(one.prices.source.startswith("https://") for one in CLOUDS.values() if one.prices)


def test_account_looking_is_changed_and_written_down(as_alice, account):
    answer = as_alice.post(url(account, "looking/"), {"hours": "3", "calls_a_day": "2000"}, headers=HTMX)
    assert answer.status_code == 204
    assert (account.look_budget.hours, account.look_budget.calls_a_day) == (3, 2000)
    event = AuditEvent.objects.get(action="Changed how backups are looked for")
    assert (event.before, event.after) == ({"hours": 6, "calls_a_day": 50_000}, {"hours": 3, "calls_a_day": 2000})
    assert "at least every 3 hours" in words_of(as_alice.get(url(account)))
    assert as_alice.post(url(account, "looking/"), {"hours": "1", "calls_a_day": "100"}).status_code == 302
    assert LookBudget.objects.get().hours == 1


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"hours": "0"}, "hours"),
        ({"hours": "25"}, "hours"),
        ({"hours": ""}, "hours"),
        ({"hours": "six"}, "hours"),
        ({"calls_a_day": "99"}, "calls_a_day"),
        ({"calls_a_day": "100000001"}, "calls_a_day"),
        ({"calls_a_day": "-1"}, "calls_a_day"),
    ],
)
def test_account_looking_refuses_what_makes_no_sense(as_alice, account, values, field):
    answer = as_alice.post(url(account, "looking/"), {"hours": "6", "calls_a_day": "50000", **values}, headers=HTMX)
    assert answer.status_code == 422
    assert field in answer.context["form"].errors
    assert not LookBudget.objects.exists()


def test_account_looking_is_for_who_manages_accounts(client, account, bob, charlie):
    given = {"hours": "1", "calls_a_day": "100"}
    for who, expected in ((bob, 403), (charlie, 404)):
        client.force_login(who)
        assert client.get(url(account, "looking/")).status_code == expected
        assert client.post(url(account, "looking/"), given).status_code == expected
    client.force_login(bob)
    page = client.get(url(account)).content.decode()
    assert "Looking into backups" in page
    assert "looking/" not in page
    assert not LookBudget.objects.exists()


def test_the_page_says_when_the_calls_are_spent(as_alice, account):
    budget.note(account.pk, Tally(lists=60_000))
    assert "The calls for this part of the day are spent." in words_of(as_alice.get(url(account)))


@pytest.mark.parametrize("values", [{"hours": 0}, {"hours": 25}, {"calls_a_day": 99}])
def test_the_database_refuses_what_makes_no_sense(account, values):
    with pytest.raises(IntegrityError), transaction.atomic():
        LookBudget.objects.create(cloud_account=account, **values)


def test_tallied_counts_lists_and_reads_and_tells_of_those_that_fail(caplog):
    with tallied() as made:
        for operation, code in (
            *(("ListObjectsV2", ""), ("GetObject", "304"), ("GetObject", "AccessDenied"), ("AssumeRole", "")),
            *(("Blobs_List", ""), ("objects.list", ""), ("objects.get", "304")),
        ):
            tell("cloud", operation, code, 0.1, {})
    tell("cloud", "ListObjectsV2", "", 0.1, {})
    assert (made.lists, made.reads) == (3, 3)
    told = [one.getMessage() for one in caplog.records if one.levelname == "INFO"]
    assert told == ["cloud GetObject AccessDenied", "cloud ListObjectsV2 ok"]
