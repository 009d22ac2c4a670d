"""What hosts start from: their image and their boot script; and who is told when they fail at what they do."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_sns as sns
from constructs import Construct

from blueprint.environment import Environment
from blueprint.metrics import JOB_FAILURES
from building_blocks.alerts import alarm, custom_metric

SHOP = Path(__file__).parent.parent / "shop"


def image(environment: Environment) -> ec2.IMachineImage:
    """Amazon Linux 2023 on Graviton: the pinned image, or the newest where nothing is pinned."""
    if environment.pins.image is not None:
        return ec2.MachineImage.generic_linux({environment.region: environment.pins.image})
    return ec2.MachineImage.latest_amazon_linux2023(cpu_type=ec2.AmazonLinuxCpuType.ARM_64)


def server_script(environment: Environment) -> str:
    """For the single host. It names no release, so that it is the same to the last byte at stages 1 and 2."""
    settings = {}
    if environment.domain is not None:
        settings = {"SHOP_DOMAIN": environment.domain, "SHOP_EMAIL": environment.alarm_email or ""}
    return "#!/bin/bash\n" + _script(environment, "server", settings)


def fleet_script(environment: Environment, *, release_url: str) -> str:
    """For each host of a fleet. It names the release, so that another one is another launch template."""
    return _script(environment, "fleet", {"SHOP_RELEASE": release_url})


def watch_jobs(scope: Construct, *, environment_name: str, alerts: sns.ITopic) -> None:
    """What hosts do within a request, nobody tries again."""
    alarm(
        scope,
        "JobsFail",
        metric=custom_metric(JOB_FAILURES, environment=environment_name, statistic="Sum"),
        threshold=1,
        minutes=1,
        meaning="Mail, an invoice or pictures were not made within a request, and nobody tries again: see the log",
        alerts=alerts,
    )


def _script(environment: Environment, role: str, settings: dict[str, str]) -> str:
    known = {"SHOP_NAME": environment.name, "SHOP_REGION": environment.region, "SHOP_ROLE": role, **settings}
    exports = [f"export {name}={quote(value)}" for name, value in known.items()]
    return "\n".join([*exports, (SHOP / "host" / "boot.sh").read_text(encoding="utf-8")])
