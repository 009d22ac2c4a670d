"""What the network stack promises at every stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from blueprint.environment import Environment
from blueprint.parts import Egress
from tests.stacks.reading import of_type, properties, template, text

Synth = Callable[[Environment], Path]
STAGES = (1, 2, 3, 4, 5)


@pytest.mark.parametrize("stage", STAGES)
def test_the_whole_address_plan_is_there_from_the_first_stage(production: dict[int, Path], stage: int) -> None:
    subnets = of_type(template(production[stage], "network"), "AWS::EC2::Subnet").values()
    assert sorted(ip_network(subnet["Properties"]["CidrBlock"]).prefixlen for subnet in subnets) == [22] * 3 + [24] * 6
    assert {subnet["Properties"]["AvailabilityZone"] for subnet in subnets} == {
        "us-east-1a",
        "us-east-1b",
        "us-east-1c",
    }


def test_no_two_subnets_overlap(production: dict[int, Path]) -> None:
    found = of_type(template(production[1], "network"), "AWS::EC2::Subnet").values()
    networks = [ip_network(subnet["Properties"]["CidrBlock"]) for subnet in found]
    assert not [(a, b) for a in networks for b in networks if a is not b and a.overlaps(b)]


@pytest.mark.parametrize("stage", STAGES)
def test_no_subnet_gives_out_public_addresses_by_itself(production: dict[int, Path], stage: int) -> None:
    subnets = of_type(template(production[stage], "network"), "AWS::EC2::Subnet").values()
    assert not [subnet for subnet in subnets if subnet["Properties"].get("MapPublicIpOnLaunch")]


def test_all_traffic_is_logged_to_an_encrypted_group(production: dict[int, Path]) -> None:
    network = template(production[1], "network")
    flow = properties(network, "AWS::EC2::FlowLog")
    assert flow["TrafficType"] == "ALL"
    group = network["Resources"][flow["LogGroupName"]["Ref"]]
    assert "KmsKeyId" in group["Properties"]


def test_every_route_table_reaches_s3_and_dynamodb_without_the_internet(production: dict[int, Path]) -> None:
    network = template(production[1], "network")
    endpoints = of_type(network, "AWS::EC2::VPCEndpoint").values()
    assert len(endpoints) == 2
    for endpoint in endpoints:
        assert len(endpoint["Properties"]["RouteTableIds"]) == len(of_type(network, "AWS::EC2::RouteTable")) == 9


@pytest.mark.parametrize("stage", [1, 2])
def test_stages_without_private_hosts_pay_for_no_way_out(production: dict[int, Path], stage: int) -> None:
    network = template(production[stage], "network")
    assert not of_type(network, "AWS::EC2::NatGateway")
    assert len(of_type(network, "AWS::EC2::VPCEndpoint")) == 2


@pytest.mark.parametrize(
    ("egress", "gateways", "endpoints"),
    [(Egress.NAT, 1, 2), (Egress.NAT_PER_ZONE, 3, 2), (Egress.ENDPOINTS, 0, 10)],
)
def test_the_way_out_is_the_one_chosen(
    load_production: Callable[[int], Environment], synth: Synth, egress: Egress, gateways: int, endpoints: int
) -> None:
    network = template(synth(replace(load_production(3), egress=egress)), "network")
    assert len(of_type(network, "AWS::EC2::NatGateway")) == gateways
    assert len(of_type(network, "AWS::EC2::VPCEndpoint")) == endpoints
    routes = [route["Properties"] for route in of_type(network, "AWS::EC2::Route").values()]
    assert len([route for route in routes if "NatGatewayId" in route]) == (3 if gateways else 0)


def test_its_outputs_are_the_same_at_every_stage_and_all_described(production: dict[int, Path]) -> None:
    first = template(production[1], "network")["Outputs"]
    assert len(first) > 15
    assert all(output["Description"] for output in first.values())
    for stage in STAGES:
        assert template(production[stage], "network")["Outputs"] == first


def test_the_key_rotates_and_its_policy_never_changes(production: dict[int, Path]) -> None:
    keys = [properties(template(production[stage], "network"), "AWS::KMS::Key") for stage in STAGES]
    assert keys[0]["EnableKeyRotation"] is True
    assert all(key == keys[0] for key in keys)


def test_alarms_may_publish_although_the_topic_has_a_policy_of_its_own(production: dict[int, Path]) -> None:
    policy = properties(template(production[1], "network"), "AWS::SNS::TopicPolicy")["PolicyDocument"]
    allowed = text([statement for statement in policy["Statement"] if statement["Effect"] == "Allow"])
    assert "cloudwatch.amazonaws.com" in allowed
    assert "budgets.amazonaws.com" in allowed


@pytest.mark.parametrize("stage", STAGES)
def test_every_tier_has_its_own_group_with_a_description_that_stays(production: dict[int, Path], stage: int) -> None:
    groups = of_type(template(production[stage], "network"), "AWS::EC2::SecurityGroup").values()
    described = {group["Properties"]["GroupName"]: group["Properties"]["GroupDescription"] for group in groups}
    assert set(described) == {
        f"shop-prod-{tier}" for tier in ["edge", "app", "database", "cache", "workers", "endpoints"]
    }
    assert not [words for words in described.values() if "/" in words]


def _ways_in(environment: Environment, synth: Synth) -> list[tuple[str, int]]:
    """Who reaches the edge group, and at which port."""
    network = template(synth(environment), "network")
    (edge,) = (
        group["Properties"]
        for group in of_type(network, "AWS::EC2::SecurityGroup").values()
        if group["Properties"]["GroupName"] == "shop-prod-edge"
    )
    rules = edge.get("SecurityGroupIngress", []) + [
        rule["Properties"]
        for rule in of_type(network, "AWS::EC2::SecurityGroupIngress").values()
        if "Edge" in str(rule["Properties"]["GroupId"])
    ]
    return sorted((rule.get("SourcePrefixListId") or rule["CidrIp"], rule["FromPort"]) for rule in rules)


@pytest.mark.parametrize(
    ("locked", "ways_in"),
    [
        (True, [("pl-3b927c52", 443)]),
        (False, [("0.0.0.0/0", 80), ("0.0.0.0/0", 443), ("pl-3b927c52", 443)]),
    ],
)
def test_a_pinned_prefix_list_is_all_that_reaches_a_locked_load_balancer(
    load_production: Callable[[int], Environment], synth: Synth, locked: bool, ways_in: list[tuple[str, int]]
) -> None:
    environment = load_production(4)
    pinned = replace(
        environment,
        pins=environment.pins.model_copy(update={"edge_prefix_list": "pl-3b927c52"}),
        transition=environment.transition.model_copy(update={"lock_origin": locked}),
    )
    found = _ways_in(pinned, synth)
    assert found == ways_in
    # CloudFront's list counts as 55 rules, and a group may have 60: a second port for it is refused.
    assert sum(55 if source.startswith("pl-") else 1 for source, _ in found) <= 60


def test_without_a_pinned_list_everybody_reaches_the_port_of_the_edge_once(
    load_production: Callable[[int], Environment], synth: Synth
) -> None:
    environment = load_production(4)
    unpinned = environment.pins.model_copy(update={"edge_prefix_list": None})
    open_transition = environment.transition.model_copy(update={"lock_origin": False})
    assert _ways_in(replace(environment, pins=unpinned), synth) == [("0.0.0.0/0", 443)]
    assert _ways_in(replace(environment, pins=unpinned, transition=open_transition), synth) == [
        ("0.0.0.0/0", 80),
        ("0.0.0.0/0", 443),
    ]


def test_alarms_reach_the_address_in_the_environment(production: dict[int, Path]) -> None:
    subscription = properties(template(production[1], "network"), "AWS::SNS::Subscription")
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "oncall@example.com")


def _everybody_may_reach(assembly: Path) -> set[int]:
    (edge,) = (
        group["Properties"]
        for group in of_type(template(assembly, "network"), "AWS::EC2::SecurityGroup").values()
        if group["Properties"]["GroupName"] == "shop-prod-edge"
    )
    return {rule["FromPort"] for rule in edge["SecurityGroupIngress"] if rule.get("CidrIp") == "0.0.0.0/0"}


@pytest.mark.parametrize(("stage", "ports"), [(1, {80}), (2, {80}), (3, set())])
def test_a_host_for_few_still_lets_its_certificate_be_proven(
    load_production: Callable[[int], Environment], synth: Synth, stage: int, ports: set[int]
) -> None:
    for_few = replace(load_production(stage), open_to=("203.0.113.0/24",))
    assert _everybody_may_reach(synth(for_few)) == ports
