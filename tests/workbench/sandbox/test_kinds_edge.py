"""Distributions, firewalls, certificates, alarms: made from the shop's templates, read back as users would."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.workbench.sandbox.shop import World, surprises, template_of
from workbench.sandbox.kinds.calls import remembered
from workbench.sandbox.kinds.edge import EDGE, make_zone
from workbench.sandbox.kinds.kind import FAILURES, Aws, Made, Refused

Found = Mapping[str, Any]

CDN, ACCESS, ACL, FRONT = (
    "CdnDistribution149FA6C8",
    "CdnStaticAccess061DD184",
    "EdgeFirewallAcl5B24BE08",
    "FirewallOfFront",
)
RECORD, ZONE, CERTIFICATE = "DomainRecord", "Z0123456789ABCDEFGHIJ", "EdgeCertificate0E8664CD"
SHOP = [id for id, resource in template_of().items() if resource["Type"] in EDGE]
VISITORS = {
    "Addresses": ["203.0.113.10/32"],
    "Description": "Who may visit",
    "IPAddressVersion": "IPV4",
    "Scope": "CLOUDFRONT",
}
REWRITE = {
    "Name": "rewrite",
    "AutoPublish": True,
    "FunctionCode": "function handler(event) { return event.request }",
    "FunctionConfig": {"Comment": "Rewrites", "Runtime": "cloudfront-js-2.0"},
}
ALARM = "DatabaseBusy48B74074"


@pytest.fixture
def fresh() -> World:
    world = World(EDGE)
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
        "Rewrite": {"FunctionCode": "function handler(event) { return event.response }"},
        "Dashboard9E4231ED": {"DashboardBody": '{"widgets": []}'},
        "CdnCatalogueCache6ED074BC": {"CachePolicyConfig": {"Name": "other", "MinTTL": 1}},
    }


@pytest.fixture(params=[pytest.param(state, marks=pytest.mark.slow) for state in ("as made", "as changed")])
def world(request: pytest.FixtureRequest, fresh: World) -> World:
    """Everything that the templates have, and what only sandboxes have; just made, or changed in place."""
    for id in SHOP:
        fresh.get(id)
    fresh.make(fresh.wants("AWS::WAFv2::IPSet", VISITORS, "Visitors"))
    fresh.make(fresh.wants("AWS::CloudFront::Function", REWRITE, "Rewrite"))
    if request.param == "as changed":
        for id, properties in changes(fresh).items():
            before = fresh.get(id)
            assert fresh.change(id, **properties).id == before.id
    return fresh


def distribution(aws: Aws, made: Made) -> Found:
    answer = aws.client("cloudfront").get_distribution_config(Id=made.id)["DistributionConfig"]
    behaviors = [answer["DefaultCacheBehavior"], *answer["CacheBehaviors"].get("Items", [])]
    for behavior in behaviors:
        behavior["AllowedMethods"] = behavior["AllowedMethods"]["Items"]
    return {"DistributionConfig": answer}


def access(aws: Aws, made: Made) -> Found:
    return aws.client("cloudfront").get_origin_access_control(Id=made.id)["OriginAccessControl"]  # type: ignore[no-any-return]


def function(aws: Aws, made: Made) -> Found:
    client, name = aws.client("cloudfront"), {"Name": made.id.rpartition("/")[2]}
    summary = client.describe_function(**name)["FunctionSummary"]
    code = client.get_function(**name)["FunctionCode"].read().decode()
    live = summary["FunctionMetadata"]["Stage"] == "LIVE"
    return {**summary, "FunctionCode": code, "AutoPublish": live}


def firewall(thing: str, member: str) -> Callable[[Aws, Made], Found]:
    def read(aws: Aws, made: Made) -> Found:
        named = dict(zip(("Name", "Id", "Scope"), made.id.split("|"), strict=True))
        return {**getattr(aws.client("wafv2"), f"get_{thing}")(**named)[member], "Scope": named["Scope"]}

    return read


def firewall_logs(aws: Aws, made: Made) -> Found:
    answer = aws.client("wafv2").get_logging_configuration(ResourceArn=made.id)
    return answer["LoggingConfiguration"]  # type: ignore[no-any-return]


def association(aws: Aws, made: Made) -> Found:
    resource = made.id.split("|")[0]
    acl = aws.client("wafv2").get_web_acl_for_resource(ResourceArn=resource)["WebACL"]
    return {"ResourceArn": resource, "WebACLArn": acl["ARN"]}


def certificate(aws: Aws, made: Made) -> Found:
    found = aws.client("acm").describe_certificate(CertificateArn=made.id)["Certificate"]
    others = [name for name in found["SubjectAlternativeNames"] if name != found["DomainName"]]
    method = found["DomainValidationOptions"][0]["ValidationMethod"]
    found["DomainValidationOptions"].sort(key=lambda option: option["DomainName"] != found["DomainName"])
    return {**found, "SubjectAlternativeNames": others, "ValidationMethod": method}


def alarm(aws: Aws, made: Made) -> Found:
    return aws.client("cloudwatch").describe_alarms(AlarmNames=[made.id])["MetricAlarms"][0]  # type: ignore[no-any-return]


def dashboard(aws: Aws, made: Made) -> Found:
    return aws.client("cloudwatch").get_dashboard(DashboardName=made.id)  # type: ignore[no-any-return]


READERS: dict[str, Callable[[Aws, Made], Found]] = {
    "AWS::CertificateManager::Certificate": certificate,
    "AWS::CloudFront::Distribution": distribution,
    "AWS::CloudFront::Function": function,
    "AWS::CloudFront::OriginAccessControl": access,
    "AWS::CloudWatch::Alarm": alarm,
    "AWS::CloudWatch::Dashboard": dashboard,
    "AWS::WAFv2::IPSet": firewall("ip_set", "IPSet"),
    "AWS::WAFv2::LoggingConfiguration": firewall_logs,
    "AWS::WAFv2::WebACL": firewall("web_acl", "WebACL"),
    "AWS::WAFv2::WebACLAssociation": association,
}
RENAMED = {"IPV6Enabled": "IsIPV6Enabled", "OriginCustomHeaders": "CustomHeaders"}
UNTOLD = {"Tags"}


def records(world: World, id: str) -> list[dict[str, Any]]:
    wanted = world.wanted[id].properties
    found = world.aws.client("route53").list_resource_record_sets(HostedZoneId=ZONE)["ResourceRecordSets"]
    return [
        record
        for record in found
        if (record["Name"].rstrip("."), record["Type"]) == (wanted["Name"].rstrip("."), wanted["Type"])
    ]


def test_all_is_read_back_as_the_templates_want_it_but_for_what_is_openly_forgotten(world: World) -> None:
    for id, wanted in world.wanted.items():
        if wanted.type in READERS:
            found = READERS[wanted.type](world.aws, world.made[id])
            assert surprises(wanted, found, RENAMED, UNTOLD) == set(), id


def test_records_are_read_back_as_the_templates_want_them(world: World) -> None:
    for id, wanted in world.wanted.items():
        if wanted.type == "AWS::Route53::RecordSet":
            [record] = records(world, id)
            found = {**record, "HostedZoneId": ZONE, "Name": wanted.properties["Name"]}
            found["ResourceRecords"] = [value["Value"] for value in record.get("ResourceRecords", [])]
            assert surprises(wanted, found, RENAMED, UNTOLD) == set(), id


def test_what_has_no_service_is_remembered_and_the_list_of_that_is_complete(world: World) -> None:
    only_kept = {type_ for type_ in EDGE if hasattr(EDGE[type_], "reason")}
    assert only_kept == EDGE.keys() - READERS.keys() - {"AWS::Route53::RecordSet"}
    for id, wanted in world.wanted.items():
        if wanted.type in only_kept:
            kept = remembered(world.aws, "cloudfront", wanted.type)[world.made[id].id]
            assert kept == {**wanted.properties, "Tags": kept["Tags"]}


def test_all_carries_the_tags_of_its_stack_and_its_own(world: World) -> None:
    for id in (CDN, ALARM, CERTIFICATE):
        assert world.tags_of(id) == world.all_tags_of(id)
    tags = world.aws.client("wafv2").list_tags_for_resource(ResourceARN=world.made[ACL].attributes["Arn"])
    assert {tag["Key"]: tag["Value"] for tag in tags["TagInfoForResource"]["TagList"]} == world.all_tags_of(ACL)


def test_an_origin_keeps_the_right_to_its_bucket(fresh: World) -> None:
    origins = distribution(fresh.aws, fresh.get(CDN))["DistributionConfig"]["Origins"]["Items"]
    assert [origin.get("OriginAccessControlId") for origin in origins][-1] == fresh.get(ACCESS).id


def test_a_certificate_is_issued_at_once(fresh: World) -> None:
    assert certificate(fresh.aws, fresh.get(CERTIFICATE))["Status"] == "ISSUED"


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
        "AWS::CloudFront::OriginAccessControl": {"OriginAccessControlConfig": {"Nonsense": 1}},
    }
    for resource_type, properties in cases.items():
        with pytest.raises(Refused, match="Nonsense"):
            fresh.make(fresh.wants(resource_type, properties))
