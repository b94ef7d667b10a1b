from types import SimpleNamespace

from tests.demo_process import ROOT
from tests.sampling import ALONE, _listed, on_postgresql_alone, on_sqlite_alone, spread

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
