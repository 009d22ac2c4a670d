"""`blueprint smoke`: whether a shop that was just deployed does what it is there for."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from workbench.commands import FAILED, complain
from workbench.commands.deploy import guarded

if TYPE_CHECKING:
    from workbench.commands import Commands
    from workbench.smoke.visit import Site

LONGEST = 3600.0
DESCRIPTION = """\
Ask a shop from outside what a visitor would ask: look around, sign up, buy one piece of the cheapest product seen, and
wait for the invoice. Stops at the first thing that does not hold, and says what was asked and what came back.

  blueprint smoke sandbox                       where the deployed environment is, its own resources say
  blueprint smoke --url http://127.0.0.1:8000   any shop, such as that of `make shop`
  blueprint smoke sandbox --url http://...      both: the environment must be deployed, and this is the way to its shop

Something is bought on this machine, and in environments that keep no data. Everywhere else it takes --order.
"""


def add(commands: Commands) -> None:
    smoke = commands.add_parser(
        "smoke",
        help="ask a deployed shop whether it works",
        description=DESCRIPTION,
        epilog="Exit codes: 0 every step held, 1 one did not or nothing could be asked, 2 the request is wrong.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    smoke.add_argument("environment", nargs="?", help="a file in environments/, or the path of one")
    smoke.add_argument("--name", help="another name for the environment, as `-c name=` of the CDK gives it")
    smoke.add_argument("--url", type=_address, help="where the shop is")
    smoke.add_argument("--order", action="store_true", help="buy something, also where that is real")
    smoke.add_argument(
        "--timeout",
        type=_seconds,
        default=120.0,
        metavar="SECONDS",
        help="for hosts that still boot, and again for the invoice (default: 120)",
    )
    smoke.add_argument("--json", action="store_true", help="for machines")
    smoke.set_defaults(run=run)


def _address(text: str) -> str:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
        good = good and parts.path in ("", "/") and not (parts.query or parts.fragment or "@" in parts.netloc)
    except ValueError:  # a port that is none
        good = False
    if not good or not text.isascii() or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not where a site begins; write http://127.0.0.1:8000")
    return text.rstrip("/")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds up to {LONGEST:.0f}")
    return seconds


def run(options: argparse.Namespace) -> int:
    return guarded(_smoke, options)


def _smoke(options: argparse.Namespace) -> int:
    from workbench.deploy.guard import is_local
    from workbench.report import smoke as report
    from workbench.smoke.visit import smoke

    if not (options.environment or options.url):
        return complain("Which shop? Name an environment, or say where it is: --url http://127.0.0.1:8000")
    if options.environment and not options.url and is_local():
        return complain(
            "A local AWS starts no hosts, so nobody answers at the addresses that it gives. Open the shop (make shop) "
            f"and say where: blueprint smoke {options.environment} --url http://127.0.0.1:8000"
        )
    site, buys = _site(options)
    print(f"Asking {site.url}", file=sys.stderr, flush=True)
    results = []
    for result in smoke(site, buys=buys, patience=options.timeout, say=_progress):
        results.append(result)
        if not options.json:
            print(report.line(result), flush=True)
    if options.json:
        print(json.dumps(report.as_data(site.url, results, bought=buys), indent=2))
    failed = not all(result.passed for result in results)
    if not failed and not buys:
        print("Nothing was bought, as that would be real here; with --order one piece is.", file=sys.stderr)
    return FAILED if failed else 0


def _progress(text: str) -> None:
    print(f"        {text}", file=sys.stderr, flush=True)


def _site(options: argparse.Namespace) -> tuple[Site, bool]:
    """What to visit, and whether something may be bought there."""
    from urllib.parse import urlsplit

    from blueprint.environment import load
    from blueprint.profiles import PROFILES
    from workbench.deploy.guard import guard
    from workbench.deploy.live import Account, Aws
    from workbench.smoke import deployed
    from workbench.smoke.client import HERE
    from workbench.smoke.visit import Site

    if not options.environment:
        return Site(options.url), options.order or urlsplit(options.url).hostname in HERE
    environment = load(options.environment, name=options.name)
    aws = Aws(environment.region)
    guard(environment, aws)
    found = deployed.site(environment, Account(aws), aws, url=options.url)
    return found, options.order or not PROFILES[environment.profile].keep_data
