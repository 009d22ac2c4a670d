"""Where the shop of a deployed environment is, as its own resources say, and where to look when it does not answer."""

from __future__ import annotations

from collections.abc import Iterator

from blueprint.environment import Environment
from workbench.deploy import Refused
from workbench.deploy.guard import Clients
from workbench.deploy.live import Live, deployed
from workbench.deploy.moves import DISTRIBUTION, types
from workbench.deploy.outcome import outcome
from workbench.smoke.visit import Site
from workbench.templates import Assembly, StackTemplate

STACKS = ("web", "edge", "workers")
SEED = (
    "sudo bash -c 'set -a; [ ! -e /etc/shop/database.env ] || . /etc/shop/database.env; runuser -u shop -- env "
    "-C /opt/shop/current PYTHONPATH=lib SHOP_SETTINGS=/etc/shop/app.env python3.13 -m shop seed --products 300'"
)


def site(environment: Environment, live: Live, aws: Clients, *, url: str | None = None) -> Site:
    """What to visit; with `url` the same shop by another way, of which nothing is promised."""
    name, region = environment.name, environment.region
    wanted = Assembly(tuple(StackTemplate(f"{name}-{role}", role, {}, region=region) for role in STACKS))
    there = deployed(wanted, live)
    found = outcome(environment, there, live, aws)
    if there.stack("web") is None or found.url is None:
        raise Refused(f"{name} is not deployed in {region}, so there is nothing to ask; `blueprint deploy` comes first")
    session = found.sessions[0] if found.sessions else f"a host of {name}, none of which is running"
    log = live.parameter(f"/{name}/logs/app")
    return Site(
        url=url or found.url,
        edge=url is None and DISTRIBUTION in types(there),
        look=(
            f"The shop's log: aws logs tail {log} --region {region} --since 15m",
            f"On a host: {session}, and there: journalctl -u shop-boot -u shop",
        ),
        look_for_jobs=tuple(_where_invoices_are_written(there, live)),
        to_fill=f"Fill it. On a host ({session}): {SEED}",
    )


def _where_invoices_are_written(there: Assembly, live: Live) -> Iterator[str]:
    workers = there.stack("workers")
    ids = live.physical_ids(workers.name, workers.region) if workers else {}
    for start, text in {
        "InvoiceJobLogs": "The log of the job: aws logs tail {} --region {} --since 15m",
        "InvoiceQueueDeadLetters": "What it gave up: aws sqs receive-message --queue-url {} --region {}",
    }.items():
        yield from (
            text.format(found, workers.region)
            for name, found in sorted(ids.items())
            if workers and name.startswith(start)
        )
    if not ids:
        yield "The request itself makes the invoice: look for `a job failed` in the shop's log."
