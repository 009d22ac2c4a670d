"""Running the pinned CDK command line on an assembly, one stack after the other, its output passed on as it comes."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path

from workbench.deploy import Refused
from workbench.deploy.gate import Outlook, refuse_unforeseen
from workbench.deploy.live import CHANGED, Deployed, Live
from workbench.synth import ROOT
from workbench.templates import StackTemplate

Run = Callable[[Sequence[str]], None]
"""Runs `cdk` with these arguments, or raises Refused."""

# Somebody has agreed already, to more than the command line could show.
AGREED = ("--require-approval", "never")
ALONE = ("--exclusively", *AGREED)


def cdk(assembly: Path) -> Run:
    """The command line for one assembly, in a folder without settings, so that only what we say counts."""
    program, folder = ROOT / ".venv" / "bin" / "cdk", assembly.resolve()

    def run(arguments: Sequence[str]) -> None:
        if not program.exists():
            raise Refused(f"{program} is not there; set it up: make set-up")
        try:
            done = subprocess.run(
                [str(program), *arguments, "--app", str(folder)],
                cwd=folder.parent,
                env={**os.environ, "CDK_DISABLE_CLI_TELEMETRY": "1"},
                check=False,
            )
        except KeyboardInterrupt:
            told = "Interrupted. AWS goes on with what it has begun; look at the stacks before the next try"
            raise Refused(told) from None
        if done.returncode:
            raise Refused(f"cdk {' '.join(arguments)} ended with {done.returncode}; what it printed above says why")

    return run


def deploy(outlook: Outlook, live: Live, run: Run, reason: str | None, seen: dict[str, Deployed]) -> None:
    """Deploy every stack in the order of the direction; CloudFormation's word on changed ones is asked before.

    `seen` is what was agreed to and what we have deployed since, by name: a stack that is another one now stays.
    """
    # A name of its own, so that two who deploy at a time execute only what each of them has read.
    name = f"blueprint-deploy-{secrets.token_hex(4)}"
    for group in groups(outlook):
        for stack in group:
            if live.stack(stack.name, stack.region) != seen.get(stack.name):
                raise Refused(f"{stack.name} {CHANGED}")
        stack = group[0]
        if len(group) > 1 or not is_judged(stack, outlook):
            run(["deploy", *(stack.name for stack in group), *ALONE])
        elif _is_prepared(stack, outlook, live, run, reason, name):
            run(["deploy", stack.name, "--method", "execute-change-set", "--change-set-name", name, *AGREED])
        for stack in group:
            seen.pop(stack.name, None)
            if (there := live.stack(stack.name, stack.region)) is not None:
                seen[stack.name] = there


def _is_prepared(stack: StackTemplate, outlook: Outlook, live: Live, run: Run, reason: str | None, name: str) -> bool:
    """Whether there is a change set to execute; one that is not to be executed does not stay, whatever happens."""
    try:
        named = ["--method", "prepare-change-set", "--change-set-name", name]
        run(["deploy", stack.name, "--exclusively", *named, *AGREED])
        said = live.change_set(stack.name, stack.region, name)
        refuse_unforeseen(stack, said, outlook, reason)
    except BaseException:
        with suppress(Exception):  # none was made, or it is still being made: that is not what somebody must hear
            live.discard(stack.name, stack.region, name)
        raise
    if said.empty:
        live.discard(stack.name, stack.region, name)
    return not said.empty


def groups(outlook: Outlook) -> Iterator[list[StackTemplate]]:
    """What one call deploys: going up, neighbours about which there is nothing to ask; everything else alone.

    What is so already needs no call.
    An empty stack ends a group, since the command line knows the order only by the whole chain, and is not told of one
    that was not there: if somebody has made it meanwhile, it would be deleted.
    """
    wanted = (outlook.after.stack(role) for role in outlook.order)
    stacks = [stack for stack in wanted if stack is not None and not is_same(outlook.before.stack(stack.role), stack)]

    def alone(stack: StackTemplate) -> bool:
        return outlook.down or not stack.resources or is_judged(stack, outlook)

    for each, found in groupby(stacks, key=alone):
        if each:
            yield from ([stack] for stack in found if stack.resources or outlook.before.stack(stack.role))
        else:
            yield list(found)


def is_judged(stack: StackTemplate, outlook: Outlook) -> bool:
    """Whether there is something that CloudFormation may say: of a stack that exists and stays, anything differs."""
    there = outlook.before.stack(stack.role)
    return there is not None and bool(stack.resources) and not is_same(there, stack)


def is_same(there: StackTemplate | None, wanted: StackTemplate) -> bool:
    return there is not None and told(there) == told(wanted)


def told(stack: StackTemplate) -> tuple[object, ...]:
    """What the command line tells CloudFormation of a stack."""
    return stack.name, stack.template, stack.tags, stack.termination_protection
