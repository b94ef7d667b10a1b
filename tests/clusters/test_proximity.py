"""Distances, estimated round trips and the verdict in words."""

from __future__ import annotations

import pytest

from clusters.proximity import Site, judge, nearest, round_trip_ms
from console.clouds.regions import find


def region(code):
    return find("aws", code)


def site(name, code):
    return Site(name, name, region(code))


NODES = [("n1", region("eu-west-1")), ("n2", region("us-east-1")), ("n3", region("eu-central-1"))]
IRELAND, VIRGINIA, FRANKFURT = (
    site("archive-dub", "eu-west-1"),
    site("archive-iad", "us-east-1"),
    site("archive-fra", "eu-central-1"),
)


def test_judge_names_the_far_node_its_distance_and_what_would_help():
    verdict = judge(NODES, [IRELAND, VIRGINIA], [FRANKFURT])
    assert verdict.sentence == (
        "2 of 3 nodes have a store in their region; n3 archives over 1,088 km to eu-west-1 "
        "(choosing archive-fra would make it 0 km)."
    )
    assert not verdict.is_good
    assert [(reach.node, reach.store.name, reach.km) for reach in verdict.reaches] == [
        ("n1", "archive-dub", 0),
        ("n2", "archive-iad", 0),
        ("n3", "archive-dub", 1088),
    ]


def test_judge_is_content_when_each_node_has_a_store_in_its_region():
    verdict = judge(NODES, [IRELAND, VIRGINIA, FRANKFURT], [site("far", "ap-southeast-2")])
    assert verdict.is_good
    assert verdict.sentence == "All 3 nodes have a store in their region."


def test_judge_recommends_nothing_that_is_no_nearer():
    verdict = judge(NODES[2:], [IRELAND], [site("other-dub", "eu-west-1"), site("far", "ap-southeast-2")])
    assert verdict.sentence == "The node has no store in its region; n3 archives over 1,088 km to eu-west-1."


def test_judge_says_what_is_nearest_when_nothing_is_chosen():
    verdict = judge(NODES, [], [FRANKFURT])
    assert "No backup store is chosen" in verdict.sentence
    assert "archive-fra (eu-central-1, 1,088 km)" in verdict.sentence
    assert all(reach.store is None for reach in verdict.reaches)


@pytest.mark.parametrize("chosen", [[], [IRELAND]])
def test_judge_survives_a_cluster_without_nodes(chosen):
    verdict = judge([], chosen)
    assert "no node yet" in verdict.sentence
    assert not verdict.is_good


def test_judge_counts_the_far_nodes_that_it_does_not_name():
    nodes = [(f"n{number}", region("ap-southeast-2")) for number in range(1, 8)]
    assert judge(nodes, [IRELAND]).sentence.endswith("4 more are as far or nearer.")


def test_round_trip_ms_is_light_in_fibre_with_a_detour():
    assert round_trip_ms(0) == 1
    assert round_trip_ms(1000) == 16
    assert round_trip_ms(6300) == 96  # 95.5


def test_nearest_names_the_node_and_the_distance():
    assert nearest(region("eu-west-1"), []) == ("", 0)
    assert nearest(region("eu-west-1"), NODES) == ("n1", 0)
    assert nearest(region("eu-west-3"), NODES) == ("n3", 478)
