"""Distributions, firewalls, certificates, alarms: made from the shop's templates, read back as users would."""

from __future__ import annotations

from typing import Any

import pytest

from tests.workbench.sandbox.shop import STATES, World, in_shop, make_zone, of, template_of
from workbench.sandbox.kinds import ONLY_KEPT
from workbench.sandbox.kinds.calls import remembered
from workbench.sandbox.kinds.kind import FAILURES, Refused

CDN, ACCESS, ACL, FRONT = (
    "CdnDistribution149FA6C8",
    "CdnStaticAccess061DD184",
    "EdgeFirewallAcl5B24BE08",
    "FirewallOfFront",
)
RECORD, ZONE, CERTIFICATE = "DomainRecord", "Z0123456789ABCDEFGHIJ", "EdgeCertificate0E8664CD"
SERVICES = ("CertificateManager", "CloudFront", "CloudWatch", "Route53", "WAFv2")
SHOP = in_shop(*SERVICES)
VISITORS = {
    "Addresses": ["203.0.113.10/32"],
    "Description": "Who may visit",
    "IPAddressVersion": "IPV4",
    "Scope": "CLOUDFRONT",
}
ALARM = "DatabaseBusy48B74074"


def begin() -> World:
    world = World(of(*SERVICES))
    make_zone(world.aws, ZONE, "example.com")
    world.values |= {
        "RegionalDomainName": "static.s3.us-east-1.amazonaws.com",
        "Balancer": f"arn:aws:elasticloadbalancing:us-east-1:{world.aws.account}:loadbalancer/app/shop/1",
        "AWS::Region": "us-east-1",
    }
    for number in "123":
        world.values[f"DkimDNSTokenName{number}"] = f"{number}._domainkey.example.com"
    return world


def changes(world: World) -> dict[str, dict[str, Any]]:
    config = world.wanted[CDN].properties["DistributionConfig"]
    rules = world.wanted[ACL].properties["Rules"]
    access = world.wanted[ACCESS].properties["OriginAccessControlConfig"]
    return {
        CDN: {
            "DistributionConfig": {
                **config,
                "Comment": "Another comment",
                "CacheBehaviors": config["CacheBehaviors"][:1],
            }
        },
        ACCESS: {"OriginAccessControlConfig": {**access, "Description": "Another description"}},
        ACL: {"DefaultAction": {"Block": {}}, "Rules": rules[:2]},
        RECORD: {"AliasTarget": {"DNSName": "elsewhere.example.com", "HostedZoneId": ZONE}},
        ALARM: {"Threshold": 90, "EvaluationPeriods": 3, "AlarmDescription": "Busier"},
        "Visitors": {"Addresses": ["203.0.113.11/32", "203.0.113.12/32"]},
        "Dashboard9E4231ED": {"DashboardBody": '{"widgets": []}'},
        "CdnCatalogueCache6ED074BC": {"CachePolicyConfig": {"Name": "other", "MinTTL": 1}},
    }


@pytest.fixture
def fresh() -> World:
    return begin()


@pytest.fixture(scope="module", params=STATES)
def world(request: pytest.FixtureRequest) -> World:
    """Everything that the templates have, and what only sandboxes have; just made, or changed in place."""
    fresh = begin()
    for id in SHOP:
        fresh.get(id)
    fresh.make(fresh.wants("AWS::WAFv2::IPSet", VISITORS, "Visitors"))
    if request.param == "as changed":
        for id, properties in changes(fresh).items():
            before = fresh.get(id)
            assert fresh.change(id, **properties).id == before.id
    return fresh


def records(world: World, id: str) -> list[dict[str, Any]]:
    wanted = world.wanted[id].properties
    found = world.aws.client("route53").list_resource_record_sets(HostedZoneId=ZONE)["ResourceRecordSets"]
    return [
        record
        for record in found
        if (record["Name"].rstrip("."), record["Type"]) == (wanted["Name"].rstrip("."), wanted["Type"])
    ]


def test_all_is_read_back_as_the_templates_want_it_but_for_what_is_openly_forgotten(world: World) -> None:
    assert world.differences() == []


def test_what_has_no_service_is_remembered(world: World) -> None:
    for id, wanted in world.wanted.items():
        if wanted.type in ONLY_KEPT:
            kept = remembered(world.aws, "cloudfront", wanted.type)[world.made[id].id]
            assert kept == {**wanted.properties, "Tags": kept["Tags"]}


def test_all_carries_the_tags_of_its_stack_and_its_own(world: World) -> None:
    for id in (CDN, ALARM, CERTIFICATE):
        assert world.tags_of(id) == world.all_tags_of(id)
    tags = world.aws.client("wafv2").list_tags_for_resource(ResourceARN=world.made[ACL].attributes["Arn"])
    assert {tag["Key"]: tag["Value"] for tag in tags["TagInfoForResource"]["TagList"]} == world.all_tags_of(ACL)


def test_an_origin_keeps_the_right_to_its_bucket(fresh: World) -> None:
    origins = fresh.read(CDN)["DistributionConfig"]["Origins"]["Items"]
    assert [origin.get("OriginAccessControlId") for origin in origins][-1] == fresh.get(ACCESS).id


def test_a_certificate_is_issued_at_once(fresh: World) -> None:
    assert fresh.read(CERTIFICATE)["Status"] == "ISSUED"


def test_a_record_that_is_there_already_is_not_written_over(fresh: World) -> None:
    fresh.get(RECORD)
    with pytest.raises(Refused, match="already exists"):
        fresh.make(fresh.wanted[RECORD])


def test_a_record_needs_its_zone(fresh: World) -> None:
    with pytest.raises(FAILURES, match="NoSuchHostedZone"):
        fresh.make(
            fresh.wants("AWS::Route53::RecordSet", {**template_of()[RECORD]["Properties"], "HostedZoneId": "Z0"})
        )


def test_a_record_changes_in_place_from_an_alias_to_addresses_and_back(fresh: World) -> None:
    fresh.get(RECORD)
    alias = fresh.wanted[RECORD].properties["AliasTarget"]
    fresh.change(RECORD, AliasTarget=None, ResourceRecords=["192.0.2.1"], TTL="60")
    [record] = records(fresh, RECORD)
    assert (record["TTL"], record["ResourceRecords"], "AliasTarget" in record) == (60, [{"Value": "192.0.2.1"}], False)
    fresh.change(RECORD, AliasTarget=alias, ResourceRecords=None, TTL=None)
    [record] = records(fresh, RECORD)
    assert ("TTL" in record, record["AliasTarget"]["DNSName"]) == (False, alias["DNSName"])


def test_a_firewall_that_protects_something_is_not_deleted(fresh: World) -> None:
    fresh.get(CDN)
    assert "still protects" in fresh.refused(ACL)
    fresh.delete(CDN)
    fresh.delete(ACL)


def test_everything_can_be_deleted_and_once_more(fresh: World) -> None:
    for id in SHOP:
        fresh.get(id)
    for _ in range(2):
        for id in reversed(list(fresh.made)):
            fresh.delete(id)
    assert fresh.aws.client("cloudfront").list_distributions()["DistributionList"]["Quantity"] == 0
    assert fresh.aws.client("wafv2").list_web_acls(Scope="CLOUDFRONT")["WebACLs"] == []
    assert fresh.aws.client("cloudwatch").describe_alarms()["MetricAlarms"] == []
    left = fresh.aws.client("route53").list_resource_record_sets(HostedZoneId=ZONE)["ResourceRecordSets"]
    assert {record["Type"] for record in left} == {"NS", "SOA"}


def test_a_property_that_nobody_knows_is_refused_by_name(fresh: World) -> None:
    cases: dict[str, dict[str, Any]] = {
        "AWS::CloudWatch::Alarm": {"Nonsense": 1},
        "AWS::WAFv2::IPSet": {**VISITORS, "Nonsense": 1},
        "AWS::Route53::RecordSet": {"HostedZoneId": ZONE, "Name": "a", "Type": "A", "Nonsense": 1},
        "AWS::CloudFront::OriginAccessControl": {"OriginAccessControlConfig": {"Nonsense": 1}},
    }
    for resource_type, properties in cases.items():
        with pytest.raises(Refused, match="Nonsense"):
            fresh.make(fresh.wants(resource_type, properties))


def test_a_function_at_the_edge_is_refused(fresh: World) -> None:
    behavior = {"FunctionAssociations": [{"EventType": "viewer-request", "FunctionARN": "arn"}]}
    with pytest.raises(Refused, match="FunctionAssociations"):
        fresh.change(CDN, DistributionConfig={"DefaultCacheBehavior": behavior})
