"""How the growth of a repository and of a store is drawn."""

from clusters.models import KnownStanza
from clusters.repositories.growth import growth
from tests.responses import text_of


def rows(*sizes):
    return [[f"2026-11-{number * 10 + 1:02}", backups, wal] for number, (backups, wal) in enumerate(sizes)]


def test_the_wal_stands_below_and_the_backups_on_it():
    picture = growth([KnownStanza(sizes=rows((50, 50), (150, 50), (0, 0)))]).picture
    assert picture.total == "M0 60L0 30L500 0L1000 60L1000 60Z"
    assert picture.wal == "M0 60L0 45L500 45L1000 60L1000 60Z"
    assert picture.top == 200


def test_nothing_at_all_is_drawn_flat():
    assert growth([KnownStanza(sizes=rows((0, 0), (0, 0)))]).picture.total == "M0 60L0 60L1000 60L1000 60Z"


def test_the_store_s_page_draws_all_of_its_repositories_together(as_alice, cluster):
    found = cluster.repositories.get(number=1)
    for node in ("n1", "n2"):
        KnownStanza.objects.create(
            repository=found, node=node, name="orders", sizes=rows((10**9, 0), (2 * 10**9, 0)), seen_at=None
        )
    page = text_of(as_alice.get(f"/clusters/stores/{found.store_id}/backups/"))
    assert "1.9 GB more than on 2026-11-01" in page
    assert page.count('class="growth-total"') == 2  # the store's, and the repository's
    assert "3.7 GB" in page
