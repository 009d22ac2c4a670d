"""The address plan: three zones, three tiers, all of it from the first stage on."""

from __future__ import annotations

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from constructs import Construct

from blueprint.parts import Egress, Protection
from building_blocks.logs import log_group

CIDR = "10.20.0.0/16"

PUBLIC = ec2.SubnetSelection(subnet_group_name="Public")
APP = ec2.SubnetSelection(subnet_group_name="App")
DATA = ec2.SubnetSelection(subnet_group_name="Data")

# What private hosts need when there is no NAT: Session Manager, logs and metrics, their own readiness, the secret that
# they prepare the database with, events.
ENDPOINT_SERVICES = {
    "Ssm": ec2.InterfaceVpcEndpointAwsService.SSM,
    "SsmMessages": ec2.InterfaceVpcEndpointAwsService.SSM_MESSAGES,
    "Logs": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
    "Metrics": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_MONITORING,
    "AutoScaling": ec2.InterfaceVpcEndpointAwsService.AUTOSCALING,
    "CloudFormation": ec2.InterfaceVpcEndpointAwsService.CLOUDFORMATION,
    "Secrets": ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
    "Sns": ec2.InterfaceVpcEndpointAwsService.SNS,
}


class Network(Construct):
    """A VPC whose nine subnets never move: later stages only use more of them."""

    def __init__(self, scope: Construct, construct_id: str, *, key: kms.IKey, protection: Protection) -> None:
        super().__init__(scope, construct_id)
        # Fixed masks, so that a tier's size never depends on another's. /22 for hosts and functions, the rest is few.
        # All private tiers start isolated; `let_out` opens the app tier when there are hosts in it.
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(CIDR),
            max_azs=3,
            nat_gateways=0,
            restrict_default_security_group=False,  # would bring a helper Lambda; nothing uses that group
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="Public",
                    subnet_type=ec2.SubnetType.PUBLIC,
                    cidr_mask=24,
                    map_public_ip_on_launch=False,
                ),
                ec2.SubnetConfiguration(name="App", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=22),
                ec2.SubnetConfiguration(name="Data", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=24),
            ],
        )
        flows = log_group(self, "FlowLogGroup", key=key, protection=protection)
        self.vpc.add_flow_log("FlowLog", destination=ec2.FlowLogDestination.to_cloud_watch_logs(flows))
        # Free, and they keep S3 traffic (packages, releases, files) off a NAT gateway's bill.
        self.vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
        self.vpc.add_gateway_endpoint("DynamoDb", service=ec2.GatewayVpcEndpointAwsService.DYNAMODB)

    @property
    def subnet_ids(self) -> list[str]:
        """Every subnet, tier by tier."""
        return [
            subnet
            for tier in (PUBLIC, APP, DATA)
            for subnet in self.vpc.select_subnets(subnet_group_name=tier.subnet_group_name).subnet_ids
        ]

    def let_out(self, egress: Egress, *, endpoints: ec2.ISecurityGroup) -> None:
        """Give the app tier a way to AWS and, with NAT, to the internet."""
        if egress is Egress.ENDPOINTS:
            for name, service in ENDPOINT_SERVICES.items():
                self.vpc.add_interface_endpoint(
                    name, service=service, subnets=APP, security_groups=[endpoints], open=False
                )
            return
        public = self.vpc.select_subnets(subnet_group_name="Public").subnets
        gateways = [
            self._nat_gateway(f"Nat{number}", subnet)
            for number, subnet in enumerate(public if egress is Egress.NAT_PER_ZONE else public[:1], start=1)
        ]
        for number, subnet in enumerate(self.vpc.select_subnets(subnet_group_name="App").subnets):
            ec2.CfnRoute(
                self,
                f"AppWayOut{number + 1}",
                route_table_id=subnet.route_table.route_table_id,
                destination_cidr_block="0.0.0.0/0",
                nat_gateway_id=gateways[number % len(gateways)].ref,
            )

    def _nat_gateway(self, name: str, subnet: ec2.ISubnet) -> ec2.CfnNatGateway:
        address = ec2.CfnEIP(self, f"{name}Address", domain="vpc")
        # Neither works before the VPC has its way to the internet, nor does that go while they are there.
        address.node.add_dependency(subnet.internet_connectivity_established)
        return ec2.CfnNatGateway(self, name, subnet_id=subnet.subnet_id, allocation_id=address.attr_allocation_id)
