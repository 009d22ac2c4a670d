"""The rules about deploying: shared values, the address plan, engines, the fleet, repeatability, limits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from workbench.templates import Impact, Reference, Resource, StackTemplate, locks
from workbench.templates.locks import shared_values
from workbench.templates.replacement import differences
from workbench.transition.rule import Direction, Move, Rule, Verdict, rule, seen

FLEET = "AWS::AutoScaling::AutoScalingGroup"
TARGETS = "AWS::ElasticLoadBalancingV2::TargetGroup"
DATABASES = ("AWS::RDS::DBInstance", "AWS::RDS::DBCluster", "AWS::ElastiCache::ReplicationGroup")
# The address plan: what must be the same at every stage, to the letter.
PLAN = {
    "AWS::EC2::VPC": ("CidrBlock",),
    "AWS::EC2::Subnet": ("CidrBlock", "AvailabilityZone"),
    "AWS::EC2::SecurityGroup": ("GroupName", "GroupDescription"),
}
# What a database is called on to do when its engine moves on; any other change beside it is one too many.
UPGRADE = {"EngineVersion", "AllowMajorVersionUpgrade", "DBParameterGroupName", "CacheParameterGroupName"}
FOUNDATION = "network"
MAX_RESOURCES = 450  # CloudFormation stops at 500
MAX_BYTES = 900 * 1024  # CloudFormation stops at 1 MiB


@rule(
    "EV06",
    "No value that crosses stacks is taken away or changed under its reader",
    why="CloudFormation refuses it half-way: some stacks are new, the others are old and cannot follow.",
    fix="Export what is shared from stage 1 on; publish what changes as a parameter that is read at run time",
)
def values_hold(move: Move) -> Iterator[Verdict]:
    for side in (move.before, move.after):
        for stack, output in shared_values(side):
            yield Verdict(stack, output, "output")
    for lock in locks(move.before, move.after, move.order):
        others = f" (read by {', '.join(lock.stacks)})" if lock.stacks else ""
        yield Verdict(lock.deploying, lock.output, "output", f"{lock.kind.value}{others}", "", lock.before, lock.after)
    old, new = move.before.stack(FOUNDATION), move.after.stack(FOUNDATION)
    if old is not None and new is not None:
        for name in sorted({*old.outputs, *new.outputs}):
            before, after = (_value(side.outputs.get(name)) for side in (old, new))
            differs = "" if before == after else "is not the same at both stages"
            yield Verdict(FOUNDATION, name, "output", differs, "Value", before, after)


def _value(output: Mapping[str, Any] | None) -> Any:
    return None if output is None else (output.get("Value"), output.get("Export"))


@rule(
    "EV07",
    "The address plan and the security groups are the same at every stage",
    why="All of it is create-only: another range, zone, name or description moves what lives there.",
    fix="Let stage 1 own the whole plan, with explicit masks, zones, names and descriptions",
)
def plan_holds(move: Move) -> Iterator[Verdict]:
    both = {
        key: (move.old.get(key), move.new.get(key))
        for key in {*move.old, *move.new}
        if (move.new.get(key) or move.old[key]).type in PLAN
    }
    for key in sorted(both):
        old, new = both[key]
        if old is None or new is None:
            there = new or old
            assert there is not None
            yield seen(there, "is only at one of the two stages")
            continue
        yield seen(new)
        for name in PLAN[new.type]:
            before, after = old.properties.get(name), new.properties.get(name)
            if before != after:
                yield seen(new, "is not the same at both stages", property=name, before=before, after=after)


@rule(
    "EV09",
    "A database engine or its parameter family moves on alone",
    why="When two things change and the database does not come back, nobody knows which one it was.",
    fix="Upgrade the engine in a move of its own, before or after this one",
    expected=lambda move: any(old.type in DATABASES for old, _ in move.shared),
)
def upgrades_alone(move: Move) -> Iterator[Verdict]:
    upgraded: list[tuple[Resource, Resource]] = []
    others: list[str] = []
    for old, new in move.shared:
        if old.type not in DATABASES or new.type != old.type:
            continue
        yield seen(new)
        if _major(old) != _major(new) or _family(move.old, old) != _family(move.new, new):
            upgraded.append((old, new))
        changed = differences(dict(old.properties), dict(new.properties))
        others += [f"{new.id}.{path[0]}" for path, _, _ in changed if path[0] not in UPGRADE]
    others += [key[1] for key in sorted(move.old.keys() ^ move.new.keys()) if _either(move, key).type in DATABASES]
    for old, new in upgraded if others else ():
        yield seen(
            new,
            f"changes its engine or parameter family together with {', '.join(sorted(set(others)))}",
            property="EngineVersion",
            before=(_major(old), _family(move.old, old)),
            after=(_major(new), _family(move.new, new)),
        )


def _either(move: Move, key: tuple[str, str]) -> Resource:
    return move.new.get(key) or move.old[key]


def _major(database: Resource) -> str:
    return f"{database.properties.get('Engine')} {str(database.properties.get('EngineVersion', '')).partition('.')[0]}"


def _family(side: Mapping[tuple[str, str], Resource], database: Resource) -> Any:
    for name in ("DBParameterGroupName", "CacheParameterGroupName"):
        group = database.properties.get(name)
        if isinstance(group, Reference) and group.key in side:
            its = side[group.key].properties
            return its.get("Family", its.get("CacheParameterGroupFamily"))
        if group is not None:
            return group
    return None


def _has_fleet(move: Move) -> bool:
    return any(resource.type == FLEET for side in (move.old, move.new) for resource in side.values())


@rule(
    "EV11",
    "The fleet rolls without losing a healthy host, and old targets go after the new ones serve",
    why="Below 100 % the hosts that are left carry all; a group of targets removed at once takes its requests along.",
    fix="Instance refresh with MinHealthyPercentage 100; add the new target group first, remove the old one later",
    expected=_has_fleet,
)
def fleet_rolls(move: Move) -> Iterator[Verdict]:
    for new in move.new.values():
        if new.type == FLEET:
            refresh = (new.body.get("UpdatePolicy") or {}).get("AutoScalingInstanceRefresh") or {}
            found = (refresh.get("Preferences") or {}).get("MinHealthyPercentage")
            wrong = "" if str(found) == "100" else "does not refresh with all hosts healthy"
            yield seen(new, wrong, property="UpdatePolicy", before=found, after=100)
    serving = any(old.type == FLEET for old, _ in move.shared)
    for old in move.old.values():
        if old.type == TARGETS:
            gone = move.impact(old) in (Impact.DESTROY, Impact.REPLACE, Impact.MAY_REPLACE)
            yield seen(old, "goes in the step that brings its successor" if serving and gone else "")


@rule(
    "EV12",
    "The same stage is the same to the last value, wherever one came from",
    why="A template that depends on its past cannot be reviewed, and a second deployment would not be empty.",
    fix="Look for a clock, a random value, an unsorted set, or a switch of a move that is still on",
    directions=frozenset({Direction.STAY}),
)
def same_again(move: Move) -> Iterator[Verdict]:
    for role in dict.fromkeys((*move.before.order, *move.after.order)):
        old, new = (_parts(side.stack(role)) for side in (move.before, move.after))
        for part in sorted({*old, *new}):
            section, name = part
            before, after = old.get(part), new.get(part)
            yield Verdict(role, name, section, "" if before == after else "differs", "", before, after)


def _parts(stack: StackTemplate | None) -> dict[tuple[str, str], Any]:
    """Every entry of every section of a template."""
    template = stack.template if stack is not None else {}
    return {
        (section, name): value
        for section, content in template.items()
        for name, value in (content.items() if isinstance(content, Mapping) else [("", content)])
    }


@rule(
    "EV15",
    "Every stack stays clear of CloudFormation's limits",
    why="A stack of 500 resources or a template of 1 MiB is refused, on the day when it has to change.",
    fix="Move a unit with a life of its own into another stack",
    directions=frozenset(Direction),
)
def within_limits(move: Move) -> Iterator[Verdict]:
    for stack in move.after.stacks:
        count, size = len(stack.resources), len(json.dumps(stack.template, indent=1).encode())
        yield Verdict(stack.role, "", "AWS::CloudFormation::Stack")
        if count >= MAX_RESOURCES:
            yield Verdict(stack.role, "", "AWS::CloudFormation::Stack", f"has {count} resources", "Resources")
        if size >= MAX_BYTES:
            yield Verdict(stack.role, "", "AWS::CloudFormation::Stack", f"has a template of {size} bytes", "template")


RULES: tuple[Rule, ...] = (values_hold, plan_holds, upgrades_alone, fleet_rolls, same_again, within_limits)
