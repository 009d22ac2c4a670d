"""Networks: made from the shop's templates, read back as users would, and taken down again."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.workbench.sandbox.shop import STATES, World, in_shop, of
from workbench.facts import specification
from workbench.sandbox.kinds.kind import FAILURES, NotInPlace, Refused

VPC, SUBNET = "NetworkVpc7FB7348F", "NetworkVpcPublicSubnet1Subnet36933139"
EDGE, APP, DATABASE = "TiersEdgeDCEAD1E7", "TiersApp987FE612", "TiersDatabase3C71D9A3"
TO_APP = "TiersEdgetoshopprodnetworkTiersApp0E5255A48080B37B0CE8"
NAT, ADDRESS = "NetworkNat176794985", "NetworkNat1Address9F2CACB0"
GATEWAY, ATTACHED = "NetworkVpcIGW6BEA7B02", "NetworkVpcVPCGW8F3799B5"
TABLE, ROUTE = "NetworkVpcPublicSubnet1RouteTable30235CE2", "NetworkVpcPublicSubnet1DefaultRoute31EC04EC"
OF_SUBNET, ENDPOINT, FLOW_LOG = (
    "NetworkVpcPublicSubnet1RouteTableAssociation643926C7",
    "NetworkVpcS334FC449B",
    "NetworkVpcFlowLog9B71FB8D",
)
# What the templates of stage 5 have of these types.
SHOP = [id for id in in_shop("EC2") if id != "FleetTemplateFD614FF5"]
# What attributes tell of things that we do not make: addresses of version 6, outposts, encrypted networks ...
NOT_MADE = (
    *("AutoProvisionZones", "AutoScalingIps", "BlockPublicAccessStates", "Ipv6CidrBlocks", "NetworkAclAssociationId"),
    *("OutpostArn", "RouteTableId", "VpcEncryptionControl"),
)
HTTPS = {"CidrIp": "198.51.100.0/24", "FromPort": 443, "IpProtocol": "tcp", "ToPort": 443}
CHANGES: dict[str, dict[str, Any]] = {
    VPC: {"EnableDnsHostnames": False, "Tags": [{"Key": "Name", "Value": "Another"}]},
    SUBNET: {"MapPublicIpOnLaunch": True},
    APP: {
        "SecurityGroupEgress": [{**HTTPS, "Description": "another"}],
        "SecurityGroupIngress": [HTTPS, {"IpProtocol": "-1", "CidrIpv6": "::/0", "Description": "all"}],
    },
    TO_APP: {"Description": "other requests"},
    NAT: {"Tags": [{"Key": "Name", "Value": "Another"}]},
    ADDRESS: {"Tags": [{"Key": "Name", "Value": "Another"}]},
}


def begin() -> World:
    world = World(of("EC2", "IAM", "KMS", "Logs") - {"AWS::IAM::Policy"})
    world.values["AWS::Region"] = world.aws.region
    return world


@pytest.fixture
def fresh() -> World:
    return begin()


@pytest.fixture(scope="module", params=STATES)
def world(request: pytest.FixtureRequest) -> World:
    """All networks of the templates; just made, or changed in place by CHANGES."""
    fresh = begin()
    make_all(fresh)
    if request.param == "as changed":
        for id, properties in CHANGES.items():
            before = fresh.get(id)
            assert fresh.change(id, **properties).id == before.id
        tables = fresh.wanted[ENDPOINT].properties["RouteTableIds"]
        fresh.change(ENDPOINT, RouteTableIds=tables[1:])
        fresh.change(ROUTE, GatewayId=None, NatGatewayId=fresh.get(NAT).id)
    return fresh


def make_all(world: World) -> None:
    for id in (ATTACHED, *SHOP):  # on which the gateways should depend
        world.get(id)


def rules_in(world: World, group: str) -> list[dict[str, Any]]:
    filters = [{"Name": "group-id", "Values": [group]}]
    return list(world.aws.client("ec2").describe_security_group_rules(Filters=filters)["SecurityGroupRules"])


def test_all_is_read_back_as_the_templates_want_it(world: World) -> None:
    assert world.differences() == []


def test_all_that_takes_tags_carries_those_of_its_stack_and_its_own(world: World) -> None:
    ec2 = world.aws.client("ec2")
    for id in SHOP:
        if "Tags" in specification._resources()[world.wanted[id].type]["properties"]:
            made = world.made[id]
            named = made.attributes.get("AllocationId", made.id)
            found = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [named]}])["Tags"]
            assert {tag["Key"]: tag["Value"] for tag in found} == world.all_tags_of(id)


@pytest.mark.parametrize(
    "id", [VPC, SUBNET, APP, NAT, ADDRESS, GATEWAY, ATTACHED, TABLE, OF_SUBNET, ENDPOINT, FLOW_LOG]
)
def test_attributes_are_all_that_the_specification_has_and_stay_the_same_over_an_update(fresh: World, id: str) -> None:
    fresh.get(ATTACHED)
    before = fresh.get(id).attributes
    known = specification._resources()[fresh.wanted[id].type]["attributes"].keys()
    assert {name for name in known - before.keys() if not name.startswith(NOT_MADE)} == set()
    assert fresh.change(id).attributes == before


@pytest.mark.parametrize(
    ("id", "form"),
    [
        (VPC, r"vpc-[0-9a-f]{17}"),
        (APP, r"sg-[0-9a-f]{17}"),
        (TO_APP, r"sgr-[0-9a-f]{17}"),
        (ADDRESS, r"\d+\.\d+\.\d+\.\d+"),
        (NAT, r"nat-[0-9a-f]{17}"),
        (ATTACHED, r"IGW\|vpc-[0-9a-f]{17}"),
        (ROUTE, r"rtb-[0-9a-f]{17}\|0\.0\.0\.0/0"),
        (OF_SUBNET, r"rtbassoc-[0-9a-f]{17}"),
        (FLOW_LOG, r"fl-[0-9a-f]{17}"),
        (ENDPOINT, r"vpce-[0-9a-f]{17}"),
    ],
)
def test_physical_ids_have_the_form_of_aws(fresh: World, id: str, form: str) -> None:
    fresh.get(ATTACHED)
    assert re.fullmatch(form, fresh.get(id).id)


def test_a_vpc_knows_the_group_and_the_list_that_came_with_it(fresh: World) -> None:
    made, ec2 = fresh.get(VPC), fresh.aws.client("ec2")
    [default] = ec2.describe_security_groups(GroupIds=[made.attributes["DefaultSecurityGroup"]])["SecurityGroups"]
    [acl] = ec2.describe_network_acls(NetworkAclIds=[made.attributes["DefaultNetworkAcl"]])["NetworkAcls"]
    assert (default["GroupName"], default["VpcId"]) == ("default", made.id)
    assert (acl["IsDefault"], acl["VpcId"]) == (True, made.id)


def test_what_a_group_lets_out_by_default_goes_with_its_first_rule_of_its_own(fresh: World) -> None:
    edge = fresh.get(EDGE).id
    assert [(one["IpProtocol"], one["CidrIpv4"]) for one in rules_in(fresh, edge)] == [("-1", "0.0.0.0/0")]
    fresh.get(TO_APP)
    assert [one["Description"] for one in rules_in(fresh, edge)] == ["requests"]


def test_a_rule_that_is_there_already_is_refused_whatever_its_description(fresh: World) -> None:
    fresh.get(TO_APP)
    again = {**fresh.wanted[TO_APP].properties, "Description": "again"}
    with pytest.raises(Refused, match="Duplicate"):
        fresh.make(fresh.wants("AWS::EC2::SecurityGroupEgress", again))


def test_an_endpoint_adds_its_route_to_the_tables_that_it_has_and_to_no_other(fresh: World) -> None:
    def has_route(table: str) -> bool:
        [found] = fresh.aws.client("ec2").describe_route_tables(RouteTableIds=[table])["RouteTables"]
        return fresh.get(ENDPOINT).id in [each.get("GatewayId") for each in found["Routes"]]

    fresh.get(ENDPOINT)
    first, *others = fresh.wanted[ENDPOINT].properties["RouteTableIds"]
    fresh.change(ENDPOINT, RouteTableIds=others)
    assert (has_route(first), has_route(others[0])) == (False, True)
    fresh.change(ENDPOINT, RouteTableIds=[first])
    assert (has_route(first), has_route(others[0])) == (True, False)


def test_a_subnet_that_goes_to_another_table_has_another_association(fresh: World) -> None:
    before, other = fresh.get(OF_SUBNET), fresh.get("NetworkVpcAppSubnet1RouteTable5C76A05A").id
    after = fresh.change(OF_SUBNET, RouteTableId=other)
    assert after.id != before.id
    assert fresh.read(OF_SUBNET)["RouteTableId"] == other


def test_a_second_table_for_a_subnet_is_refused(fresh: World) -> None:
    fresh.get(OF_SUBNET)
    again = fresh.wants("AWS::EC2::SubnetRouteTableAssociation", fresh.wanted[OF_SUBNET].properties)
    with pytest.raises(Refused, match="AlreadyAssociated"):
        fresh.make(again)


def test_a_second_route_to_the_same_destination_is_refused(fresh: World) -> None:
    fresh.get(ROUTE)
    with pytest.raises(Refused, match="already exists"):
        fresh.make(fresh.wants("AWS::EC2::Route", fresh.wanted[ROUTE].properties))


def test_an_address_moves_to_another_host_without_being_free_in_between(fresh: World) -> None:
    ec2 = fresh.aws.client("ec2")
    hosts = [one["InstanceId"] for one in ec2.run_instances(ImageId="ami-1", MinCount=2, MaxCount=2)["Instances"]]
    allocation = fresh.get(ADDRESS).attributes["AllocationId"]
    wants = [
        fresh.wants("AWS::EC2::EIPAssociation", {"AllocationId": allocation, "InstanceId": host}, host)
        for host in hosts
    ]
    for each in wants:
        fresh.make(each)
    fresh.delete(hosts[0])  # as CloudFormation does it, after the new one is there
    assert fresh.read(ADDRESS)["InstanceId"] == hosts[1]
    fresh.delete(hosts[1])
    assert not fresh.read(ADDRESS).get("AssociationId")


@pytest.mark.parametrize(
    ("id", "properties", "fixed"),
    [
        (VPC, {"CidrBlock": "10.99.0.0/16"}, "CidrBlock"),
        (SUBNET, {"CidrBlock": "10.20.99.0/24"}, "CidrBlock"),
        (APP, {"GroupDescription": "Another"}, "GroupDescription"),
        (TO_APP, {"FromPort": 8081}, "FromPort"),
        (OF_SUBNET, {"SubnetId": "subnet-1"}, "SubnetId"),
        (FLOW_LOG, {"TrafficType": "REJECT"}, "TrafficType"),
    ],
)
def test_what_needs_a_new_resource_is_not_changed_in_place(
    fresh: World, id: str, properties: dict[str, Any], fixed: str
) -> None:
    with pytest.raises(NotInPlace) as problem:
        fresh.change(id, **properties)
    assert problem.value.property == fixed


def test_numbers_written_as_text_are_no_change(fresh: World) -> None:
    before = fresh.get(TO_APP)
    assert fresh.change(TO_APP, FromPort="8080", ToPort="8080") == before


def test_a_gateway_needs_a_way_out_of_its_network(fresh: World) -> None:
    with pytest.raises(Refused, match="no Internet gateway attached"):
        fresh.get(NAT)
    fresh.get(ATTACHED)
    assert fresh.read(NAT)["State"] == "available"


@pytest.mark.parametrize(
    ("id", "made", "user"),
    [
        (VPC, SUBNET, "subnet-"),
        (VPC, EDGE, "sg-"),
        (VPC, ATTACHED, "igw-"),
        (VPC, TABLE, "rtb-"),
        (VPC, ENDPOINT, "vpce-"),
        (SUBNET, NAT, "eni-"),
        (APP, TO_APP, "sgr-"),
        (ADDRESS, NAT, "eipassoc-"),
        (GATEWAY, ATTACHED, "vpc-"),
        (ATTACHED, NAT, "mapped public address"),
        (TABLE, OF_SUBNET, "dependencies"),
    ],
)
def test_what_others_depend_on_cannot_be_deleted(fresh: World, id: str, made: str, user: str) -> None:
    for each in (ATTACHED, id, made):
        fresh.get(each)
    assert user in fresh.refused(id)


def test_a_network_under_a_database_that_was_kept_cannot_be_deleted(fresh: World) -> None:
    rds, subnets = (
        fresh.aws.client("rds"),
        [fresh.get(SUBNET).id, fresh.get("NetworkVpcPublicSubnet2SubnetC427CCE0").id],
    )
    rds.create_db_subnet_group(DBSubnetGroupName="kept", DBSubnetGroupDescription="Kept", SubnetIds=subnets)
    settings = {"DBSubnetGroupName": "kept", "VpcSecurityGroupIds": [fresh.get(DATABASE).id]}
    rds.create_db_instance(DBInstanceIdentifier="kept", DBInstanceClass="db.t4g.micro", Engine="postgres", **settings)
    assert "kept" in fresh.refused(SUBNET)
    assert "kept" in fresh.refused(DATABASE)


def everything(world: World) -> dict[str, int]:
    ec2 = world.aws.client("ec2")
    answers = {
        "describe_addresses": "Addresses",
        "describe_flow_logs": "FlowLogs",
        "describe_internet_gateways": "InternetGateways",
        "describe_network_acls": "NetworkAcls",
        "describe_network_interfaces": "NetworkInterfaces",
        "describe_route_tables": "RouteTables",
        "describe_security_group_rules": "SecurityGroupRules",
        "describe_security_groups": "SecurityGroups",
        "describe_subnets": "Subnets",
        "describe_vpc_endpoints": "VpcEndpoints",
        "describe_vpcs": "Vpcs",
    }
    return {answer: len(getattr(ec2, operation)()[answer]) for operation, answer in answers.items()}


@pytest.mark.slow
def test_a_network_goes_without_a_trace_and_what_is_gone_may_go_again(fresh: World) -> None:
    before = everything(fresh)
    make_all(fresh)
    assert all(everything(fresh)[kind] > number for kind, number in before.items())
    for id in reversed([*fresh.made]):
        for _ in range(2):
            fresh.delete(id)
    assert everything(fresh) == before
    gateways = fresh.aws.client("ec2").describe_nat_gateways()["NatGateways"]
    assert {gateway["State"] for gateway in gateways} == {"deleted"}


def test_a_property_that_nobody_knows_is_refused(fresh: World) -> None:
    with pytest.raises(FAILURES, match="EnableQuantum"):
        fresh.make(fresh.wants("AWS::EC2::VPC", {"CidrBlock": "10.0.0.0/16", "EnableQuantum": True}))
