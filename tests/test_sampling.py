from types import SimpleNamespace

from tests.demo_process import ROOT
from tests.sampling import ALONE, on_postgresql_alone, on_sqlite_alone, spread

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
    names = [f"tests/stores/test_views.py::test_a[{n}]" for n in range(4)]
    names += ["tests/stores/test_views.py::test_b", "tests/crash/test_leases.py::test_c[0]"]
    names += [f"tests/crash/test_leases.py::test_c[{n}]" for n in range(1, 4)]
    items = [SimpleNamespace(nodeid=name, get_closest_marker=lambda mark: None) for name in names]
    left = [item.nodeid for item in on_sqlite_alone(items, "postgres://postgres@127.0.0.1/postgres")]
    assert left == names[1:3]
    assert on_sqlite_alone(items, "sqlite:///:memory:") == []


def test_what_runs_on_postgresql_alone_has_all_its_cases_there_and_is_in_the_makefile():
    text = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    [alone] = [line.partition(":=")[2].split() for line in text.splitlines() if line.startswith("ON_POSTGRESQL :=")]
    assert len(alone) > 5
    for path in alone:
        assert (ROOT / path).is_file(), path
        assert on_postgresql_alone(SimpleNamespace(nodeid=f"{path}::test_a[1]")), f"{path} is not in ALONE"
    assert all(any(path.startswith(one) for path in alone) for one in ALONE)
