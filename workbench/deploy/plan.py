"""A whole deployment before it begins: each pass with its templates, what it will do, and what speaks against it."""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp

from blueprint.environment import Environment
from blueprint.profiles import PROFILES
from workbench import usage
from workbench.compare import Comparison, compare, facts
from workbench.deploy import Refused, moves
from workbench.deploy.command_line import told
from workbench.deploy.gate import SAY_WHY, Outlook, foresee, keepers, lock_problems, loss_problems, risks
from workbench.deploy.guard import Caller, Clients
from workbench.deploy.live import CHANGED, LIFE_TAG, Deployed, Live, as_assembly, as_of_now, foreign, stacks, stuck
from workbench.deploy.preflight import Answer, Check
from workbench.synth import ROOT, synth
from workbench.templates import Assembly, read_assembly

# Names of environments are shorter than the first step of this path, so it is nobody's own.
RECORD = "/blueprint-deployments/{name}"
FOLDER = ROOT / "build" / "deploy"
FAILED_RUNS_STAY_SECONDS = 7 * 24 * 60 * 60
MOST_SIGNS = 5  # of those that something is no sandbox


@dataclass(frozen=True, eq=False)
class Step:
    """One pass, ready to go."""

    wanted: moves.Pass
    assembly: Path
    outlook: Outlook


@dataclass(frozen=True, eq=False)
class Plan:
    """All passes of one deployment."""

    environment: Environment
    found: tuple[Deployed, ...]
    before: Assembly
    steps: tuple[Step, ...]

    @property
    def after(self) -> Assembly:
        return self.steps[-1].outlook.after

    @property
    def outlook(self) -> Outlook:
        """All passes taken as one."""
        return foresee(self.before, self.after)

    @cached_property
    def comparison(self) -> Comparison:
        """All passes as a reviewer would be told of them."""
        moderate = usage.named("moderate")
        before, after = (
            facts(label, side, moderate, region=self.environment.region)
            for label, side in (("deployed", self.before), ("wanted", self.after))
        )
        return compare(before, after)

    @property
    def risks(self) -> list[str]:
        """What needs a reason besides losses; a first deployment puts nothing at risk that was there."""
        return risks(self.comparison) if self.before.stacks else []

    @property
    def is_done(self) -> bool:
        """Whether everything is deployed already, to the last tag."""
        wanted = [told(stack) for stack in self.after.stacks if stack.resources]
        return [told(stack) for stack in self.before.stacks] == wanted

    @property
    def keeps_data(self) -> bool:
        return PROFILES[self.environment.profile].keep_data


@contextmanager
def own_folder(name: str) -> Iterator[Path]:
    """A folder for one run, the only one of its environment here at a time; it stays a week if the run fails."""
    (FOLDER / name).mkdir(parents=True, exist_ok=True)
    with (FOLDER / name / "lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise Refused(
                f"{name} is being deployed or destroyed by another run on this machine (since {lock.read()}); "
                "nothing was changed"
            ) from None
        lock.truncate(0)
        lock.write(datetime.now(UTC).isoformat(timespec="seconds"))
        lock.flush()
        for old in (FOLDER / name).glob("run-*"):
            if time.time() - old.stat().st_mtime > FAILED_RUNS_STAY_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
        folder = Path(mkdtemp(prefix="run-", dir=FOLDER / name))
        yield folder
        shutil.rmtree(folder)


def plan(
    environment: Environment, live: Live, folder: Path, at_stage: Callable[[int], Environment], *, bundle: bool = True
) -> Plan:
    """What deploying an environment over what is there takes; nothing is changed by asking."""
    last = synth(environment, folder / "last-pass", bundle=bundle)
    after = as_of_now(read_assembly(last), live)
    pairs = tuple(stacks(after, live))
    found = tuple(deployed for _, deployed in pairs)
    there = before = as_assembly(pairs)
    problems = [*stuck(found), *foreign(there, environment.name, environment.region), *_no_sandbox(environment, before)]
    if problems:
        raise Refused("\n".join(problems))
    steps: list[Step] = []
    for wanted in moves.passes(environment, before, at_stage):
        assembly, then = last, after
        if wanted.environment != environment:
            assembly = synth(wanted.environment, folder / "first-pass", bundle=bundle)
            then = as_of_now(read_assembly(assembly), live)
        steps.append(Step(wanted, assembly, foresee(there, then)))
        # A stack that is empty in this pass is gone in the next.
        there = replace(then, stacks=tuple(stack for stack in then.stacks if stack.resources))
    return Plan(environment, found, before, tuple(steps))


def _no_sandbox(environment: Environment, there: Assembly) -> Iterator[str]:
    """Why an environment that keeps nothing may not take over what is deployed: all of it would end with its time."""
    protection = PROFILES[environment.profile]
    if protection.keep_data:
        return
    signs = list(keepers(there))
    for stack in there.stacks:
        if protection.time_to_live_days is not None and LIFE_TAG not in stack.tags:
            signs.append(f"{stack.name} has no tag {LIFE_TAG}, so it was not made to end")
    if signs:
        more = f", and {len(signs) - MOST_SIGNS} more signs" if len(signs) > MOST_SIGNS else ""
        yield (
            f"{environment.name}: what is deployed is no sandbox, and the profile {environment.profile} would delete "
            f"it without asking: {', '.join(signs[:MOST_SIGNS])}{more}. No reason helps; put the profile or the name "
            "right, or destroy what is there first"
        )


def objections(plan: Plan, live: Live, checks: list[Check], *, reason: str | None, drained: bool) -> list[str]:
    """Everything because of which the deployment does not begin."""
    found = [f"{check.name}: {check.text}" for check in checks if _stops(check, reason)]
    for step in plan.steps:
        found += lock_problems(step.outlook)
        found += loss_problems(step.outlook, reason)
    if not reason:
        found += [f"{risk.rstrip('.')}; {SAY_WHY}" for risk in plan.risks]
    return [*dict.fromkeys(found), *_unprepared(plan, live, drained=drained)]


def changed_since(plan: Plan, live: Live, *, drained: bool) -> list[str]:
    """What stops it after all: somebody has changed a stack, a pointer or a queue while it was being agreed to."""
    before = {stack.name: stack for stack in plan.found}
    now = {stack.name: stack for _, stack in stacks(plan.after, live)}
    told = (f"{name} {CHANGED}" for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name))
    return [*told, *_unprepared(plan, live, drained=drained)]


def _unprepared(plan: Plan, live: Live, *, drained: bool) -> list[str]:
    found = (moves.unprepared(plan.environment, step.outlook, live, drained=drained) for step in plan.steps)
    return list(dict.fromkeys(problem for problems in found for problem in problems))


def _stops(check: Check, reason: str | None) -> bool:
    return check.answer is Answer.REFUSES or (check.answer is Answer.EXPIRED and not reason)


@contextmanager
def recorded(
    plan: Plan,
    caller: Caller,
    aws: Clients,
    folder: Path,
    *,
    reason: str | None,
    drained: bool,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[None]:
    """Writes down who deploys what and why, and then how it ended; what needed a reason in the account too."""

    def write(state: str, **more: object) -> None:
        told = {"run": folder.name, "at": clock().isoformat(timespec="seconds"), "state": state, **more}
        with (folder.parent / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(told) + "\n")

    losses = {f"{loss.stack}.{loss.id}" for step in plan.steps for loss in step.outlook.losses}
    told = {
        "by": caller.arn,
        "stage": plan.environment.stage.number,
        "passes": [step.wanted.title for step in plan.steps],
        "reason": reason,
        "drained": drained,
    }
    if reason or drained:  # without what is lost: a parameter has 4 KiB
        began = {"began": clock().isoformat(timespec="seconds"), **told}
        path = RECORD.format(name=plan.environment.name)
        aws.client("ssm").put_parameter(
            Name=path, Value=json.dumps(began, ensure_ascii=False), Type="String", Overwrite=True
        )
    write("began", **told, losses=sorted(losses), risks=plan.risks)
    state = "failed"
    try:
        yield
        state = "deployed"
    finally:
        write(state)
