"""`blueprint destroy`: all stacks of an environment, the youngest first, and what they leave behind."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from workbench.commands import FAILED, complain
from workbench.commands.deploy import agreed, guarded, name_environment, say

if TYPE_CHECKING:
    from workbench.commands import Commands

DESCRIPTION = """\
Destroy an environment. Shows first what goes, with all parameters under /<name>/, and what its templates keep; then
deletes its stacks, the youngest first, and those parameters, and says what is left and why. An environment that keeps
nothing is emptied first, by the same program that ends it when its time is over. Where none of its stacks is there,
nothing is deleted.
"""


def add(commands: Commands) -> None:
    destroy = commands.add_parser(
        "destroy",
        help="destroy an environment, and say what is left",
        description=DESCRIPTION,
        epilog="Exit codes: 0 destroyed, 1 refused, failed or something would not go, 2 the environment file is wrong.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    name_environment(destroy)
    destroy.add_argument("--yes", action="store_true", help="do not ask; for scripts")
    destroy.add_argument("--dry-run", action="store_true", help="only show what would go and what would stay")
    destroy.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    return guarded(_destroy, options)


def _destroy(options: argparse.Namespace) -> int:
    from blueprint.environment import load
    from blueprint.profiles import PROFILES
    from workbench.deploy import command_line, guard, leftovers
    from workbench.deploy.gate import keepers
    from workbench.deploy.live import Account, Aws, deployed, foreign, stacks
    from workbench.deploy.plan import own_folder
    from workbench.report import deploy as report
    from workbench.synth import synth
    from workbench.templates import read_assembly

    environment = load(options.environment, name=options.name)
    profile, name = PROFILES[environment.profile], environment.name
    aws = Aws(environment.region)
    guard.guard(environment, aws)
    live = Account(aws)
    with own_folder(name) as folder:
        # Only the names of the stacks matter, and they are the same at every stage.
        assembly = synth(environment, folder / "assembly", bundle=False)
        wanted = read_assembly(assembly)
        there = deployed(wanted, live)
        kept = leftovers.kept(there, live)
        # What is deployed counts too: a file may say less than the stacks of its name.
        keeps_data = profile.keep_data or any(keepers(there))
        found = leftovers.parameters(name, aws)
        regions = sorted({stack.region for stack in wanted.stacks})
        if not there.stacks:
            say(report.nobody(environment, found, leftovers.tagged(name, aws, regions)))
            return 0
        say(report.going(environment, [stack.name for stack in there.stacks[::-1]], kept, found, keeps_data))
        objections = [*foreign(there, name, environment.region), *leftovers.protected(name, there, live, aws)]
        if objections:
            complain(report.refused(objections))
            return FAILED
        if options.dry_run:
            return 0
        if not (options.yes or agreed(name, "Destroy", typed=keeps_data)):
            return FAILED
        if not keeps_data:
            leftovers.sweep(environment, endless=profile.time_to_live_days is None)
        cdk = command_line.cdk(assembly)
        for stack, _ in reversed(list(stacks(there, live))):
            cdk(["destroy", stack.name, "--exclusively", "--force"])
    deleted = leftovers.delete_parameters(name, aws, record=not keeps_data)
    say(report.gone(environment, kept, deleted, leftovers.tagged(name, aws, regions)))
    return 0
