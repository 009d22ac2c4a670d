"""Rules about background work: nothing is lost, nothing is done by helpers that nobody asked for."""

from __future__ import annotations

from collections.abc import Iterator

from blueprint.parts import Stage
from workbench.check.rule import Verdicts, Wanted, rule
from workbench.templates.reading import Resource, System, dig, items, number
from workbench.templates.rights import statements_of

VISIBILITY = 6
TWO_WEEKS = 14 * 24 * 3600
FOUR_DAYS = 4 * 24 * 3600
# Logical ids of functions that CDK adds on its own, as far as they do not come as custom resources.
HELPERS = ("LogRetention", "BucketNotificationsHandler", "CustomVpcRestrict", "CustomS3AutoDelete", "AWS679f53fac")
TRANSFORMED = ("AWS::CloudFormation::Stack", "AWS::Serverless::", "AWS::CloudFormation::Macro")


def has_workers(stage: Stage) -> bool:
    return stage.workers is not None


@rule(
    "TR10",
    "A job is neither lost nor done by too many at once",
    why="Too short a timeout does a job twice, no dead-letter queue drops it, no bound drowns what stands behind it.",
    fix="Visibility 6 x the function's timeout, ReportBatchItemFailures, a dead-letter queue, MaximumConcurrency.",
    source="AWS Lambda with SQS, best practices",
    expected=has_workers,
)
def jobs(system: System, wanted: Wanted) -> Verdicts:
    for mapping in system.of_type("AWS::Lambda::EventSourceMapping"):
        queue = system.target(mapping.get("EventSourceArn"), "AWS::SQS::Queue")
        function = system.target(mapping.get("FunctionName"), "AWS::Lambda::Function")
        if function is None or queue is None:
            yield mapping, "joins a queue and a function that are not both ours"
            continue
        yield from ((looked_at, None) for looked_at in (mapping, queue, function))
        for problem in _mapping_problems(mapping, queue, function, wanted):
            yield mapping, problem
        for problem in _queue_problems(system, queue):
            yield queue, problem
        for problem in _place_problems(system, function):
            yield function, problem
    spec = wanted.stage.workers
    mappings = system.of_type("AWS::Lambda::EventSourceMapping")
    if spec is not None and mappings and len(mappings) != len(spec.jobs):
        yield mappings[0], f"is one of {len(mappings)}, its stage has {len(spec.jobs)} jobs"


def _mapping_problems(mapping: Resource, queue: Resource, function: Resource, wanted: Wanted) -> Iterator[str]:
    least = VISIBILITY * number(function.get("Timeout"), 3) + number(mapping.get("MaximumBatchingWindowInSeconds"))
    visible = number(queue.get("VisibilityTimeout"), 30)
    if visible < least:
        yield f"does jobs twice: visible again after {visible} s, its function may need {least} s"
    if "ReportBatchItemFailures" not in items(mapping.get("FunctionResponseTypes")):
        yield "repeats a whole batch when one job fails"
    most, reserved = (
        number(mapping.get("ScalingConfig.MaximumConcurrency")),
        function.get("ReservedConcurrentExecutions"),
    )
    if not most:
        yield "runs as many at once as Lambda allows"
    elif (wanted.protection.reserve_concurrency or reserved is not None) and number(reserved) < most:
        yield f"starts up to {most}, the function may run {reserved}: the rest goes to the dead letters"


def _queue_problems(system: System, queue: Resource) -> Iterator[str]:
    if "MaximumMessageSize" not in queue.properties:
        yield "leaves its largest message to AWS, which has changed it before"
    dead = system.target(queue.get("RedrivePolicy.deadLetterTargetArn"), "AWS::SQS::Queue")
    if dead is None:
        yield "has no dead-letter queue"
        return
    if number(queue.get("RedrivePolicy.maxReceiveCount")) < 2:
        yield "gives a job no second try"
    kept, dead_kept = (number(each.get("MessageRetentionPeriod"), FOUR_DAYS) for each in (queue, dead))
    if dead_kept < TWO_WEEKS or dead_kept <= kept:
        yield f"keeps dead letters {dead_kept} s, jobs {kept} s: they go before anybody looks"


def _place_problems(system: System, function: Resource) -> Iterator[str]:
    role = system.target(function.get("Role"), "AWS::IAM::Role")
    actions = {
        action
        for statement in (statements_of(system, role) if role else ())
        for action in items(statement.get("Action"))
    }
    inside = "VpcConfig" in function.properties
    if inside and "rds-db:connect" not in actions:
        yield "is in the VPC although it does not need the database"
    if not inside and "rds-db:connect" in actions:
        yield "needs the database, but is outside the VPC"


@rule(
    "TR12",
    "No helper functions that nobody wrote",
    why="CDK's own Lambdas bring wide rights, runtimes that age, and what no gate can see.",
    fix="Log groups, notifications and rotation as plain resources; restrict_default_security_group off.",
    source="seen: they caused all ten checkov failures of a prototype",
)
def helpers(system: System, _: Wanted) -> Verdicts:
    for resource in system.resources:
        custom = resource.type.startswith("Custom::") or resource.type == "AWS::CloudFormation::CustomResource"
        hidden = resource.type.startswith(TRANSFORMED)
        helper = resource.type == "AWS::Lambda::Function" and resource.id.startswith(HELPERS)
        yield resource, "is a helper that CDK added" if custom or hidden or helper else None
    for stack in system.stacks:
        first = next((resource for resource in system.resources if resource.stack is stack), None)
        if first is not None and dig(stack.template, "Transform") is not None:
            yield first, "its stack is transformed into something that no gate sees"


RULES = (jobs, helpers)
