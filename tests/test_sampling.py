from tests.sampling import spread

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
