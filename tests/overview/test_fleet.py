"""The fleet on a map: one mark for each place, in the colour of the worst, and no user's text in its script."""

from __future__ import annotations

import re

from clusters.health.verdicts import Verdict
from console.accounts.models import Membership
from console.overview import fleet
from tests import factories
from tests.clusters import judged


def test_places_count_nodes_by_the_worst_of_their_verdicts(alice, account, dub, iad):
    cluster = judged.cluster(account, stores=[dub, iad], nodes=("n1", "n2", "n3"))
    cluster.nodes.filter(name="n3").update(folder="n2")  # a standby keeps its backups in n2's folder
    judged.judge(cluster, number=1)
    judged.judge(cluster, Verdict.BEHIND, number=2)
    judged.judge(cluster, Verdict.AT_RISK, node="n2", number=1)
    judged.cluster(account, "far", nodes=("n1",), region="us-east-1")
    [dublin, ashburn] = fleet.places(Membership.objects.get(user=alice))
    assert dublin.counts == {Verdict.BEHIND: 1, Verdict.AT_RISK: 2}
    assert dublin.label == "3 nodes in Dublin, Ireland: 2 at risk, 1 falling behind"
    assert dublin.short == "3 nodes, 2 at risk"
    assert ashburn.counts == {Verdict.NOT_SET_UP: 1}
    assert ashburn.short == "1 node"
    assert [(spot.store.name, spot.verdict) for spot in dublin.stores] == [("archive-dub", Verdict.AT_RISK)]
    assert [(spot.store.name, spot.verdict) for spot in ashburn.stores] == [("archive-iad", Verdict.BEHIND)]


def test_the_map_holds_no_name_and_its_page_has_the_same_as_a_table(as_alice, account, acme):
    store = factories.store(account, name="</script>`${x}")
    judged.cluster(account, "`${cluster}`", stores=[store])
    page = as_alice.get("/overview/map/").content.decode()
    [source] = re.findall(r'data-map-src="([^"]*)"', page)
    script = as_alice.get(source.replace("&amp;", "&"))
    assert script["Content-Type"].startswith("text/javascript")
    text = script.content.decode()
    assert str(store.pk) in text
    assert "${" not in text
    assert '"1 node"' in text
    assert "1 node in Dublin, Ireland: 1 not set up yet" in page
    assert "&lt;/script&gt;`${x}</a>" in page


def test_an_empty_fleet_says_so(as_alice, acme):
    assert "There is no node and no store yet" in as_alice.get("/overview/map/").content.decode()
