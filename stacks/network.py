"""The oldest stack: addresses, firewall rules, the key, where logs and alarms go. Nothing in it ever moves."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam

from blueprint.environment import Environment
from blueprint.parts import Protection
from building_blocks.alerts import Alerts
from building_blocks.boundary import Boundary
from building_blocks.buckets import LogBucket
from building_blocks.budget import Budget
from building_blocks.encryption import Encryption
from building_blocks.network import Network
from building_blocks.teardown import Teardown
from building_blocks.tiers import HTTP, HTTPS, Tiers
from stacks.base import EVERYBODY, BlueprintStack

LAMBDAS = Path(__file__).parent.parent / "lambdas"


class NetworkStack(BlueprintStack):
    """Everything that later stages rely on is here from stage 1, and its outputs are the same at every stage."""

    def __init__(self, app: cdk.App, *, environment: Environment, protection: Protection) -> None:
        super().__init__(
            app,
            "network",
            environment=environment,
            protection=protection,
            description="Addresses, firewall rules, encryption key, access logs, alerts and budget",
        )
        self.key = Encryption(self, "Encryption", protection=protection).key
        self.logs = LogBucket(self, "AccessLogs", protection=protection).bucket
        self.alerts = Alerts(self, "Alerts", key=self.key, email=environment.alarm_email).topic
        if environment.budget_usd is not None:
            Budget(self, "Budget", name=environment.name, usd=environment.budget_usd, alerts=self.alerts)
        network = Network(self, "Network", key=self.key, protection=protection)
        self.vpc = network.vpc
        self.boundary = Boundary(self, "Boundary").policy if protection.limit_roles else None
        if protection.time_to_live_days is not None:
            self._end(environment, protection)
        self.tiers = Tiers(self, "Tiers", environment_name=environment.name, vpc=self.vpc)
        visitors, edge = _visitors(environment), _edge_network(environment)
        self.tiers.open_edge(visitors, ports=[HTTP, HTTPS] if environment.domain else [HTTP])
        certified_host = environment.domain is not None and environment.stage.server is not None
        if certified_host and EVERYBODY not in environment.open_to:
            # Whoever proves its certificate comes over plain HTTP, from anywhere; the rest is sent to HTTPS there.
            self.tiers.open_edge([ec2.Peer.any_ipv4()], ports=[HTTP])
        if edge is not None and edge.unique_id not in {visitor.unique_id for visitor in visitors}:
            # On the one port that it uses: its prefix list counts as 55 rules, and a group may have 60.
            self.tiers.open_edge([edge], ports=[HTTPS if environment.domain else HTTP])
        if environment.stage.fleet is not None:
            network.let_out(environment.egress, endpoints=self.tiers.endpoints)
        self._promise(network)

    def _end(self, environment: Environment, protection: Protection) -> None:
        """Everything goes when its time is over, this stack last; in it, what may refuse goes before the teardown."""
        teardown = Teardown(
            self,
            "Teardown",
            environment_name=environment.name,
            key=self.key,
            protection=protection,
            alerts=self.alerts,
            code=LAMBDAS / "teardown",
        )
        for stubborn in (self.vpc, self.logs):
            resource = stubborn.node.default_child
            assert isinstance(resource, cdk.CfnResource)
            resource.add_resource_dependency(teardown.schedule)

    def _promise(self, network: Network) -> None:
        """Export by hand what younger stacks use: an automatic export would vanish with its last reader."""
        self.export_value(self.vpc.vpc_id, description="The VPC")
        for subnet in network.subnet_ids:
            self.export_value(subnet, description="A subnet of the address plan")
        for tier in self.tiers.groups:
            self.export_value(tier.security_group_id, description="A tier's security group")
        self.export_value(self.key.key_arn, description="The environment's encryption key")
        self.export_value(self.logs.bucket_name, description="The bucket for access logs")
        self.export_value(self.alerts.topic_arn, description="The topic that alarms notify")
        if self.boundary is not None:
            self.export_value(self.boundary.managed_policy_arn, description="The most that a role may do")

    def limit_roles_of(self, stack: BlueprintStack) -> None:
        """No role in `stack` can do more than the boundary allows, if there is one."""
        if self.boundary is not None:
            iam.PermissionsBoundary.of(stack).apply(self.boundary)


def _visitors(environment: Environment) -> list[ec2.IPeer]:
    """Who may reach the edge group directly: nobody, once the edge network in front is the only way in."""
    if environment.stage.cdn is not None and environment.transition.lock_origin:
        return []
    return [ec2.Peer.ipv4(cidr) for cidr in environment.open_to]


def _edge_network(environment: Environment) -> ec2.IPeer | None:
    """Where requests come from that CloudFront passes on."""
    if environment.stage.cdn is None:
        return None
    prefix_list = environment.pins.edge_prefix_list
    return ec2.Peer.prefix_list(prefix_list) if prefix_list else ec2.Peer.any_ipv4()
