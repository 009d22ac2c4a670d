"""What the contract lets pass. Each row says why, and for what a move makes obsolete, which runbook proves it first."""

from __future__ import annotations

from workbench.templates import Resource
from workbench.transition.rule import Allowance, Direction

FLEET = frozenset({"AWS::AutoScaling::AutoScalingGroup"})
MANAGED = FLEET | {"AWS::RDS::DBInstance"}
HOST = frozenset({"AWS::EC2::Instance", "AWS::EC2::Volume"})
UP, DOWN = frozenset({Direction.UP}), frozenset({Direction.DOWN})


def _named_by_aws(group: Resource) -> bool:
    """The web application firewall writes only to log groups whose name begins like this."""
    return str(group.properties.get("LogGroupName", "")).startswith("aws-waf-logs-")


ALLOWANCES = (
    Allowance(
        rules=frozenset({"EV01"}),
        type="AWS::EC2::Instance",
        reason="The fleet has taken over from the one host.",
        runbook="host-to-fleet",
        directions=UP,
        beside=FLEET,
        kept=True,
    ),
    Allowance(
        rules=frozenset({"EV01"}),
        type="AWS::EC2::EIP",
        reason="Visitors reach the load balancer by name; the host's address goes with the host.",
        runbook="host-to-fleet",
        directions=UP,
        beside=FLEET,
    ),
    Allowance(
        rules=frozenset({"EV01"}),
        type="AWS::EC2::Volume",
        reason="The managed database holds the rows, proven equal, and the volume or its snapshot stays.",
        runbook="host-database-to-managed",
        directions=UP,
        beside=MANAGED,
        kept=True,
    ),
    Allowance(
        rules=frozenset({"EV08"}),
        type="AWS::RDS::DBInstance",
        reason="The host holds the rows again, proven equal; then protection goes off in a step of its own.",
        runbook="managed-database-to-host",
        directions=DOWN,
        beside=HOST,
        kept=True,
    ),
    Allowance(
        rules=frozenset({"EV03", "EV04", "EV05"}),
        type="AWS::Logs::LogGroup",
        reason="AWS fixes the name, so a group that stayed would stop the firewall from coming back.",
        only_if=_named_by_aws,
    ),
)
