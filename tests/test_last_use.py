"""What costs something for as long as it is there ends after its last test, and not before."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests import last_use


class Definition:
    """A fixture, as pytest defines it: it notes with whose request it was ended."""

    def __init__(self, scope="session"):
        self.scope, self.ended = scope, []

    def finish(self, request):
        self.ended.append(request)


@pytest.fixture(autouse=True)
def _counted_apart(monkeypatch):
    monkeypatch.setattr(last_use, "_LEFT", type(last_use._LEFT)())


def item(name, **fixtures):
    known = {one: (definition,) for one, definition in fixtures.items()}
    return SimpleNamespace(_fixtureinfo=SimpleNamespace(name2fixturedefs=known), _request=name)


def test_it_ends_after_the_last_test_that_asks_for_it():
    demo = Definition()
    items = [item("first", demo=demo), item("without"), item("last", demo=demo)]
    last_use.count(items)
    for one, ended in zip(items, ([], [], ["last"]), strict=True):
        last_use.is_over(one)
        assert demo.ended == ended


def test_each_is_counted_for_itself_and_by_whatever_name():
    plain, of_the_browser = Definition(), Definition()
    items = [
        item("a", plain_demo=plain),
        item("b", demo=of_the_browser),
        item("c", plain_demo=plain, demo=Definition()),
    ]
    last_use.count(items)
    last_use.is_over(items[1])
    assert (plain.ended, of_the_browser.ended) == ([], ["b"])
    last_use.is_over(items[0])
    last_use.is_over(items[2])
    assert plain.ended == ["c"]


def test_what_each_test_gets_anew_is_left_to_pytest():
    demo = Definition(scope="function")
    last_use.count([item("a", demo=demo)])
    last_use.is_over(item("a", demo=demo))
    assert demo.ended == []
