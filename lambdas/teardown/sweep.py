"""Deletes an environment whose time is over: its stacks, youngest first, and then whatever they left behind.

It touches only what carries the environment's tag and a time to live that has passed; parameters and the log groups of
databases, which carry no tag, are known by their names. It begins when the time of all stacks is over and none of them
is protected or keeps data. Each pass does what it can and reports the rest, so it can be repeated at any time. On a
schedule handler.py calls it; from a laptop: python lambdas/teardown/sweep.py --help
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from removers import EMPTY, KINDS, LOCKS, Aws, Gone, NotYet, Refused, goes_by_itself, is_gone, read_arn

ENVIRONMENT_TAG, REGION_TAG, LIFE_TAG = "shop:environment", "shop:region", "shop:time-to-live"
LIFE = re.compile(r"(\d+) days? from the creation of the stack")
STACK_ID, STACK_NAME = "aws:cloudformation:stack-id", "aws:cloudformation:stack-name"
# Youngest first: whoever reads goes before what it reads. The last one holds the teardown itself.
ROLES = ("signals", "workers", "edge", "web", "data")
LAST = "network"
UNDER_REVIEW = "REVIEW_IN_PROGRESS"
SCHEDULE = "AWS::Scheduler::Schedule"
# Once in the last day somebody hears of it: longer than from pass to pass, which are never quite on time.
LAST_DAY, FIRST_OF_IT = timedelta(days=1), timedelta(hours=3, minutes=30)
KEEPS = re.compile(r"DeletionPolicy\W+(Retain\w*|Snapshot)")
# What CloudFront takes from one region only; a stack of its own where that is not the home region.
GLOBAL, GLOBAL_REGION = "global", "us-east-1"
PATIENCE_SECONDS = 3 * 60 * 60  # from a laptop; a distribution or a cluster takes up to half an hour


@dataclass(frozen=True)
class Line:
    """One thing, what is to say about it, and how to remove it by hand."""

    what: str
    why: str = ""
    by_hand: str = ""


@dataclass
class Report:
    """What a pass did, and what it could not do."""

    environment: str
    region: str
    dry_run: bool
    removed: list[Line] = field(default_factory=list)  # would be, in a dry run
    waiting: list[Line] = field(default_factory=list)  # for a later pass: not expired, or on its way
    refused: list[Line] = field(default_factory=list)  # needs somebody
    unsure: list[Line] = field(default_factory=list)  # AWS lists it, but it went with its stack, or has one of its own
    last_day: bool = False  # has begun, and nobody has heard of it

    def text(self) -> str:
        """For people, in a terminal or a mail."""
        done = "Would remove" if self.dry_run else "Removed"
        said = ((done, self.removed), ("Waits", self.waiting), ("Refused", self.refused), ("Perhaps left", self.unsure))
        blocks = [f"Environment {self.environment} in {self.region}"]
        for title, lines in said:
            for line in lines:
                blocks.append(f"{title}: {line.what}{': ' if line.why else ''}{line.why}")
                if line.by_hand:
                    blocks.append(f"    by hand: {line.by_hand}")
        return "\n".join(blocks if len(blocks) > 1 else [*blocks, "Nothing to remove, and nothing left."]) + "\n"


@dataclass(frozen=True)
class Stack:
    """A stack that exists, with its tags."""

    name: str
    id: str
    status: str
    tags: Mapping[str, str]
    created: datetime
    protected: bool
    aws: Aws


class Teardown:
    """One pass over one environment. `everything` makes its time to be over now; nothing else is ever touched."""

    def __init__(
        self,
        environment: str,
        region: str,
        *,
        time_left: Callable[[], float],
        at: datetime | None = None,
        everything: bool = False,
        endless: bool = False,
        dry_run: bool = False,
        pause: float = 10.0,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._name, self._everything, self._dry_run, self._say = environment, everything, dry_run, say
        self._endless = endless and everything
        self._at = at or datetime.now(UTC)
        self._home = Aws(region, time_left, pause)
        self._places = [self._home]
        if region != GLOBAL_REGION:
            self._places.append(Aws(GLOBAL_REGION, time_left, pause))
        self._owners: dict[str, tuple[bool, datetime | None]] = {}
        self._end = datetime.min.replace(tzinfo=UTC)
        self.report = Report(environment, region, dry_run)

    def run(self, *, stay_for_last: bool = True) -> Report:
        """Do what can be done now. Not to stay is for the teardown that is in the last stack itself."""
        wanted = [(role, self._home) for role in ROLES]
        wanted += [(GLOBAL, place) for place in self._places[1:]] + [(LAST, self._home)]
        self._stacks = {f"{self._name}-{role}": place for role, place in wanted}
        found = [stack for name, place in self._stacks.items() if (stack := self._find(name, place)) is not None]
        stacks = [stack for stack in found if stack.status != UNDER_REVIEW]
        self.report.unsure += [
            Line(f"stack {stack.name}", "holds nothing but a change set that nobody executed", self._by_hand(stack))
            for stack in found
            if stack.status == UNDER_REVIEW
        ]
        last = next((stack for stack in stacks if stack.name == f"{self._name}-{LAST}"), None)
        # Measured from the youngest, what knows no stack is never taken too early.
        self._born = max((stack.created for stack in stacks), default=None)
        # Nothing's time begins before somebody gave it an end: stacks may be much older than that.
        schedules = [since for type_, _, since in self._resources(last) if type_ == SCHEDULE] if last else []
        self._set_up = max(schedules, default=None)
        # All or none: what keeps one stack keeps those that it works with.
        over = [self._is_over(stack) for stack in stacks if self._is_ours(stack)]
        if not all(over):
            self.report.last_day = LAST_DAY - FIRST_OF_IT < self._end - self._at <= LAST_DAY
            return self.report
        self.report.refused += [line for stack in stacks for line in self._objections(stack)]
        if self.report.refused:
            return self.report
        self._gone = all(self._delete(stack, stay=True) for stack in stacks if stack is not last)
        self._sweep_tagged()
        if self._gone:
            self._sweep_named(stacks if self._dry_run else [last] if last is not None else [])
            if last is not None and not self.report.refused and not self.report.waiting:
                self._delete(last, stay=stay_for_last)
        return self.report

    # --- Stacks ---

    def _find(self, name: str, aws: Aws) -> Stack | None:
        try:
            [found] = aws("cloudformation").describe_stacks(StackName=name)["Stacks"]
        except ClientError as problem:
            if "does not exist" in str(problem):
                return None
            raise
        return Stack(
            found["StackName"],
            found["StackId"],
            found["StackStatus"],
            {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])},
            found["CreationTime"],
            bool(found.get("EnableTerminationProtection")),
            aws,
        )

    def _is_ours(self, stack: Stack) -> bool:
        return stack.tags.get(ENVIRONMENT_TAG) == self._name and stack.tags.get(REGION_TAG) == self._home.region

    def _is_over(self, stack: Stack) -> bool:
        """Whether the time of one of our stacks has passed; says so if not."""
        return self._has_passed(f"stack {stack.name}", stack.tags, stack.created)

    def _has_passed(self, what: str, tags: Mapping[str, str], born: datetime | None) -> bool:
        life = LIFE.fullmatch(tags.get(LIFE_TAG, ""))
        if life is None:
            if not self._endless:
                self._wait(what, f"carries no {LIFE_TAG} that says for how many days, so it is not touched")
            return self._endless
        if self._everything:
            return True
        if born is None or self._set_up is None:
            self._wait(what, f"of unknown age, since no stack {self._name}-{LAST} schedules its end; --now removes it")
            return False
        end = max(born, self._set_up) + timedelta(days=int(life[1]))
        self._end = max(self._end, end)
        if end > self._at:
            self._wait(what, f"lives until {end:%Y-%m-%d %H:%M} UTC")
        return end <= self._at

    def _delete(self, stack: Stack, *, stay: bool) -> bool:
        """Make the way free and delete the stack; True if it is gone."""
        what, by_hand = f"stack {stack.name}", self._by_hand(stack)
        # Deleting the others took its time, and somebody may have decided to keep this one.
        now = self._find(stack.id, stack.aws)
        if now is None or now.status == "DELETE_COMPLETE":
            return True
        if not self._is_over(now):
            return False
        if objections := list(self._objections(now)):
            self.report.refused += objections
            return False
        if now.status.endswith("_IN_PROGRESS"):
            self._wait(what, f"is {now.status}")
            return False
        if not self._make_way(stack):
            return False
        if self._dry_run:
            self.report.removed.append(Line(what))
            return True
        self._say(f"Deleting {what}")
        if now.status == "DELETE_FAILED" and not stay:
            # Nobody stays to see how it ends this time, so the last time is what there is to tell.
            self.report.refused.append(Line(what, self._reasons(stack), by_hand))
        try:
            stack.aws("cloudformation").delete_stack(StackName=stack.id)
        except ClientError as problem:
            self.report.refused.append(Line(what, str(problem), by_hand))
            return False
        if not stay:
            self._wait(what, "its deletion has been started; what deletes it goes with it")
            return False
        status = now.status

        def ended() -> bool:
            nonlocal status
            found = self._find(stack.id, stack.aws)
            status = found.status if found else "DELETE_COMPLETE"
            return status in ("DELETE_COMPLETE", "DELETE_FAILED")

        if not stack.aws.wait(ended):
            self._wait(what, "is being deleted")
        elif status == "DELETE_FAILED":
            self.report.refused.append(Line(what, self._reasons(stack), by_hand))
        else:
            self.report.removed.append(Line(what))
        return status == "DELETE_COMPLETE"

    @staticmethod
    def _by_hand(stack: Stack) -> str:
        return f"aws cloudformation delete-stack --stack-name {stack.name} --region {stack.aws.region}"

    def _objections(self, stack: Stack) -> Iterator[Line]:
        """What says that the stack is not to be deleted; only people take that off."""
        what, region = f"stack {stack.name}", f" --region {stack.aws.region}"
        if not self._is_ours(stack):
            ours = f"{ENVIRONMENT_TAG}={self._name} {REGION_TAG}={self._home.region}"
            yield Line(what, f"is not tagged as ours, so it is not touched: {ours}", "ask whose it is")
            return
        if stack.protected:
            off = "aws cloudformation update-termination-protection --no-enable-termination-protection --stack-name "
            yield Line(what, "is protected against deletion", off + stack.name + region)
        template = stack.aws("cloudformation").get_template(StackName=stack.id)["TemplateBody"]
        if kept := KEEPS.search(template if isinstance(template, str) else json.dumps(template)):
            yield Line(what, f"its template keeps data: DeletionPolicy {kept[1]}", self._by_hand(stack))
        for type_, id_, _ in self._resources(stack):
            try:
                if type_ in LOCKS and LOCKS[type_].is_on(stack.aws, id_):
                    by_hand = LOCKS[type_].by_hand.format(id=id_) + region
                    yield Line(f"{type_} {id_} in {what}", "is protected against deletion", by_hand)
            except ClientError as problem:
                if not is_gone(problem):
                    yield Line(f"{type_} {id_} in {what}", str(problem), "see whether it is protected, and delete it")

    def _make_way(self, stack: Stack) -> bool:
        """Empty what must be empty; True if nothing stands in the way."""
        free = True
        for type_, id_, _ in self._resources(stack):
            if type_ not in EMPTY or self._dry_run:
                continue
            what = f"{type_} {id_} in stack {stack.name}"
            try:
                EMPTY[type_](stack.aws, id_)
            except NotYet as reason:
                self._wait(what, str(reason))
                free = False
            except (ClientError, Refused) as problem:
                if not (isinstance(problem, ClientError) and is_gone(problem)):
                    self.report.refused.append(Line(what, str(problem), "empty it"))
                    free = False
        return free

    def _resources(self, stack: Stack) -> Iterator[tuple[str, str, datetime]]:
        """Type and id of what is there of a stack, and since when it is as it is."""
        pages = stack.aws("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack.id)
        for page in pages:
            for one in page["StackResourceSummaries"]:
                if one.get("PhysicalResourceId") and one["ResourceStatus"] != "DELETE_COMPLETE":
                    yield one["ResourceType"], one["PhysicalResourceId"], one["LastUpdatedTimestamp"]

    def _reasons(self, stack: Stack) -> str:
        """Why the last deletion failed, in CloudFormation's words."""
        found: list[str] = []
        for event in stack.aws("cloudformation").describe_stack_events(StackName=stack.id)["StackEvents"]:
            if event.get("ResourceType") == "AWS::CloudFormation::Stack":
                if event["ResourceStatus"] == "DELETE_IN_PROGRESS":
                    break
            elif event["ResourceStatus"] == "DELETE_FAILED":
                found.append(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}")
        return "; ".join(sorted(found)) or "CloudFormation gives no reason"

    # --- What is left ---

    def _sweep_tagged(self) -> None:
        found: list[tuple[str, str, Mapping[str, str], Aws]] = []
        for place in self._places:
            pages = place("resourcegroupstaggingapi").get_paginator("get_resources")
            for page in pages.paginate(TagFilters=[{"Key": ENVIRONMENT_TAG, "Values": [self._name]}]):
                for one in page["ResourceTagMappingList"]:
                    arn = one["ResourceARN"]
                    tags: dict[str, str] = {tag["Key"]: tag["Value"] for tag in one["Tags"]}
                    # Away from home somebody else's environment may have our name: only what our stack there made.
                    if place is self._home or tags.get(STACK_NAME) == f"{self._name}-{GLOBAL}":
                        found.append((*read_arn(arn), {**tags, "arn": arn}, place))
        order = {kind: number for number, kind in enumerate(KINDS)}
        for kind, name, carried, place in sorted(found, key=lambda one: (order.get(one[0], len(order)), one[1])):
            if LIFE_TAG in carried and not goes_by_itself(kind, name, carried):
                self._leftover(kind, name, carried, place)

    def _leftover(self, kind: str, name: str, tags: Mapping[str, str], aws: Aws) -> None:
        """Something that carries our tags: gone with its stack, or what a stack has left behind."""
        if kind == "cloudformation:stack" and (
            name.split("/")[0] in self._stacks or not self._owner(tags["arn"], aws)[0]
        ):
            return  # seen to above, or gone
        stack = tags.get(STACK_ID)
        alive, born = self._owner(stack, aws) if stack else (False, None)
        if stack and alive and stack.split("/")[1] not in self._stacks:
            self.report.unsure.append(Line(tags["arn"], f"left alone, since it belongs to {stack}"))
        if alive or not self._has_passed(f"{kind} {name}", tags, born or self._born):
            return
        if kind in KINDS:
            self._remove(kind, name, aws)
        elif stack:
            self.report.unsure.append(Line(tags["arn"], "went with its stack; AWS lists it for an hour or so yet"))
        else:
            self._refuse(tags["arn"], "a kind that is not known here", "remove it in the console")

    def _owner(self, stack_id: str, aws: Aws) -> tuple[bool, datetime | None]:
        """Whether the stack that made something still exists, and when it was created, if AWS still knows."""
        if stack_id not in self._owners:
            try:
                stack = self._find(stack_id, aws)
                gone = stack is None or stack.status == "DELETE_COMPLETE"
            except ClientError as problem:
                if "AccessDenied" not in problem.response["Error"]["Code"]:
                    raise
                stack, gone = None, False  # by its name it is none of ours
            self._owners[stack_id] = not gone, stack.created if stack else None
        return self._owners[stack_id]

    def _sweep_named(self, stacks: list[Stack]) -> None:
        """What carries no tag, but our name: parameters that hosts wrote, and logs that RDS made."""
        if not stacks:
            return  # nothing says how old it is, nor that it is ours
        owned = {id_ for stack in stacks for _, id_, _ in self._resources(stack)}
        pages = self._home("ssm").get_paginator("get_parameters_by_path")
        for page in pages.paginate(Path=f"/{self._name}", Recursive=True):
            for parameter in page["Parameters"]:
                if parameter["Name"] not in owned:
                    self._remove("ssm:parameter", parameter["Name"], self._home)
        groups = self._home("logs").get_paginator("describe_log_groups")
        for role in ("primary", "replica"):
            prefix = f"/aws/rds/instance/{self._name}-data-database{role}"
            for page in groups.paginate(logGroupNamePrefix=prefix):
                for group in page["logGroups"]:
                    self._remove("logs:log-group", group["logGroupName"], self._home)

    def _remove(self, kind: str, name: str, aws: Aws) -> None:
        what = f"{kind} {name}"
        by_hand = f"{KINDS[kind].by_hand.format(name=name)} --region {aws.region}"
        try:
            if not self._dry_run:
                KINDS[kind].remove(aws, name)
                self._say(f"Deleted {what}")
            self.report.removed.append(Line(what))
        except Gone:
            return
        except NotYet as reason:
            self._wait(what, str(reason))
        except (ClientError, Refused) as problem:
            if not (isinstance(problem, ClientError) and is_gone(problem)):
                self._refuse(what, str(problem), by_hand)

    def _refuse(self, what: str, why: str, by_hand: str) -> None:
        """A leftover that will not go. While stacks stand they may still use it, so nobody is called for it."""
        if self._gone:
            self.report.refused.append(Line(what, why, by_hand))
        else:
            self._wait(what, why)

    def _wait(self, what: str, why: str) -> None:
        self.report.waiting.append(Line(what, why))


def main(arguments: list[str] | None = None) -> int:
    """The command line: 0 nothing is left to do, 1 something waits, refuses or is elsewhere, 2 no answer."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--account", required=True, help="its account; nothing is done in another one")
    parser.add_argument("--environment", required=True, metavar="NAME", help="name of the environment")
    parser.add_argument("--region", required=True, help="its home region")
    parser.add_argument("--now", action="store_true", help="do not wait for the end of its time to live")
    parser.add_argument("--endless", action="store_true", help="with --now: also stacks without a time to live")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    options = parser.parse_args(arguments)
    deadline = time.monotonic() + PATIENCE_SECONDS
    teardown = Teardown(
        options.environment,
        options.region,
        time_left=lambda: deadline - time.monotonic(),
        everything=options.now,
        endless=options.endless,
        dry_run=options.dry_run,
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    try:
        here = boto3.client("sts", region_name=options.region).get_caller_identity()["Account"]
        if here != options.account:
            print(f"These credentials are of account {here}, not {options.account}; nothing was done", file=sys.stderr)
            return 1
        report = teardown.run()
    except (BotoCoreError, ClientError) as problem:
        print(f"AWS does not answer as it should: {problem}", file=sys.stderr)
        return 2
    print(json.dumps(asdict(report), indent=2) if options.json else report.text(), end="\n" if options.json else "")
    return 1 if report.waiting or report.refused else 0


if __name__ == "__main__":
    sys.exit(main())
