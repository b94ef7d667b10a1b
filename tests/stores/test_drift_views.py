"""What a check of a store says when it has ended, and how the store's page shows it."""

from __future__ import annotations

import pytest

from stores import actions
from stores.models import DriftReport
from tests.responses import HTMX, text_of
from tests.stores.conftest import again, check, settled, work


@pytest.fixture
def store(amazon, account, alice):
    """An available store, made a while ago."""
    made = actions.create(account, name="orders", region="eu-west-1", by=alice)
    work(made)
    settled()
    return again(made)


def verified(client, store):
    return client.get(f"/stores/{store.pk}/verified/", headers=HTMX)


def test_a_check_says_what_it_found(as_alice, store):
    answer = as_alice.post(f"/stores/{store.pk}/verify/", follow=True)
    assert f'hx-get="/stores/{store.pk}/verified/"' in text_of(answer)
    assert 'class="flash info"' in text_of(answer)  # no success yet
    assert verified(as_alice, store).status_code == 204
    check(store)
    found = verified(as_alice, store)
    assert 'class="flash success"' in text_of(found)
    assert "orders: 13 of 13 as wanted, just now." in text_of(found)


def test_a_check_that_finds_a_difference_is_no_success(as_alice, store, s3):
    s3.delete_bucket_lifecycle(Bucket=store.bucket)
    s3.delete_bucket_policy(Bucket=store.log_bucket)
    as_alice.post(f"/stores/{store.pk}/verify/")
    check(store)
    found = text_of(verified(as_alice, store))
    assert 'class="flash warning"' in found
    assert "orders: 11 of 13 as wanted, 2 differ, just now." in found
    page = text_of(as_alice.get(store.get_absolute_url()))
    assert 'id="stores-posture-differs" open' in page


def test_the_settings_are_folded_while_nothing_differs(as_alice, store):
    check(store)
    page = text_of(as_alice.get(store.get_absolute_url()))
    assert "<strong>13 of 13 as wanted</strong>" in page
    assert 'id="stores-posture-fine"><' in page.replace("> <", "><")


def test_a_check_that_failed_says_so(as_alice, store):
    check(store)
    DriftReport.objects.update(error="The cloud did not answer.")
    found = text_of(verified(as_alice, store))
    assert 'class="flash error"' in found
    assert "orders could not be checked: The cloud did not answer." in found


def test_what_a_check_found_is_told_to_the_organisation_alone(client, store, bob, charlie):
    for person, status in ((bob, 200), (charlie, 404)):
        client.force_login(person)
        check(store)
        assert verified(client, store).status_code == status
