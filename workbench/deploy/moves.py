"""What a move from stage to stage needs besides its templates: two passes, pointers that people set, a drain."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from blueprint.environment import GROUP_RULES, PREFIX_LIST_RULES, Environment
from blueprint.parts import Stage
from blueprint.stages import STAGES
from workbench.deploy import Refused
from workbench.deploy.gate import Outlook
from workbench.deploy.live import Live
from workbench.templates import Assembly, Impact, Resource, resources
from workbench.transition.rule import replica

HOST, VOLUME, FLEET = "AWS::EC2::Instance", "AWS::EC2::Volume", "AWS::AutoScaling::AutoScalingGroup"
DATABASE, QUEUE, DISTRIBUTION = "AWS::RDS::DBInstance", "AWS::SQS::Queue", "AWS::CloudFront::Distribution"
# SQS: counts hold "at least 1 minute after the producers stop sending messages" (GetQueueAttributes).
SETTLE_SECONDS = 90
RULE_OF_LISTENER = "AWS::ElasticLoadBalancingV2::ListenerRule"
# The type whose presence tells that a stage has a part.
PARTS = {
    "server": HOST,
    "database": DATABASE,
    "fleet": FLEET,
    "cache": "AWS::ElastiCache::ReplicationGroup",
    "cdn": DISTRIBUTION,
    "workers": QUEUE,
}


@dataclass(frozen=True, eq=False)
class Pass:
    """One deployment of all stacks, of one or two that a move takes."""

    environment: Environment
    title: str
    waits_for_edge: bool = False  # only once the distribution answers


def passes(environment: Environment, before: Assembly, at_stage: Callable[[int], Environment]) -> list[Pass]:
    """A single pass, or two where the load balancer's lock would otherwise turn visitors away."""
    last = Pass(environment, f"stage {environment.stage.number} ({environment.stage.name})")
    there = types(before)
    edge, locks = environment.stage.cdn is not None, environment.transition.lock_origin
    if edge and locks and there & {HOST, FLEET} and not is_locked(before):
        second = replace(last, title=f"{last.title}, load balancer locked", waits_for_edge=True)
        if DISTRIBUTION in there:
            return [second]
        first = unlocked(environment)
        return [Pass(first, f"{last.title}, load balancer still open to both"), second]
    if not edge and is_locked(before):
        now = stage_of(before)
        first = unlocked(at_stage(now.number))
        return [Pass(first, f"stage {now.number} ({now.name}), load balancer open to both"), last]
    return [last]


def unlocked(environment: Environment) -> Environment:
    """The environment whose load balancer answers visitors and the edge at once."""
    ports, room = (2 if environment.domain else 1), GROUP_RULES - PREFIX_LIST_RULES
    if environment.pins.edge_prefix_list and len(environment.open_to) * ports > room:
        raise Refused(
            f"open_to has {len(environment.open_to)} ranges; while the load balancer answers visitors and CloudFront, "
            f"its security group has room for {room // ports}; shorten it for this move"
        )
    return replace(environment, transition=environment.transition.model_copy(update={"lock_origin": False}))


def types(assembly: Assembly) -> set[str]:
    return {resource.type for resource in resources(assembly).values()}


def is_locked(assembly: Assembly) -> bool:
    """Whether the load balancer wants the key that only the edge sends."""
    return any(
        condition.get("Field") == "http-header"
        for rule in resources(assembly).values()
        if rule.type == RULE_OF_LISTENER
        for condition in rule.properties.get("Conditions", [])
    )


def stage_of(assembly: Assembly) -> Stage:
    """The stage whose parts are there."""
    there = types(assembly)
    parts = {part for part, kind in PARTS.items() if kind in there}
    for stage in STAGES:
        if parts == {part for part in PARTS if getattr(stage, part) is not None}:
            return stage
    raise Refused(
        f"What is deployed has {', '.join(sorted(parts)) or 'none of the parts'}, which is no stage: an earlier "
        "deployment was not finished; finish it with the stage that it was for"
    )


# --- What must have been done before ----------------------------------------------------------------------------------


def unprepared(environment: Environment, outlook: Outlook, live: Live, *, drained: bool) -> Iterator[str]:
    """Everything that people have to do first, and have not."""
    yield from _rows_left_behind(environment, outlook, live)
    yield from _files_left_behind(environment, outlook, live)
    yield from _work_left_behind(environment, outlook, live, drained=drained)


def settle(
    outlooks: Iterable[Outlook], say: Callable[[str], None], sleep: Callable[[float], None] = time.sleep
) -> None:
    """Where queues go: the time after which their counts hold, so that the look after it is the one that counts."""
    if any(_going(outlook, QUEUE) for outlook in outlooks):
        say(f"Queues go. SQS counts late, so {SETTLE_SECONDS} s pass before they are looked at once more ...")
        sleep(SETTLE_SECONDS)


def _going(outlook: Outlook, *kinds: str) -> list[Resource]:
    """What is there of these types and will not be, or not be the same; copies of databases apart."""
    gone = (Impact.KEEP, Impact.SNAPSHOT, Impact.DESTROY)
    old = resources(outlook.before)
    return [
        old[key]
        for key, change in outlook.changes.items()
        if change.type in kinds
        and (change.impact in gone or (change.impact is Impact.REPLACE and change.type != HOST))
        and not replica(old[key])
    ]


def _setting(environment: Environment, path: str, value: str) -> str:
    """The command that sets a pointer."""
    told = f"--name {path} --value {value} --type String --overwrite --region {environment.region}"
    return f"aws ssm put-parameter {told}"


def _rows_left_behind(environment: Environment, outlook: Outlook, live: Live) -> Iterator[str]:
    path = f"/{environment.name}/database/active"
    for wanted, kinds in (("managed", (HOST, VOLUME)), ("host", (DATABASE,))):
        going = _going(outlook, *kinds)
        if going and (said := live.parameter(path)) != wanted:
            what = ", ".join(f"{resource.stack}.{resource.id}" for resource in going)
            yield (
                f"{what} would go, and {path} says {said or 'nothing'} instead of {wanted}, so the rows may be there; "
                f"move them first, see docs/moving-between-stages.md, then: {_setting(environment, path, wanted)}"
            )


def _files_left_behind(environment: Environment, outlook: Outlook, live: Live) -> Iterator[str]:
    path = f"/{environment.name}/files/active"
    if _going(outlook, HOST, VOLUME) and live.parameter(path) != "bucket":
        yield (
            f"{path} does not say bucket, so uploads are on the data volume, which would go; copy them with "
            "`/opt/shop/boot.sh files` on the host, see docs/moving-between-stages.md, then: "
            + _setting(environment, path, "bucket")
        )


def _work_left_behind(environment: Environment, outlook: Outlook, live: Live, *, drained: bool) -> Iterator[str]:
    going = _going(outlook, QUEUE)
    if not going:
        return
    topic = f"/{environment.name}/events/topic"
    if live.parameter(topic) is not None:
        command = f"aws ssm delete-parameter --name {topic} --region {environment.region}"
        yield f"hosts still hand work over: {command}, then run `/opt/shop/boot.sh settings` on all of them"
    if not drained:
        yield "unsent events are in the outbox of the database; when it has none any more, say so with --drained"
    stacks = {stack.role: stack for stack in outlook.before.stacks}
    ids: Mapping[str, Mapping[str, str]] = {
        role: live.physical_ids(stacks[role].name, stacks[role].region) for role in {queue.stack for queue in going}
    }
    for queue in going:
        waiting = live.messages(ids[queue.stack].get(queue.id, "")) if ids[queue.stack].get(queue.id) else 0
        if waiting:
            called = f"{queue.stack}.{queue.id}"
            yield f"{called} has {waiting} messages; wait until it is empty, or look at what its dead letters say"
