"""`blueprint deploy`: the CDK command line, once everything is checked and somebody has agreed."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from workbench.commands import FAILED, complain

if TYPE_CHECKING:
    from workbench.commands import Commands

DESCRIPTION = """\
Deploy an environment with the real CDK command line. Before anything is changed: the account must be the environment's
own; bootstrap, zones, image, hosted zone, mail and quotas are asked about; the change against what is deployed is
foreseen; and what others rely on leaves its template, is replaced or loses its protection only with --reason. Over
stacks that keep data nothing is deployed that would not. Shows cost and risk, then asks.

AWS_PROFILE chooses the credentials. With AWS_ENDPOINT_URL on this machine it deploys to a local AWS.
"""


def add(commands: Commands) -> None:
    deploy = commands.add_parser(
        "deploy",
        help="deploy an environment, guarded",
        description=DESCRIPTION,
        epilog="Exit codes: 0 deployed, 1 refused or failed, 2 the environment file is wrong.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    name_environment(deploy)
    deploy.add_argument("--stage", help="at this stage instead of the one in the file, by number or name")
    deploy.add_argument("--reason", metavar="TEXT", help="why what others rely on may go, or an old image may stay")
    deploy.add_argument("--drained", action="store_true", help="going below workers: the outbox has no unsent event")
    deploy.add_argument("--yes", action="store_true", help="do not ask; for scripts")
    deploy.add_argument("--dry-run", action="store_true", help="stop before the question; nothing is changed")
    deploy.set_defaults(run=run)


def name_environment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("environment", help="a file in environments/, or the path of one")
    parser.add_argument("--name", help="another name for the environment, as `-c name=` of the CDK gives it")


def run(options: argparse.Namespace) -> int:
    return guarded(_deploy, options)


def guarded(act: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """Runs a command that speaks to AWS; whatever stops it is said in a sentence."""
    from botocore.exceptions import BotoCoreError, ClientError

    from blueprint.environment import BadEnvironment
    from workbench.deploy import Refused
    from workbench.synth import Invalid, NotAnAssembly

    try:
        return act(options)
    except BadEnvironment as problem:
        return complain(problem)
    except (Refused, Invalid, NotAnAssembly) as problem:
        complain(problem)
    except (BotoCoreError, ClientError) as problem:
        complain(f"AWS does not answer as it should: {problem}")
    except KeyboardInterrupt:
        complain("Stopped. What was done until then is above, and AWS goes on with what it has begun.")
    return FAILED


def _deploy(options: argparse.Namespace) -> int:
    from datetime import UTC, datetime

    from botocore.exceptions import BotoCoreError, ClientError

    from blueprint.environment import load
    from workbench.deploy import Refused, command_line, edge, guard, moves, outcome, preflight
    from workbench.deploy import plan as planning
    from workbench.deploy.gate import good_reason
    from workbench.deploy.live import Account, Aws
    from workbench.report import deploy as report

    reason, drained = good_reason(options.reason), options.drained
    environment = load(options.environment, stage=options.stage, name=options.name)
    aws = Aws(environment.region)
    live, caller = Account(aws), guard.guard(environment, aws)
    say(f"Account {caller.account}, as {caller.arn}. Writing the templates ...")
    with planning.own_folder(environment.name) as folder:
        plan = planning.plan(
            environment,
            live,
            folder,
            lambda stage: load(options.environment, stage=str(stage), name=options.name),
            bundle=not options.dry_run,
        )
        if plan.is_done:
            say(f"{environment.name} is already so; nothing to do.")
            return 0
        checks, today = [], datetime.now(UTC).date()
        for check in preflight.checks(environment, plan.steps[-1].assembly, plan.outlook, aws, today=today):
            say(report.check(check))
            checks.append(check)
        objections = planning.objections(plan, live, checks, reason=reason, drained=drained)
        say(report.prospect(plan, None if objections else reason))
        if objections:
            raise Refused(report.refused(objections))
        if options.dry_run:
            say("\nNothing was changed; without --dry-run it would be asked now.")
            return 0
        if not (options.yes or agreed(environment.name, "Deploy", typed=plan.keeps_data)):
            return FAILED
        if not caller.is_local:
            moves.settle((step.outlook for step in plan.steps), say)
        if objections := planning.changed_since(plan, live, drained=drained):
            raise Refused(report.refused(objections))
        with planning.recorded(plan, caller, aws, folder, reason=reason, drained=drained):
            seen = {stack.name: stack for stack in plan.found}
            for number, step in enumerate(plan.steps, 1):
                say(f"\nPass {number} of {len(plan.steps)}: {step.wanted.title}")
                if step.wanted.waits_for_edge and not caller.is_local:
                    address = outcome.outcome(environment, step.outlook.before, live, aws).url
                    say(f"Waiting until {address} is answered through CloudFront, a quarter of an hour at most ...")
                    edge.wait_for_edge(address)
                command_line.deploy(step.outlook, live, command_line.cdk(step.assembly), reason, seen)
    asked = f"{options.environment} --name {options.name}" if options.name else options.environment
    try:
        found = None if caller.is_local else outcome.outcome(environment, plan.after, live, aws)
    except (BotoCoreError, ClientError) as problem:  # such as credentials that have ended meanwhile
        say(f"Where things are, AWS does not say: {problem}")
        found = outcome.Outcome(None, None, ())
    say(report.done(plan, asked, found))
    return 0


def say(text: str) -> None:
    print(text, flush=True)


def agreed(name: str, what: str, *, typed: bool) -> bool:
    """Whether a person says so; where data is kept, by typing the environment's name."""
    question = f"\n{what} {name}? Type its name: " if typed else f"\n{what} {name}? [y/N] "
    try:
        answer = input(question).strip()
    except EOFError:
        complain("\nNobody is there to ask, so nothing was changed.\nA script says --yes.")
        return False
    if answer == name if typed else answer.lower() in ("y", "yes"):
        return True
    complain("That is not its name, so nothing was changed." if typed else "Nothing was changed.")
    return False
