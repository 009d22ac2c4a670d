"""Who may talk to whom: one security group a tier, all of them from the first stage on."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from building_blocks.acknowledged import acknowledge

APP_PORT = 8080
# Managed stores do not listen where every scanner looks first (FSBP RDS.23); clients read the port beside the endpoint.
DATABASE_PORT = 5433
HOST_DATABASE_PORT = 5432
CACHE_PORT = 6380

HTTP = ec2.Port.tcp(80)
HTTPS = ec2.Port.tcp(443)


class Tiers(Construct):
    """The firewall rules of the whole system in one place; names and descriptions are fixed for life."""

    def __init__(self, scope: Construct, construct_id: str, *, environment_name: str, vpc: ec2.IVpc) -> None:
        super().__init__(scope, construct_id)

        def group(tier: str, description: str) -> ec2.SecurityGroup:
            return ec2.SecurityGroup(
                self,
                tier,
                vpc=vpc,
                security_group_name=f"{environment_name}-{tier.lower()}",
                description=description,
                allow_all_outbound=False,
            )

        self.edge = group("Edge", "What the internet reaches: the single host or the load balancer")
        self.app = group("App", "Hosts that run the application")
        self.database = group("Database", "PostgreSQL")
        self.cache = group("Cache", "Valkey")
        self.workers = group("Workers", "Functions that need the database")
        self.endpoints = group("Endpoints", "Private ways to AWS services")
        self.groups = (self.edge, self.app, self.database, self.cache, self.workers, self.endpoints)

        app, database, cache = (ec2.Port.tcp(port) for port in (APP_PORT, DATABASE_PORT, CACHE_PORT))
        self.edge.connections.allow_to(self.app, app, "requests")
        self.app.connections.allow_to(self.database, database, "queries")
        self.app.connections.allow_to(self.cache, cache, "cache")
        self.workers.connections.allow_to(self.database, database, "queries")
        # While PostgreSQL moves between a host and RDS, each replicates from the other.
        self.database.connections.allow_to(self.app, ec2.Port.tcp(HOST_DATABASE_PORT), "replication")
        for tier in (self.app, self.workers):
            tier.connections.allow_to(self.endpoints, HTTPS, "AWS")
            tier.add_egress_rule(ec2.Peer.any_ipv4(), HTTPS, "AWS and package repositories")

    def open_edge(self, sources: Sequence[ec2.IPeer], *, ports: Sequence[ec2.Port]) -> None:
        """Let these sources in from outside."""
        for source in sources:
            for port in ports:
                self.edge.add_ingress_rule(source, port, "visitors")
        if any(source.unique_id == ec2.Peer.any_ipv4().unique_id for source in sources):
            acknowledge(
                self.edge,
                "EC23",
                because="This is the public front: only ports 80 and 443 are open, and what answers there is the "
                "host's or the load balancer's listener.",
            )
