"""One comparison in its forms: right, short enough, and never commanded by what strangers wrote into a template."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from markdown_it import MarkdownIt

from tests.workbench import hostile
from tests.workbench.handmade import lone, resource
from workbench.compare import Comparison, Risk, compare, facts, verdict
from workbench.report.compare.data import as_data
from workbench.report.compare.markdown import LONGEST, MARKER, markdown
from workbench.report.compare.sections import Section, sections
from workbench.report.compare.terminal import MOST_ROWS, text
from workbench.report.words import escaped, share
from workbench.synth import ROOT
from workbench.templates import read_assembly
from workbench.usage import named

SCHEMA = json.loads((ROOT / "workbench/report/compare/comparison.schema.json").read_text(encoding="utf-8"))
PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


@pytest.fixture(scope="module")
def pair(production: dict[int, Path]) -> Comparison:
    """Stage 3 as it becomes stage 4."""
    return compare(*(facts(f"stage {n}", read_assembly(production[n]), named("moderate")) for n in (3, 4)))


@pytest.fixture(scope="module")
def same(production: dict[int, Path]) -> Comparison:
    return compare(*(facts("stage 3", read_assembly(production[3]), named("moderate")) for _ in range(2)))


@cache
def hostile_comparison(number: int) -> Comparison:
    return hostile.comparison(hostile.TEXTS[number])


EVERY_TEXT = pytest.mark.parametrize("number", range(len(hostile.TEXTS)))


def section(comparison: Comparison, wanted: str) -> Section:
    return next(each for each in sections(comparison) if each.id == wanted)


# --- What is said -----------------------------------------------------------------------------------------------------


def test_what_needs_attention_comes_first_and_every_property_last(pair: Comparison) -> None:
    order = [each.id for each in sections(pair)]
    assert order[0] == "attention"
    assert order[-1] == "properties"
    assert order.index("cost") < order.index("network") < order.index("rights") < order.index("resources")


def test_every_row_has_a_cell_for_every_heading(pair: Comparison) -> None:
    for each in sections(pair):
        assert {len(row.cells) for row in each.rows} <= {len(each.header)}, each.id


def test_what_was_there_before_has_a_line_of_its_own_and_what_is_new_is_told_by_block(pair: Comparison) -> None:
    rows = section(pair, "resources").rows
    changed = [row.cells[1] for row in rows if row.cells[2] == "changed"]
    assert "Database/Primary (RDS DBInstance)" in changed
    assert len([row for row in rows if row.cells[0] == "Cache"]) == 1
    told = sum(len(row.about) for row in rows)
    assert told == len(pair.resources), "none is left out"


def test_the_rows_of_cost_add_up_to_the_difference(pair: Comparison) -> None:
    difference = sum((cost.after or 0) - (cost.before or 0) for cost in pair.costs)
    assert difference == pytest.approx(pair.after.cost.usd - pair.before.cost.usd, abs=0.01)


def test_what_changes_without_harm_is_told_below_what_does_harm(pair: Comparison) -> None:
    told = {row.cells for row in section(pair, "notes").rows}
    assert ("address", "shop.example.com stays, and leads to Cdn/Distribution instead of Front/Balancer.") in told
    assert not told & {row.cells for row in section(pair, "attention").rows}
    assert all(finding.text in str(sections(pair)) for finding in pair.findings if finding.kind != "capacity")


def test_what_is_billed_by_use_without_a_figure_is_counted(pair: Comparison) -> None:
    counts = [len(side.cost.by_use) for side in (pair.before, pair.after)]
    assert all(counts)
    assert f"Billed by use, without a figure: {counts[0]} → {counts[1]}." in section(pair, "cost").answer


@pytest.mark.parametrize(("part", "said"), [(0, "0%"), (0.0001, "<1%"), (0.01, "1%"), (1.56, "156%")])
def test_a_little_is_not_nothing(part: float, said: str) -> None:
    assert share(part) == said


def test_nothing_is_said_of_two_equal_sides(same: Comparison) -> None:
    assert same.risk is Risk.NONE
    assert verdict(same) == "Nothing changes."
    for wanted in ("network", "rights", "resources", "properties"):
        assert wanted not in {each.id for each in sections(same) if each.rows}


# --- The terminal -----------------------------------------------------------------------------------------------------


def test_the_verdict_is_the_second_line(pair: Comparison) -> None:
    first, second, *_ = text(pair).splitlines()
    assert first == "stage 3 → stage 4"
    assert verdict(pair).startswith(second)


def test_long_lists_are_cut_with_their_count_unless_all_is_asked_for(pair: Comparison) -> None:
    short, full = text(pair), text(pair, full=True)
    rows = len(section(pair, "cost").rows)
    assert f"and {rows - MOST_ROWS} more; --full shows them" in short
    assert "--full" not in full
    assert len(full) > 2 * len(short)


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_narrow_terminal_breaks_long_words_at_their_seams_and_drops_nothing(
    pair: Comparison, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = text(pair, full=True).splitlines()
    assert max(map(len, lines)) <= width
    rights = lines[lines.index("Rights") : lines.index("Resources")]
    assert sum(line.startswith("+") for line in rights) == len(section(pair, "rights").rows)
    assert width < 80 or any(line.startswith("Database/Primary ") for line in lines), "a name in one piece"


def test_colours_are_for_terminals_alone(pair: Comparison) -> None:
    assert "\x1b" not in text(pair)
    assert "\x1b[" in text(pair, coloured=True)


@EVERY_TEXT
def test_no_template_commands_the_terminal(number: int) -> None:
    printed = text(hostile_comparison(number), full=True)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b]", printed)


# --- Markdown ---------------------------------------------------------------------------------------------------------


def elements(source: str) -> list[tuple[str, str]]:
    """What a reader of this Markdown would see beside text: kinds of tokens, and raw HTML."""
    found = []
    for token in PARSER.parse(source):
        for each in (token, *(token.children or ())):
            if each.type in ("html_inline", "html_block"):
                found += [("html", tag) for tag in re.findall(r"<!--.*?-->|<[^>]*>", each.content) if tag != "<!-- -->"]
            elif each.type not in ("text", "softbreak", "inline"):
                found.append((each.type, each.tag))
    return found


def test_a_comment_begins_with_the_mark_by_which_it_is_found_again(pair: Comparison) -> None:
    lines = markdown(pair).splitlines()
    assert lines[0] == MARKER
    assert "stage 3 → stage 4" in lines[2]


@EVERY_TEXT
def test_no_template_becomes_markup(number: int) -> None:
    """The same comparison with a harmless word for every text has the same elements, and none more."""
    told = elements(markdown(hostile_comparison(number), longest=10**9))
    kinds = {kind for kind, _ in told}
    assert not kinds & {"link_open", "image", "code_inline", "em_open", "strong_em", "s_open"}
    tags = {tag for kind, tag in told if kind == "html"}
    assert tags <= {MARKER, "<details>", "</details>", "<summary>", "</summary>", "<b>", "</b>"}


@EVERY_TEXT
def test_no_template_breaks_a_table(number: int) -> None:
    source = markdown(hostile_comparison(number), longest=10**9)
    for table in re.findall(r"(?:^\|.*\|$\n?)+", source, flags=re.MULTILINE):
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in table.strip().splitlines()}
        assert len(cells) == 1, table[:300]


@pytest.mark.parametrize("found", ["@somebody", "#1", "www.evil.example", "https://evil.example"])
def test_what_github_would_link_later_is_interrupted(found: str) -> None:
    assert found not in escaped(f"see {found} there")


@pytest.mark.parametrize("longest", [60_000, 20_000, 6_000])
def test_a_comment_is_never_too_long_and_says_what_it_left_out(pair: Comparison, longest: int) -> None:
    source = markdown(pair, longest=longest)
    assert len(source) <= longest
    assert verdict(pair)[:20] in source
    assert ("not shown" in source) == (len(markdown(pair, longest=10**9)) > longest)


def test_the_first_lists_are_dropped_last(pair: Comparison) -> None:
    source = markdown(pair, longest=9_000)
    for row in section(pair, "attention").rows:
        assert escaped(row.cells[1]) in source
    assert "not shown" in source.rpartition("Every property")[2]


def test_github_takes_the_longest_comment() -> None:
    assert LONGEST <= 65_536 - 1_000


# --- JSON -------------------------------------------------------------------------------------------------------------


def valid(data: Any) -> None:
    jsonschema.validate(data, SCHEMA, cls=jsonschema.Draft202012Validator)


def test_the_schema_itself_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_json_is_as_its_schema_says(pair: Comparison, same: Comparison) -> None:
    valid(as_data(pair))
    valid(as_data(same))


def test_a_field_that_nobody_described_is_refused(pair: Comparison) -> None:
    with pytest.raises(jsonschema.ValidationError):
        valid({**as_data(pair), "more": 1})


def test_a_password_in_a_template_is_in_no_report() -> None:
    before, after = (
        lone({"Database": resource("AWS::RDS::DBInstance", MasterUserPassword=f"swordfish{number}")}) for number in "12"
    )
    usage = named("low")
    comparison = compare(facts("before", before, usage), facts("after", after, usage))
    printed = text(comparison, full=True) + markdown(comparison) + json.dumps(as_data(comparison))
    assert "MasterUserPassword" in printed
    assert "swordfish" not in printed


@EVERY_TEXT
def test_json_of_strangers_templates_is_as_its_schema_says(number: int) -> None:
    data = json.loads(json.dumps(as_data(hostile_comparison(number))))
    valid(data)


def test_json_says_what_the_report_says(pair: Comparison) -> None:
    data = as_data(pair)
    assert data["verdict"]["text"] == verdict(pair)
    assert len(data["resources"]) == len(pair.resources)
    assert data["after"]["usd_a_month"] == round(pair.after.cost.usd, 2)
