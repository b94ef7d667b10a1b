"""The panes of the list are drawn once for each way that they look: none shows what is another's."""

from __future__ import annotations

import re

import pytest

from console.web import template_tags
from stores.models import Store
from tests import factories


def pane_of(client, store):
    page = client.get("/stores/").content.decode()
    [found] = re.findall(rf'<article class="pane" id="store-{store.pk}".*?</article>', page, re.DOTALL)
    return page, re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", found)


def test_two_that_look_alike_show_each_their_own(as_alice, client, account, charlie):
    mine, theirs = factories.store(account, name="a & <b>"), factories.account(charlie.memberships.get().organisation)
    other = factories.store(theirs, name="theirs")
    page, pane = pane_of(as_alice, mine)
    assert "a &amp; &lt;b&gt;</a>" in pane
    for text in (mine.get_absolute_url(), f"{mine.pk}/delete/", f"{mine.pk}/verify/", "Dublin, Ireland", account.name):
        assert text in pane, text
    assert str(other.pk) not in page
    kept = template_tags._shape.cache_info().misses
    client.force_login(charlie)
    page, pane = pane_of(client, other)
    assert template_tags._shape.cache_info().misses == kept, "they look alike"
    assert str(mine.pk) not in page
    assert "a &amp;" not in page
    assert f"{other.pk}/delete/" in pane


def test_each_way_to_look_has_its_own_parts(as_alice, client, account, bob):
    plain, failed = factories.store(account), factories.failed_store(account, name="failed")
    _, pane = pane_of(as_alice, failed)
    assert "AWS refused it." in pane
    assert "Try again" in pane
    _, pane = pane_of(as_alice, plain)
    assert "Try again" not in pane
    assert "AWS refused it." not in pane
    client.force_login(bob)
    _, pane = pane_of(client, plain)
    assert not re.search("<form|/delete/|/verify/", pane)


@pytest.mark.parametrize("state", ["available", "degraded", "creating", "failed", "deleting"])
def test_a_pane_knows_each_text_that_its_template_asks_for(as_alice, account, state, settings):
    store = factories.store(account)
    Store.objects.update(state=state)
    _, pane = pane_of(as_alice, store)
    assert "\x00" not in pane
    assert not re.search(r'(?:href|action|hx-get|hx-post|datetime|title|class)=""', pane)
