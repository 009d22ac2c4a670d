"""The prediction of replacements against somebody else's: npm's @aws-cdk/cloudformation-diff, asked in one process."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Assemblies
from tests.workbench.sides import FOREIGN, PUBLIC
from workbench.facts import specification
from workbench.facts.refinements import REFINEMENTS
from workbench.facts.specification import replacement, specification_path
from workbench.synth import ROOT
from workbench.templates import Assembly, Change, Impact, Reference, StackTemplate, predict, read_assembly
from workbench.templates import impact as whole_impact
from workbench.templates.references import is_function

pytestmark = pytest.mark.slow

Template = dict[str, Any]
Verdict = dict[str, list[str]]
Changed = list[tuple[Template, Template, Verdict]]
Oracle = Callable[[Template, Template], Verdict]
MUTATIONS = 500


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    """What the CDK says of a pair of templates: one process for all pairs."""
    process = subprocess.Popen(
        [os.environ["JSII_NODE"], ROOT / "tests" / "oracle" / "differ.js", specification_path()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    asked, answers = process.stdin, process.stdout

    def ask(before: Template, after: Template) -> Verdict:
        asked.write(json.dumps({"before": before, "after": after}) + "\n")
        asked.flush()
        answer: Verdict = json.loads(answers.readline())
        return answer

    yield ask
    asked.close()
    assert process.wait(timeout=30) == 0
    answers.close()


def alone(template: Template) -> Assembly:
    return Assembly((StackTemplate("template", "template", template),))


def ours(before: Template, after: Template) -> Mapping[str, Change]:
    return {key[1]: change for key, change in predict(alone(before), alone(after)).items()}


def as_the_oracle_would_say(changes: Mapping[str, Change]) -> Verdict:
    """Ours without what it adds on purpose: what may follow from what may be replaced."""
    certain = {name for name, change in changes.items() if change.impact is Impact.REPLACE}
    may = {
        name
        for name, change in changes.items()
        if change.impact is Impact.MAY_REPLACE
        and any(cause.follows is None or cause.follows[1] in certain for cause in change.decisive)
    }
    return {"replaced": sorted(certain), "maybe": sorted(may)}


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine without the three things in which it goes further than the oracle."""
    monkeypatch.setattr("workbench.templates.replacement.REFINEMENTS", {})
    monkeypatch.setattr("workbench.templates.replacement.impact", lambda kind, path: whole_impact(kind, path[:1]))
    monkeypatch.setattr("workbench.templates.replacement.references", outside_functions)


def outside_functions(
    value: Any, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], Reference]]:
    """References, except for those in what other functions put together: the oracle does not follow them."""
    if isinstance(value, Reference):
        yield path, value
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from outside_functions(item, (*path, number))
    elif isinstance(value, dict) and not is_function(value):
        for key, item in value.items():
            yield from outside_functions(item, (*path, key))


# --- every property of every type ------------------------------------------------------------------------------------


def test_all_pairs_of_type_and_property_agree(oracle: Oracle) -> None:
    pairs, differing = 0, []
    for kind, described in specification._resources().items():
        names = sorted(described["properties"])
        before = {name: {"Type": kind, "Properties": {name: "before"}} for name in names}
        after = {name: {"Type": kind, "Properties": {name: "after"}} for name in names}
        told = oracle({"Resources": before}, {"Resources": after})
        for name in names:
            theirs = "yes" if name in told["replaced"] else "maybe" if name in told["maybe"] else "no"
            pairs += 1
            if theirs != {"unknown": "no"}.get(flag := _own_flag(kind, name), flag):
                differing.append((kind, name, flag, theirs))
    assert pairs > 12_000
    assert not differing


def _own_flag(kind: str, name: str) -> str:
    """What we read for the property itself, whatever is inside it."""
    return replacement(kind, (name,))


# --- the five stages, changed at random ------------------------------------------------------------------------------


def mutations(templates: list[Template], count: int) -> Iterator[tuple[Template, Template]]:
    """Pairs of templates that differ in a few properties, the same ones in every run."""
    for number in range(count):
        chance = random.Random(number)
        before = templates[number % len(templates)]
        after = deepcopy(before)
        for _ in range(chance.randint(1, 4)):
            mutate(after["Resources"], chance)
        yield before, after


def mutate(resources: Template, chance: random.Random) -> None:
    """Set, change or take away one property that the specification knows, now and then a reference or a whole type."""
    name = chance.choice(sorted(resources))
    kind = resources[name]["Type"]
    described = specification._resources().get(kind)
    if described is None or not described["properties"]:
        return
    properties = resources[name].setdefault("Properties", {})
    known = sorted(set(described["properties"]) & set(properties)) if chance.random() < 0.7 else []
    unsure = [name for name in sorted(described["properties"]) if replacement(kind, (name,)) == "maybe"]
    chosen = chance.choice(unsure if unsure and chance.random() < 0.3 else known or sorted(described["properties"]))
    dice = chance.random()
    if dice < 0.15 and chosen in properties:
        del properties[chosen]
    elif dice < 0.3:
        other = chance.choice(sorted(resources))
        properties[chosen] = chance.choice([{"Ref": other}, {"Fn::GetAtt": [other, "Arn"]}])
    elif dice < 0.33:
        resources[name] = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": f"other-{chance.random()}"}}
    elif chosen in properties and dice < 0.65:
        properties[chosen] = changed(properties[chosen], chance)
    else:
        properties[chosen] = made(described["properties"][chosen]["type"], chance)


def changed(value: Any, chance: random.Random) -> Any:
    """The same value but for one place inside it."""
    if isinstance(value, dict) and value and not any(key == "Ref" or key.startswith("Fn::") for key in value):
        key = chance.choice(sorted(value))
        return value | {key: changed(value[key], chance)}
    if isinstance(value, list) and value:
        place = chance.randrange(len(value))
        return [changed(item, chance) if place == number else item for number, item in enumerate(value)]
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else f"changed-{chance.randint(0, 9)}"


def made(kind: Mapping[str, Any], chance: random.Random, depth: int = 0) -> Any:
    """A value of a type of the specification."""
    match kind["type"]:
        case "boolean":
            return chance.random() < 0.5
        case "integer" | "number":
            return chance.randint(1, 99)
        case "array":
            return [made(kind["element"], chance, depth + 1)]
        case "map":
            return {"key": made(kind["element"], chance, depth + 1)}
        case "tag":
            return {"Key": "made", "Value": f"made-{chance.randint(0, 99)}"}
        case "union":
            return made(chance.choice(kind["types"]), chance, depth)
        case "ref" if depth < 3:
            inside = specification._definitions()[kind["reference"]["$ref"]]["properties"]
            names = chance.sample(sorted(inside), min(2, len(inside)))
            return {name: made(inside[name]["type"], chance, depth + 1) for name in names}
    return f"made-{chance.randint(0, 99)}"


@pytest.fixture(scope="module")
def stages(assemblies: Assemblies) -> list[Template]:
    """Every template of every stage that is deployed."""
    return [
        dict(stack.template)
        for profile in ("production", "sandbox")
        for folder in assemblies(profile).values()
        for stack in read_assembly(folder).stacks
        if stack.resources
    ]


@pytest.fixture(scope="module")
def changed_stages(stages: list[Template], oracle: Oracle) -> Changed:
    """Each pair with what the oracle says of it."""
    return [(before, after, oracle(before, after)) for before, after in mutations(stages, MUTATIONS)]


@pytest.mark.usefixtures("plain")
def test_random_changes_of_the_stages_replace_the_same_resources(changed_stages: Changed) -> None:
    told = Counter[str]()
    for before, after, theirs in changed_stages:
        assert as_the_oracle_would_say(ours(before, after)) == theirs
        told.update({kind: len(names) for kind, names in theirs.items()})
    assert told["replaced"] > 300
    assert told["maybe"] > 10


def test_where_we_say_something_else_a_source_says_why(changed_stages: Changed) -> None:
    why = Counter[str]()
    for before, after, theirs in changed_stages:
        changes = ours(before, after)
        reasons = {name: reason_to_differ(changes.get(name), theirs, name) for name in {*changes, *theirs["maybe"]}}
        why.update(reason for reason in reasons.values() if reason)
        assert "" not in reasons.values(), [name for name, reason in reasons.items() if reason == ""]
    assert why["refined"] > 3
    assert set(why) <= {"refined", "inside", "follows"}


def reason_to_differ(change: Change | None, theirs: Verdict, name: str) -> str | None:
    """Why the engine does not say what the oracle says; None when it does, nothing when there is no reason."""
    said = Impact.REPLACE if name in theirs["replaced"] else Impact.MAY_REPLACE if name in theirs["maybe"] else None
    impact = change.impact if change is not None else None
    if impact is said or (said is None and impact not in (Impact.REPLACE, Impact.MAY_REPLACE)):
        return None
    assert change is not None, name
    if any(
        row_for(change.type, cause.path) and cause.why == row_for(change.type, cause.path) for cause in change.causes
    ):
        return "refined"
    # The specification says what a property does inside another one, the oracle looks at the outermost only.
    if any(whole_impact(change.type, cause.path[:1]) < cause.impact for cause in change.decisive):
        return "inside"
    return "follows" if any(cause.follows for cause in change.decisive) else ""


def row_for(kind: str, path: tuple[str | int, ...]) -> str | None:
    row = REFINEMENTS.get((kind, str(path[0])))
    return row.instead if row is not None else None


# --- templates of other people, and in their manner -------------------------------------------------------------------


def test_published_templates_are_many() -> None:
    assert len(PUBLIC) >= 20


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("file", FOREIGN, ids=lambda file: file.name)
def test_foreign_templates_replace_the_same_resources(file: Path, oracle: Oracle) -> None:
    for stack in read_assembly(file).stacks:
        # The oracle does not look up what a parameter or a mapping says.
        template = {name: section for name, section in stack.template.items() if name in ("Conditions", "Outputs")}
        for before, after in mutations([template | {"Resources": dict(stack.resources)}], 15):
            assert as_the_oracle_would_say(ours(before, after)) == oracle(before, after)
