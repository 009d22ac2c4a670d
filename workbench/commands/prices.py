"""`blueprint prices`: where the prices come from, and how they are read again."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from workbench.commands import complain

if TYPE_CHECKING:
    from workbench.commands import Commands


def add(commands: Commands) -> None:
    prices = commands.add_parser("prices", help="read the prices again", description="The price list of this kit.")
    actions = prices.add_subparsers(title="actions", metavar="ACTION", required=True)
    refresh = actions.add_parser(
        "refresh",
        help="through the Pricing API",
        description="Read every price again through the Pricing API, with your own AWS credentials, and write "
        "workbench/facts/prices.json. It asks for prices only, and changes nothing in the account.",
    )
    refresh.add_argument("--region", help="only the prices of this region")
    refresh.add_argument("--dry-run", action="store_true", help="say what would change, and write nothing")
    refresh.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from workbench.cost.prices import every
    from workbench.cost.refresh import CannotRefresh, pricing_client, refresh, write
    from workbench.report import cost as report

    try:
        found = refresh(pricing_client(), every(), options.region)
    except CannotRefresh as problem:
        return complain(problem)
    print(report.refreshed(found, dry_run=options.dry_run))
    if not options.dry_run:
        write(found.prices)
    return 0
