"""The picture as a Mermaid flowchart: small, well formed, and safe whatever things are called."""

from __future__ import annotations

import re

import pytest

from tests.conftest import Assemblies
from tests.workbench.handmade import resource
from tests.workbench.test_picture import HOSTILE, named
from tests.workbench.test_scene import Scenes, scenes_of, system
from workbench.compare.scene import Scene, scene
from workbench.report.picture import mermaid

# Every line that a chart of ours may hold; texts stand in quotes, and hold nothing that could end them.
QUOTED = r'"(?:[^"<>#;{}|\[\]`\\]|<br/>|#\d+;)*"'
GRAMMAR = {
    "opening": re.compile(r"^flowchart LR$"),
    "group": re.compile(r"^  subgraph \w+\[\w+\]$"),
    "thing": re.compile(rf"^    n\d+\[{QUOTED}\](?::::\w+)?$"),
    "end": re.compile(r"^  end$"),
    "arrow": re.compile(rf"^  n\d+ (?:-->|==>|-\.->)(?:\|{QUOTED}\|)? n\d+$"),
    "class": re.compile(r"^  classDef \w+ [\w:#,-]+$"),
    "note": re.compile(rf"^  (?:more|nothing)\[{QUOTED}\]$"),
}


def kinds(chart: str) -> list[str]:
    """What each line is; fails on a line that is nothing of what it may be."""
    found = []
    for line in chart.splitlines():
        matching = [kind for kind, pattern in GRAMMAR.items() if pattern.match(line)]
        assert len(matching) == 1, line
        found += matching
    return found


@pytest.fixture(scope="module")
def scenes(assemblies: Assemblies) -> Scenes:
    """The scene of every stage, and of every pair."""
    return scenes_of(assemblies)


@pytest.mark.parametrize("profile", ["production", "sandbox"])
def test_every_stage_and_every_pair_is_a_well_formed_chart(scenes: Scenes, profile: str) -> None:
    for before in range(1, 6):
        for after in range(1, 6):
            stages = (after,) if before == after else (before, after)
            found = kinds(mermaid(scenes(*stages, profile=profile)))
            assert found[0] == "opening"
            assert found.count("group") == found.count("end") >= 3
            assert found.count("arrow") >= 2


def test_arrows_lead_from_a_thing_to_a_thing_of_the_chart(scenes: Scenes) -> None:
    chart = mermaid(scenes(3, 4))
    things = set(re.findall(r"^    (n\d+)\[", chart, re.MULTILINE))
    ends = set(re.findall(r"^  (n\d+) [=.-]+>.*? ?(n\d+)$", chart, re.MULTILINE))
    assert ends
    assert {end for pair in ends for end in pair} <= things


def test_from_3_to_4_the_chart_tells_what_happens_in_about_a_kilobyte(scenes: Scenes) -> None:
    chart = mermaid(scenes(3, 4))
    assert len(chart.encode()) < 1_500
    assert '["NEW: CloudFront<br/>' in chart
    assert "CHANGED: Auto Scaling group<br/>2 to 6 hosts → 3 to 12 hosts<br/>t4g.medium → m7g.large" in chart
    assert "Primary CHANGED: t4g.medium → m7g.large" in chart
    assert re.search(r'n\d+ ==>\|":6380"\| n\d+', chart)
    assert re.search(r'n\d+ -->\|":8080"\| n\d+', chart)
    assert "classDef new " in chart
    assert "classDef removed" not in chart


def test_what_goes_is_drawn_with_dots(scenes: Scenes) -> None:
    chart = mermaid(scenes(5, 2))
    assert "REMOVED: CloudFront" in chart
    assert "-.->" in chart
    assert "classDef removed " in chart


def test_things_that_are_alike_are_counted(scenes: Scenes) -> None:
    assert mermaid(scenes(4)).count("NAT gateway") == 1
    assert "NAT gateway x 3" in mermaid(scenes(4))


@pytest.mark.parametrize("name", [*HOSTILE, '"] --> x', "%%{init: {}}%%", "end", "`a` #quot; \\", "a|b{c}[d]"])
def test_no_name_can_leave_its_quotes(name: str) -> None:
    kinds(mermaid(scene(named(name))))


def test_long_names_are_cut() -> None:
    chart = mermaid(scene(system({"A": resource("AWS::S3::Bucket")}, paths={"A": "x/" + "long" * 100})))
    assert "…" in chart
    assert len(chart) < 200


def test_nothing_to_draw_is_said() -> None:
    assert kinds(mermaid(Scene())) == ["opening", "note"]


def test_what_found_no_room_is_counted() -> None:
    many = {f"Bucket{number}": resource("AWS::S3::Bucket") for number in range(70)}
    assert '"+ 10 more"' in mermaid(scene(system(many)))
