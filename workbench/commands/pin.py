"""`blueprint pin`: the newest machine image and CloudFront's address list, written into the environment's file."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from workbench.commands.deploy import guarded, say

if TYPE_CHECKING:
    from workbench.commands import Commands


def add(commands: Commands) -> None:
    pin = commands.add_parser(
        "pin",
        help="write the newest machine image into an environment's file",
        description="Ask AWS for the newest Amazon Linux 2023 for arm64 and for CloudFront's prefix list in the "
        "environment's region, and write both under [pins] in its file. Nothing else in the file changes, and nothing "
        "in the account.",
    )
    pin.add_argument("environment", help="a file in environments/, or the path of one")
    pin.add_argument("--image", action="store_true", help="the machine image alone")
    pin.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    return guarded(_pin, options)


def _pin(options: argparse.Namespace) -> int:
    from blueprint.environment import ENVIRONMENTS, UNSET_ACCOUNT, load
    from blueprint.toml_file import find
    from workbench.deploy import pins
    from workbench.deploy.guard import guard
    from workbench.deploy.live import Aws

    environment = load(options.environment)
    aws = Aws(environment.region)
    if environment.account != UNSET_ACCOUNT:  # both values are the same in every account of a region
        guard(environment, aws)
    file, shown = find(options.environment, ENVIRONMENTS)
    values = pins.resolve(environment, aws, only_image=options.image)
    for key, value in values.items():
        before = getattr(environment.pins, key)
        say(
            f"{shown}: {key}: {before or 'not pinned'} -> {value}"
            if before != value
            else f"{shown}: {key}: {value} is the newest"
        )
    pins.write(file, values)
    return 0
