"""Two primaries of one folder are red; a failover and a server that is gone are not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from clusters.reports.primaries import SILENT, Host, primary_since, two_primaries
from clusters.reports.report import Report, StanzaReport

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
FIVE = timedelta(minutes=5)


class World:
    """Hosts that report to a console."""

    def __init__(self):
        self.kept = {}

    def says(self, node, at, role="primary", server="up", folder="n1"):
        before = self.kept[node].report.primary_since if node in self.kept else {}
        report = Report(stanzas=[StanzaReport("orders", server=server, role=role if server == "up" else "")])
        since = primary_since(before, report, at)
        self.kept[node] = Host(node, folder, Report(stanzas=report.stanzas, primary_since=since), at)

    def red(self, at):
        return [(one.folder, one.stanza, one.names) for one in two_primaries(self.kept.values())]


def test_a_failover_is_not_red():
    world = World()
    world.says("n1", NOW)
    world.says("n2", NOW, "standby")
    world.says("n2", NOW + FIVE)  # n1 is gone, and its last word is that it is primary
    assert world.red(NOW + FIVE) == []
    world.says("n2", NOW + 2 * FIVE)
    assert world.red(NOW + 2 * FIVE) == []
    world.says("n1", NOW + 3 * FIVE, "standby")
    world.says("n2", NOW + 3 * FIVE)
    assert world.red(NOW + 3 * FIVE) == []


def test_a_primary_that_comes_back_as_one_is_red_until_it_follows():
    world = World()
    world.says("n1", NOW)
    world.says("n2", NOW + FIVE)
    world.says("n1", NOW + 2 * FIVE)
    world.says("n2", NOW + 2 * FIVE)
    assert world.red(NOW + 2 * FIVE) == [("n1", "orders", "n1 and n2")]
    world.says("n1", NOW + 3 * FIVE, "standby")
    assert world.red(NOW + 3 * FIVE) == []


def test_a_restart_of_a_server_is_no_new_beginning():
    world = World()
    world.says("n1", NOW)
    world.says("n2", NOW + FIVE)
    world.says("n1", NOW + 2 * FIVE)
    world.says("n1", NOW + 3 * FIVE, server="down")
    world.says("n1", NOW + 4 * FIVE)
    assert world.red(NOW + 4 * FIVE) == [("n1", "orders", "n1 and n2")]


def test_nodes_with_folders_of_their_own_may_both_be_primary():
    world = World()
    for at in (NOW, NOW + FIVE):
        world.says("n1", at)
        world.says("n2", at, folder="n2")
    assert world.red(NOW + FIVE) == []


def test_two_primaries_do_not_end_when_one_loses_the_console():
    world = World()
    for at in (NOW, NOW + FIVE):
        world.says("n1", at)
        world.says("n2", at)
    later = NOW + FIVE + SILENT + timedelta(days=1)
    world.says("n2", later)
    assert world.red(later) == [("n1", "orders", "n1 and n2")]
    assert two_primaries([world.kept["n2"]]) == []  # n1 was removed
    world.says("n1", later + FIVE, server="down")
    assert world.red(later + FIVE) == []


@given(st.lists(st.tuples(st.sampled_from(["n1", "n2"]), st.sampled_from(["primary", "standby"])), max_size=12))
def test_two_of_them_are_named_when_each_said_so_after_the_other_began(said):
    """Against the rule read off the whole story, instead of what is kept of it."""
    world, story = World(), []
    for number, (node, role) in enumerate(said):
        at = NOW + number * timedelta(seconds=60)
        world.says(node, at, role)
        story.append((node, role))
    runs = {}
    for number, (node, role) in enumerate(story):
        runs[node] = (runs[node][0] if runs.get(node) else number, number) if role == "primary" else None
    both = all(runs.get(node) for node in ("n1", "n2"))
    expected = both and runs["n1"][1] >= runs["n2"][0] and runs["n2"][1] >= runs["n1"][0]
    assert bool(world.red(NOW + timedelta(seconds=60 * 12))) == bool(expected)
