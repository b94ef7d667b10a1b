"""Names in the order in which people count, on each database the same."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from console.accounts.models import Organisation
from console.web.natural import Natural, natural_key
from tests import factories
from tests.clusters import judged

pytestmark = pytest.mark.django_db


def test_numbers_sort_by_their_value_and_letters_whatever_their_case():
    told = ["9", "10", "a1b9", "A1B09c", "a1b10", "store", "store-1", "Store-2", "store-02b", "store-10"]
    mixed = random.Random(1).sample(told, len(told))
    assert sorted(mixed, key=natural_key) == told


def test_the_database_sorts_as_python_does():
    chance = random.Random(2)
    parts = ("store", "Store", "9", "10", "007", "100000", "a", "B", "zz")
    names = {"-".join(chance.choices(parts, k=chance.randint(1, 4))) for _ in range(200)}
    names = {natural_key(one): one for one in names}.values()  # of those that are equal either may come first
    Organisation.objects.bulk_create(Organisation(name=one) for one in names)
    found = Organisation.objects.order_by(Natural("name")).values_list("name", flat=True)
    assert list(found) == sorted(names, key=natural_key)


@pytest.mark.parametrize("path", ["/stores/", "/clusters/"])
def test_lists_sort_by_it(as_alice, account, path):
    names = ["store-10", "store-9", "Store-1", "store-100"]
    for name in names:
        factories.store(account, name=name)
        judged.cluster(account, name)
    for sort in ("name", "-name"):
        found = [one.name for one in as_alice.get(path, {"sort": sort}).context["page"].items]
        assert found == sorted(names, key=natural_key, reverse=sort[0] == "-")


@pytest.mark.django_db(transaction=True)
def test_a_statement_that_one_connection_has_compiled_sorts_on_another():
    factories.organisation("Acme")
    statement, values = Organisation.objects.order_by(Natural("name")).values_list("name").query.sql_with_params()

    def ask() -> list[tuple[str]]:
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, values)
                return list(cursor.fetchall())
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(ask).result() == [("Acme",)]
