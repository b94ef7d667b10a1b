import re
from types import SimpleNamespace

from tests.demo_process import ROOT
from tests.sampling import ALONE, LONG, _listed, on_postgresql_alone, on_sqlite_alone, spread, too_long, turned
from tests.timing import long

CELLS = [(call, fault) for call in ("put", "get", "delete") for fault in ("denied", "lost", "busy")]


def test_spread_takes_each_kind_once_and_of_the_next_kind_the_next_one():
    assert spread(CELLS, by=lambda cell: cell[0], whole=False) == [
        ("put", "denied"),
        ("get", "lost"),
        ("delete", "busy"),
    ]


def test_spread_takes_several_of_each_apart_from_one_another():
    of_get = [cell for cell in spread(CELLS, by=lambda cell: cell[0], of_each=2, whole=False) if cell[0] == "get"]
    assert of_get == [("get", "lost"), ("get", "busy")]
    assert len(spread(CELLS, by=lambda cell: cell, of_each=5, whole=False)) == len(CELLS)


def test_spread_takes_all_when_it_is_to_be_thorough():
    assert spread(CELLS, by=lambda cell: cell[0], whole=True) == CELLS


def test_postgresql_has_the_first_and_the_last_case_of_a_test_that_sqlite_has_as_well():
    names = [f"tests/audit/test_audit.py::test_a[{n}]" for n in range(4)]
    names += ["tests/audit/test_audit.py::test_b", "tests/crash/test_leases.py::test_c[0]"]
    names += [f"tests/crash/test_leases.py::test_c[{n}]" for n in range(1, 4)]
    items = [SimpleNamespace(nodeid=name, get_closest_marker=lambda mark: None) for name in names]
    left = [item.nodeid for item in on_sqlite_alone(items, "postgres://postgres@127.0.0.1/postgres")]
    assert left == names[1:3]
    assert on_sqlite_alone(items, "sqlite:///:memory:") == []


def test_what_runs_on_postgresql_alone_is_there_and_has_all_its_cases():
    both = _listed("ON_BOTH")
    assert (len(ALONE) > 30, len(both) > 15, {*ALONE} & {*both}) == (True, True, set())
    for path in (*ALONE, *both):
        assert (ROOT / path).exists(), path
    name = f"{ALONE[-1]}::test_a"
    items = [SimpleNamespace(nodeid=f"{name}[{n}]", get_closest_marker=lambda mark: None) for n in range(4)]
    assert all(on_postgresql_alone(item) for item in items)
    assert on_sqlite_alone(items, "postgres://postgres@127.0.0.1/postgres") == []


def test_make_check_leaves_out_what_takes_long_and_further_cases_of_what_has_a_database():
    listed = LONG.read_text().splitlines()[1]
    names = [f"{listed}[1]", *(f"tests/test_a.py::test_{test}[{n}]" for test in ("words", "rows") for n in range(3))]
    items = [
        SimpleNamespace(nodeid=name, get_closest_marker=lambda mark, name=name: mark == "database" and "rows" in name)
        for name in names
    ]
    assert [item.nodeid for item in too_long(items)] == [names[0], *names[-2:]]


def test_what_takes_long_is_there_still():
    """A test that was renamed would come back into `make check` unseen."""
    listed = LONG.read_text().splitlines()[1:]
    assert listed == sorted({*listed})
    for one in listed:
        path, _, name = one.partition("::")
        assert re.search(rf"^def {name}\(", (ROOT / path).read_text(), re.MULTILINE), one


def test_what_cases_share_makes_none_of_them_long():
    setups = [f"{seconds}\tsetup\ta.py::quick" for seconds in (9.0, 0.001, 0.001)]
    quick = [f"{seconds}\tcall\ta.py::quick[{seconds}]" for seconds in (0.09, 5.0, 0.09)]
    noted = [*setups, *quick, "0.11\tcall\ta.py::long"]
    assert long(noted) == ["a.py::long"]


def test_turned_begins_with_another_one_each_time_and_loses_none():
    assert [turned("abc", by) for by in range(4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]
    cells = range(8)
    met = [cell for by in range(8) for cell in spread(turned(cells, by), by=lambda one: "", whole=False)]
    assert sorted(met) == [*cells]
