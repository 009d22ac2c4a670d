"""The contract between any two stages, asked of the synthesised templates: 20 moves, in both profiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import permutations
from pathlib import Path

import pytest

from blueprint.environment import Environment, load
from blueprint.profiles import PROFILES
from blueprint.stages import STAGES
from tests.conftest import Assemblies
from workbench.synth import synth as write
from workbench.templates import Assembly, read_assembly
from workbench.transition.allowances import ALLOWANCES
from workbench.transition.contract import RULES, contract
from workbench.transition.rule import Direction, Finding, RuleReport

NUMBERS = [stage.number for stage in STAGES]
MOVES = list(permutations(NUMBERS, 2))
UP = [(before, after) for before, after in MOVES if before < after]
Judge = Callable[[str, int, int], dict[str, RuleReport]]

pytestmark = pytest.mark.gate


def direction(before: int, after: int) -> Direction:
    return Direction.UP if (before, after) in UP else Direction.DOWN


def rules_of(profile: str, before: int, after: int) -> list[str]:
    protected = PROFILES[profile].keep_data
    way = direction(before, after)
    return [rule.id for rule in RULES if way in rule.directions and (protected or not rule.only_protected)]


@pytest.fixture(scope="module")
def read(assemblies: Assemblies) -> Callable[[str, int], Assembly]:
    """Profile and stage -> its assembly, read once."""
    return cache(lambda profile, stage: read_assembly(assemblies(profile)[stage]))


@pytest.fixture(scope="module")
def judged(read: Callable[[str, int], Assembly]) -> Judge:
    """Profile and move -> what each rule says about it, asked once."""

    @cache
    def judge(profile: str, before: int, after: int) -> dict[str, RuleReport]:
        reports = contract(
            read(profile, before),
            read(profile, after),
            direction=direction(before, after),
            protected=PROFILES[profile].keep_data,
        )
        return {report.rule: report for report in reports}

    return judge


def told(findings: tuple[Finding, ...]) -> str:
    return "\n".join(["", *(f"  {finding}" for finding in findings)])


@pytest.mark.parametrize(
    ("profile", "before", "after", "rule"),
    [
        pytest.param(profile, before, after, rule, id=f"{profile}-{before}-to-{after}-{rule}")
        for profile in PROFILES
        for before, after in MOVES
        for rule in rules_of(profile, before, after)
    ],
)
def test_a_move_keeps_the_rule(profile: str, before: int, after: int, rule: str, judged: Judge) -> None:
    report = judged(profile, before, after)[rule]
    assert not report.findings, told(report.findings)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("before", "after"), UP, ids=lambda stage: str(stage))
def test_every_way_up_has_a_way_down_that_keeps_the_same_rules(
    profile: str, before: int, after: int, judged: Judge
) -> None:
    up, down = judged(profile, before, after), judged(profile, after, before)
    only_up = {rule.id for rule in RULES if rule.directions == {Direction.UP}}
    assert set(up) - only_up <= set(down)
    findings = tuple(finding for report in (*up.values(), *down.values()) for finding in report.findings)
    assert not findings, told(findings)


def test_no_rule_is_idle_over_all_moves(judged: Judge) -> None:
    looked = {rule.id: 0 for rule in RULES if rule.directions != {Direction.STAY}}
    for before, after in MOVES:
        for report in judged("production", before, after).values():
            looked[report.rule] += report.examined
    assert all(looked.values()), looked


@pytest.mark.parametrize(("rule", "fewest"), [("EV01", 15), ("EV03", 15), ("EV04", 7), ("EV06", 20), ("EV07", 15)])
def test_a_rule_looks_at_about_as_much_as_there_is(rule: str, fewest: int, judged: Judge) -> None:
    for before, after in UP:
        assert judged("production", before, after)[rule].examined >= fewest


def test_every_allowance_is_needed_by_some_move(judged: Judge) -> None:
    used = [
        row
        for before, after in MOVES
        for report in judged("production", before, after).values()
        for _, row in report.allowed
    ]
    unused = [row.reason for row in ALLOWANCES if row not in used]
    assert not unused, "\n".join(unused)


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
def test_a_stage_is_the_same_wherever_one_came_from(
    profile: str, read: Callable[[str, int], Assembly], tmp_path: Path
) -> None:
    """The fixture goes up through the stages in one process; here we come down."""
    for number in reversed(NUMBERS):
        again = write(load(profile, stage=str(number)), tmp_path / str(number), bundle=False)
        protected = PROFILES[profile].keep_data
        here = read_assembly(again)
        for report in contract(read(profile, number), here, direction=Direction.STAY, protected=protected):
            assert report.examined > 0
            assert not report.findings, told(report.findings)


@pytest.mark.parametrize(
    ("steps", "direction"), [((3, "open", 4), Direction.UP), ((4, "open", 3), Direction.DOWN)], ids=["up", "down"]
)
def test_a_move_in_two_passes_keeps_the_contract_in_each(
    steps: tuple[int | str, ...],
    direction: Direction,
    production: dict[int, Path],
    load_production: Callable[[int], Environment],
    synth: Callable[[Environment], Path],
) -> None:
    """Between 3 and 4 lies stage 4 with its load balancer still open to visitors."""
    four = load_production(4)
    between = synth(replace(four, transition=four.transition.model_copy(update={"lock_origin": False})))
    before, middle, after = (read_assembly(between if step == "open" else production[int(step)]) for step in steps)
    for one, other in ((before, middle), (middle, after)):
        reports = contract(one, other, direction=direction, protected=True)
        assert len(reports) >= 10  # those that ask about this direction
        assert [finding for report in reports for finding in report.findings] == []
