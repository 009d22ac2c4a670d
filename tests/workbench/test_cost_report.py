"""What people see of an estimate: goldens that can be worked out again, texts that add up, and what a change costs."""

from __future__ import annotations

import json
import re
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.golden_files import GOLDEN, mismatch
from tests.workbench.bad_templates import Body, made
from workbench.compare.aspects.cost import compare
from workbench.compare.model import Availability, Capacity, CostChange, Facts, Finding, Kind, Risk
from workbench.cost import Estimate, estimate
from workbench.report import cost as report
from workbench.templates import Assembly, StackTemplate, read_assembly
from workbench.templates.reading import System
from workbench.usage import Usage, named

# --- Goldens: every priced component of every stage -------------------------------------------------------------------

HEADER = ("stack", "resource", "component", "quantity", "unit", "USD a unit", "USD", "read on")


def golden(found: Estimate) -> str:
    """One line a component; quantity times price is the amount, and the amounts make the total."""
    rows = [
        (
            line.stack,
            line.name,
            line.component,
            f"{line.quantity:.6f}".rstrip("0").rstrip("."),
            line.price.unit,
            f"{line.price.usd:.12f}".rstrip("0").rstrip("."),
            f"{line.usd:.2f}",
            line.price.as_of,
        )
        for line in found.lines
    ]
    total = ("total", "", "", "", "", "", f"{found.usd:.2f}", "")
    return "".join("\t".join(row) + "\n" for row in (HEADER, *sorted(rows), total))


def rows(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]


@pytest.mark.parametrize("stage", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("usage", ["moderate", "high"])
def test_each_stage_costs_what_its_golden_file_says(
    production: dict[int, Path], stage: int, usage: str, refresh: bool
) -> None:
    found = golden(estimate(System(read_assembly(production[stage])), named(usage)))
    path = GOLDEN / "cost" / f"stage-{stage}-{usage}.tsv"
    if refresh:
        path.parent.mkdir(exist_ok=True)
        path.write_text(found, encoding="utf-8")
    difference = mismatch(path, found)
    assert not difference, difference


@pytest.mark.parametrize("path", sorted((GOLDEN / "cost").glob("*.tsv")), ids=lambda path: path.stem)
def test_a_golden_file_can_be_worked_out_by_hand(path: Path) -> None:
    *lines, total = rows(path)
    assert len(lines) > 15
    for line in lines:
        worked_out = Decimal(line[3]) * Decimal(line[5])
        # Quantities are cut after six digits, which can move the last cent.
        assert abs(worked_out.quantize(Decimal("0.01"), ROUND_HALF_EVEN) - Decimal(line[6])) <= Decimal("0.01"), line
    assert sum(Decimal(line[6]) for line in lines) == Decimal(total[6])


# --- Texts ------------------------------------------------------------------------------------------------------------


def system(resources: dict[str, Body], region: str = "us-east-1") -> System:
    return System(Assembly((StackTemplate("shop-web", "web", {"Resources": resources}, region=region),)))


@pytest.fixture(scope="module")
def found(production: dict[int, Path]) -> Estimate:
    return estimate(System(read_assembly(production[4])), named("moderate"))


AMOUNT = re.compile(r"(?<=\s)[\d,]+\.\d\d(?=\s\s20\d\d|$)")


def amounts(line: str) -> list[Decimal]:
    return [Decimal(text.replace(",", "")) for text in AMOUNT.findall(line)]


@pytest.mark.parametrize("width", [80, 120])
def test_the_printed_amounts_make_the_printed_subtotals_and_these_the_total(found: Estimate, width: int) -> None:
    table = report.text(found, "stage 4", width).split("\n\n")[2].splitlines()[1:]
    *inside, last = table
    subtotals: list[Decimal] = []
    sums: list[Decimal] = []
    for line in inside:
        if not line.startswith(" "):
            subtotals += amounts(line)
            sums.append(Decimal(0))
        elif amounts(line):
            sums[-1] += amounts(line)[0]
    assert len(subtotals) == 5
    assert sums == subtotals
    assert amounts(last) == [sum(subtotals)] == [Decimal(str(found.usd))]


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("stage", [1, 5])
@pytest.mark.parametrize("usage", ["low", "high"])
def test_no_line_is_wider_than_the_terminal(production: dict[int, Path], stage: int, usage: str, width: int) -> None:
    text = report.text(estimate(System(read_assembly(production[stage])), named(usage)), "stage", width)
    assert max(len(line) for line in text.splitlines()) <= width


def test_the_text_says_how_much_at_which_price_of_which_day(found: Estimate) -> None:
    text = report.text(found, "stage 4", 120)
    [line] = [line for line in text.splitlines() if "Cache/Group: cache node" in line]
    assert re.fullmatch(r"  Cache/Group: cache node +4,380 h x 0\.052 +227\.76  2026-10-02", line)
    assert text.startswith("stage 4 at the usage moderate: ")
    assert "86.8 at the peak" in text
    assert "Oldest price: 2026-02-07 (AWS Backup" in text


def test_an_allowance_is_said_and_not_hidden(found: Estimate) -> None:
    assert re.search(
        r"Cdn/Distribution: traffic to visitors, free allowance +1,024 GB x 0 +0\.00", report.text(found, "", 120)
    )


def test_the_same_components_of_several_resources_are_one_row(found: Estimate) -> None:
    text = report.text(found, "stage 4", 120)
    assert text.count("3 in Network: NAT gateway") == 1
    assert "2,190 h x 0.045" in text


def test_what_is_unknown_is_counted_in_the_first_line_and_listed() -> None:
    gaps = estimate(system({"Graph": made("Neptune::DBCluster"), "Key": made("KMS::Key")}))
    text = report.text(gaps, "theirs", 80)
    assert text.startswith("theirs at rest: 1.00 USD a month and 1 unknown cost\n")
    assert "Neptune::DBCluster Graph: a type that nobody has priced" in text


def test_nothing_at_all_costs_nothing() -> None:
    text = report.text(estimate(system({})), "empty", 80)
    assert text.startswith("empty at rest: 0.00 USD a month\n")


def test_machines_get_every_line_and_no_total_when_something_is_unknown(found: Estimate) -> None:
    data = json.loads(json.dumps(report.as_data(found, "stage 4")))
    assert data["usd_a_month"] == found.usd
    assert len(data["lines"]) == len(found.lines)
    assert sum(round(line["usd"] * 100) for line in data["lines"]) == round(found.usd * 100)
    assert sum(round(usd * 100) for usd in data["subtotals"].values()) == round(found.usd * 100)
    assert data["by_use_count"] == len(data["by_use"]) > 0
    gaps = report.as_data(estimate(system({"Graph": made("Neptune::DBCluster")})), "theirs")
    assert (gaps["usd_a_month"], gaps["priced_usd_a_month"], gaps["unknown_count"]) == (None, 0, 1)


def test_markdown_is_one_table_with_a_total_and_folds_the_rest(found: Estimate) -> None:
    text = report.markdown(found, "stage 4")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in table} == {5}
    assert table[-1] == f"| **total** |   | **{found.usd:,.2f}** |   |"
    assert f"<details><summary>{len(found.by_use)} costs by use without a figure" in text


def test_names_of_strangers_cannot_break_a_table_or_command_a_terminal() -> None:
    nasty = "A|b`<img src=x>\x1b[31m\u202e"
    evil = estimate(
        System(Assembly((StackTemplate("s", nasty, {"Resources": {nasty: made("KMS::Key")}}, region="us-east-1"),)))
    )
    text, marked = report.text(evil, nasty, 80), report.markdown(evil, nasty)
    assert not {"\x1b", "\u202e"} & {*text, *marked}
    assert "<img" not in marked
    assert {line.count("|") for line in marked.splitlines() if line.startswith("|")} == {5}


# --- What a change costs ----------------------------------------------------------------------------------------------


def facts(resources: dict[str, Body], usage: Usage | None = None, region: str = "us-east-1") -> Facts:
    whole = system(resources, region)
    assembly = Assembly(whole.stacks)
    return Facts(
        label="one side",
        assembly=assembly,
        system=whole,
        grants=frozenset(),
        openings=frozenset(),
        entrances=(),
        guards={},
        cost=estimate(whole, usage),
        availability=Availability((), ()),
        capacity=Capacity(()),
    )


def disk(size: int) -> Body:
    return made("EC2::Volume", VolumeType="gp3", Size=size)


def database(size: str) -> Body:
    return made("RDS::DBInstance", Engine="postgres", DBInstanceClass=size, StorageType="gp3", AllocatedStorage=100)


def budget(amount: Any, **more: Any) -> Body:
    return made(
        "Budgets::Budget",
        Budget={
            "BudgetType": "COST",
            "TimeUnit": "MONTHLY",
            "BudgetLimit": {"Amount": amount, "Unit": "USD"},
            **more,
        },
    )


def test_a_change_is_joined_by_resource_and_component() -> None:
    before = facts({"Same": disk(10), "Grown": disk(100), "Gone": made("KMS::Key")})
    after = facts({"Same": disk(10), "Grown": disk(150), "New": made("SecretsManager::Secret")})
    changes, _ = compare(before, after)
    assert changes == (
        CostChange(("web", "Gone"), "key", 1.0, None),
        CostChange(("web", "Grown"), "disk", 8.0, 12.0),
        CostChange(("web", "New"), "secret", None, 0.4),
    )


def test_a_bill_that_rises_is_said_from_what_to_what_and_why() -> None:
    before = facts({"Data": database("db.t4g.medium"), "Files": disk(10)})
    after = facts({"Data": database("db.m7g.large"), "Files": disk(100), "Nat": made("EC2::NatGateway")})
    _, [finding] = compare(before, after)
    assert (finding.risk, finding.kind) == (Risk.NOTICE, Kind.COST)
    assert finding.text == (
        "A month at rest costs 174.99 USD instead of 59.75 (+115.24, +193%). "
        "The most: Data database +75.19; Nat NAT gateway +32.85; Files disk +7.20."
    )


@pytest.mark.parametrize(
    ("before", "after", "noticed"),
    [
        (1000, 1100, False),  # 8 USD of 80: 10 %
        (1000, 1101, True),
        (8000, 8600, False),  # 48 USD, 7.5 %
        (8000, 8700, True),  # 56 USD, 8.75 %
        (1000, 500, False),
        (0, 100, False),  # 8 USD, and no share of nothing
        (0, 700, True),
    ],
)
def test_a_rise_is_noticed_by_its_share_or_by_its_size(before: int, after: int, noticed: bool) -> None:
    _, findings = compare(facts({"Disk": disk(before)}), facts({"Disk": disk(after)}))
    assert [finding.kind for finding in findings] == [Kind.COST] * noticed


def gaps(findings: list[Finding], kind: Kind) -> list[str]:
    return [finding.text for finding in findings if finding.kind == kind]


def test_what_became_unknown_is_counted_and_the_first_are_named() -> None:
    before = facts({"Old": made("Neptune::DBCluster")})
    names = ["Old", "One", "Two", "Three", "Four"]
    after = facts({name: made("Neptune::DBCluster") for name in names})
    _, findings = compare(before, after)
    assert gaps(findings, Kind.UNKNOWN_COST) == [
        "4 costs are unknown that the total leaves out: One (AWS::Neptune::DBCluster), a type that nobody has priced; "
        "Two (AWS::Neptune::DBCluster), a type that nobody has priced; "
        "Three (AWS::Neptune::DBCluster), a type that nobody has priced; and 1 more."
    ]


def test_a_budget_below_the_estimate_is_said() -> None:
    _, findings = compare(facts({"Limit": budget(10)}), facts({"Limit": budget("10"), "Nat": made("EC2::NatGateway")}))
    assert gaps(findings, Kind.BUDGET) == ["The estimate of 32.85 USD a month is above the budget Limit of 10.00 USD."]


@pytest.mark.parametrize(
    "limit",
    [
        budget(100),
        budget({"Ref": "Limit"}),
        budget(10, TimeUnit="ANNUALLY"),
        budget(10, BudgetType="USAGE"),
        budget(10, BudgetLimit={"Amount": 10, "Unit": "EUR"}),
        budget(10, CostFilters={"Service": ["Amazon Simple Storage Service"]}),
        made("Budgets::Budget", Budget="all"),
    ],
)
def test_other_budgets_are_left_alone(limit: Body) -> None:
    _, findings = compare(facts({}), facts({"Limit": limit, "Nat": made("EC2::NatGateway")}))
    assert gaps(findings, Kind.BUDGET) == []


def test_a_side_against_itself_is_silent() -> None:
    side = {"Limit": budget(1), "Nat": made("EC2::NatGateway"), "Graph": made("Neptune::DBCluster")}
    assert compare(facts(side), facts(side)) == ((), [])


def test_the_usage_is_named_when_there_is_one() -> None:
    edge = made("CloudFront::Distribution", DistributionConfig={"Origins": []})
    _, findings = compare(facts({}, named("moderate")), facts({"Edge": edge}, named("moderate")))
    assert findings[0].text.startswith("A month at the usage moderate costs ")


def test_from_stage_three_to_four_the_cache_and_the_second_replica_are_named(production: dict[int, Path]) -> None:
    sides = [System(read_assembly(production[stage])) for stage in (3, 4)]
    before, after = (
        Facts(
            label=str(number),
            assembly=Assembly(side.stacks),
            system=side,
            grants=frozenset(),
            openings=frozenset(),
            entrances=(),
            guards={},
            cost=estimate(side),
            availability=Availability((), ()),
            capacity=Capacity(()),
        )
        for number, side in enumerate(sides)
    )
    changes, findings = compare(before, after)
    assert [finding.kind for finding in findings] == [Kind.COST, Kind.BUDGET]
    assert "Cache/Group cache node +227.76" in findings[0].text
    difference = sum(round(((change.after or 0) - (change.before or 0)) * 100) for change in changes)
    assert difference == round((after.cost.usd - before.cost.usd) * 100)
