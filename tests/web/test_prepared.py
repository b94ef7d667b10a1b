from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models import Count, Q
from django.db.models.functions import Now
from django.db.models.sql.compiler import SQLCompiler, SQLUpdateCompiler
from django.test.utils import CaptureQueriesContext

from console.accounts.models import Organisation, User
from console.web.prepared import ANOTHER_KEY, KEY, NUMBER, TEXT, Prepared, PreparedUpdate
from stores.models import Store
from tests import factories

by_name: Prepared[User] = Prepared(lambda name: User.objects.filter(username=name).order_by(), TEXT)


@pytest.fixture
def alice(db):
    return factories.user("alice")


def test_a_row_is_found_by_each_value_as_it_is_now(alice):
    bob = factories.user("bob")
    assert by_name.first("alice") == alice
    assert by_name.first("bob") == bob
    assert by_name.first("carol") is None
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert by_name.first("alice").is_active is False
    alice.delete()
    assert by_name.first("alice") is None


def test_the_query_is_one_and_compiled_once(alice, monkeypatch):
    by_name.first("alice")
    monkeypatch.setattr(SQLCompiler, "as_sql", lambda *_: pytest.fail("It was compiled again."))
    with CaptureQueriesContext(connection) as queries:
        assert by_name.first("alice") == alice
    assert len(queries) == 1


@pytest.mark.django_db(transaction=True)
def test_threads_do_not_find_each_others_rows(transactional_db):
    names = [f"user-{number}" for number in range(4)]
    for name in names:
        factories.user(name)

    def ask(name: str) -> set[str]:
        try:
            return {by_name.first(name).username for _ in range(50)}
        finally:
            connection.close()

    with ThreadPoolExecutor(len(names)) as threads:
        assert list(threads.map(ask, names)) == [{name} for name in names]


def test_a_value_is_never_part_of_the_statement(alice):
    for name in ("' OR 1=1 --", "%s", "alice%", "\N{SNOWMAN}"):
        assert by_name.first(name) is None


@pytest.mark.parametrize("lookup", ["username__icontains", "id"])
def test_a_query_that_does_not_compare_the_value_as_it_is_is_refused(db, lookup):
    prepared: Prepared[User] = Prepared(
        lambda text: User.objects.filter(**{lookup: text if lookup != "id" else 1}), TEXT
    )
    with pytest.raises(ValueError, match="unchanged"):
        prepared.first("alice")


def test_keys_find_rows_and_values_of_them(alice):
    one, two = factories.organisation("One"), factories.organisation("Two")
    of_both: Prepared[Organisation] = Prepared(
        lambda first, second: Organisation.objects.filter(Q(pk=first) | Q(pk=second)).order_by("name"), KEY, ANOTHER_KEY
    )
    names: Prepared[tuple[str]] = Prepared(
        lambda first: Organisation.objects.filter(pk=first).values_list("name").annotate(number=Count("pk")), KEY
    )
    assert of_both.all(one.pk, two.pk) == of_both.all(two.pk, one.pk) == [one, two]
    assert of_both.all(one.pk, one.pk) == [one]
    assert names.all(two.pk) == [("Two", 1)]
    assert names.all(uuid4()) == []


def test_a_query_is_compiled_again_for_what_else_it_is_made_of(alice, settings):
    compiled = []
    of_language: Prepared[User] = Prepared(
        lambda: compiled.append(1) or User.objects.order_by("pk"), made_of=lambda: settings.LANGUAGE_CODE
    )
    for code in ("en", "en", "de", "de", "en"):
        settings.LANGUAGE_CODE = code
        assert of_language.all() == [alice]
    assert len(compiled) == 3


renamed = PreparedUpdate(
    lambda name, number: User.objects.filter(username=name, id__gte=0).exclude(id=number),
    *(TEXT, NUMBER),
    changes=lambda: {"last_login": Now()},
    given=("first_name", "is_active"),
)


def test_an_update_changes_the_rows_that_the_values_find(alice):
    bob = factories.user("bob")
    assert renamed("alice", bob.pk, first_name="%s' --", is_active=False) == 1
    assert renamed("bob", bob.pk, first_name="Bob", is_active=False) == 0
    assert renamed("carol", bob.pk, first_name="Carol", is_active=False) == 0
    found = dict(User.objects.values_list("username", "first_name"))
    assert (found["alice"], found["bob"]) == ("%s' --", "")
    assert list(User.objects.filter(last_login__isnull=False, is_active=False)) == [alice]


def test_an_update_is_one_statement_and_compiled_once(alice, monkeypatch):
    renamed("alice", 0, first_name="A", is_active=True)
    monkeypatch.setattr(SQLUpdateCompiler, "as_sql", lambda *_: pytest.fail("It was compiled again."))
    with CaptureQueriesContext(connection) as queries:
        assert renamed("alice", 0, first_name="B", is_active=True) == 1
    assert len(queries) == 1
    assert User.objects.get(username="alice").first_name == "B"


def test_an_update_writes_keys_and_json_as_the_model_does(account):
    store = factories.store(account, name="one")
    write = PreparedUpdate(
        lambda pk: Store.objects.filter(pk=pk), KEY, changes=dict, given=("taken_over", "cloud_account", "name")
    )
    content = {"chosen": [["a", "\N{SNOWMAN}"]], "none": None}
    assert write(store.pk, taken_over=content, cloud_account=account.pk, name="two") == 1
    assert write(uuid4(), taken_over=None, cloud_account=account.pk, name="three") == 0
    store.refresh_from_db()
    assert (store.taken_over, store.name) == (content, "two")
    assert write(store.pk, taken_over=None, cloud_account=account.pk, name="two") == 1
    assert not Store.objects.filter(taken_over__isnull=False).exists()


def test_an_update_that_does_not_compare_the_value_as_it_is_is_refused(db):
    update = PreparedUpdate(
        lambda text: User.objects.filter(username__icontains=text), TEXT, changes=dict, given=("first_name",)
    )
    with pytest.raises(ValueError, match="unchanged"):
        update("alice", first_name="A")
