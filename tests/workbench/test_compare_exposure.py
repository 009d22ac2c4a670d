"""What opens to whom, and by which name visitors come: read from anybody's templates, told to a reviewer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import Assemblies
from tests.workbench.handmade import resource
from tests.workbench.sides import of, side, templates, values
from workbench.compare.aspects import exposure
from workbench.compare.aspects.entrances import ANSWERING
from workbench.compare.model import Delta, Facts, Finding, Kind, Opening, Risk
from workbench.templates import read_assembly

Resources = dict[str, Any]
GROUP, BALANCER, RECORD = (
    "AWS::EC2::SecurityGroup",
    "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "AWS::Route53::RecordSet",
)
CDN = resource("AWS::CloudFront::Distribution", DistributionConfig={"Enabled": True})


def rule(ports: Any, protocol: Any = "tcp", **end: Any) -> Resources:
    first, _, last = str(ports).partition("-")
    return {"IpProtocol": protocol, "FromPort": int(first), "ToPort": int(last or first), **end}


def group(*rules: Any, out: Any = None) -> Resources:
    return resource(GROUP, GroupDescription="g", SecurityGroupIngress=list(rules), SecurityGroupEgress=out)


def balancer(*groups: str, scheme: str = "internet-facing") -> Resources:
    return resource(BALANCER, Scheme=scheme, SecurityGroups=[{"Fn::GetAtt": [name, "GroupId"]} for name in groups])


def record(name: str, to: Any, **more: Any) -> Resources:
    return resource(RECORD, Name=name, Type="A", AliasTarget={"DNSName": to, "HostedZoneId": "Z"}, **more)


def dns(name: str) -> Resources:
    return {"Fn::GetAtt": [name, "DNSName"]}


PUBLIC = {"Edge": group(rule(443, CidrIp="0.0.0.0/0")), "Front": balancer("Edge")}


def said(resources: Resources) -> set[str]:
    return {
        f"{one.source} -> {one.target}: {one.protocol} {one.ports}" + "!" * one.everybody
        for one in exposure.openings(of(resources).system)
    }


def entrances(resources: Resources) -> list[str]:
    return [f"{one.kind} {one.name}" for one in exposure.entrances(of(resources).system)]


def findings(before: Resources, after: Resources) -> list[Finding]:
    return exposure.compare(of(before), of(after))[2]


def told(before: Resources, after: Resources) -> list[tuple[Risk, Kind, str]]:
    return [(one.risk, one.kind, one.text) for one in findings(before, after)]


# --- openings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({"G": group(rule(443, CidrIp="0.0.0.0/0"))}, {"everybody -> G: tcp 443!"}),
        ({"G": group(rule(443, CidrIpv6="::/0"))}, {"everybody (IPv6) -> G: tcp 443!"}),
        ({"G": group(rule(443, CidrIp="0.0.0.0/1"))}, {"0.0.0.0/1 -> G: tcp 443!"}),
        ({"G": group(rule(443, CidrIp="10.0.0.0/8"))}, {"10.0.0.0/8 -> G: tcp 443"}),
        ({"G": group(rule("8000-8080", "17", CidrIp={"Ref": "Office"}))}, {"<Office> -> G: udp 8000-8080"}),
        ({"G": group({"IpProtocol": -1, "CidrIp": "10.0.0.0/16"})}, {"10.0.0.0/16 -> G: all all"}),
        ({"G": group(rule("0-65535", "6", CidrIp="10.0.0.0/16"))}, {"10.0.0.0/16 -> G: tcp all"}),
        ({"G": group(rule("443", SourcePrefixListId="pl-1"))}, {"prefix list pl-1 -> G: tcp 443"}),
        ({"G": group(rule("443", SourceSecurityGroupId="sg-1"))}, {"sg-1 -> G: tcp 443"}),
        ({"G": group({"Fn::If": ["Maybe", rule(22, CidrIp="10.0.0.0/8"), {"Ref": "AWS::NoValue"}]})},
         {"10.0.0.0/8 -> G: tcp 22"}),
        ({"App": group(), "Data": group(rule(5432, SourceSecurityGroupId={"Fn::GetAtt": ["App", "GroupId"]}))},
         {"App -> Data: tcp 5432"}),
        ({"App": group(), "Data": group(), "Rule": resource(f"{GROUP}Ingress", GroupId={"Ref": "Data"},
          SourceSecurityGroupId={"Ref": "App"}, IpProtocol="tcp", FromPort=5432, ToPort=5432)},
         {"App -> Data: tcp 5432"}),
        ({"Data": group(rule(5432, CidrIp="10.0.0.0/16")), "Db": resource("AWS::RDS::DBInstance", Port="5432"),
          "Rule": resource(f"{GROUP}Ingress", GroupId={"Ref": "Data"}, CidrIp="10.1.0.0/16", IpProtocol="tcp",
          FromPort={"Fn::GetAtt": ["Db", "Endpoint.Port"]}, ToPort={"Fn::GetAtt": ["Db", "Endpoint.Port"]})},
         {"10.0.0.0/16 -> Data: tcp 5432", "10.1.0.0/16 -> Data: tcp Db.Endpoint.Port"}),
        ({"G": group(out=[{"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}])}, set()),
        ({"G": group(out=[rule("252-86", "icmp", CidrIp="255.255.255.255/32")])}, set()),
        ({"G": group(out=[rule(443, CidrIp="0.0.0.0/0"), rule(443, DestinationPrefixListId="pl-1")])},
         {"G -> anywhere: tcp 443", "G -> prefix list pl-1: tcp 443"}),
        ({"G": group(out=[rule(443, DestinationSecurityGroupId={"Ref": "G"})])}, set()),
        ({"Db": resource("AWS::RDS::DBInstance", PubliclyAccessible="true")}, {"everybody -> Db: public address!"}),
        ({"B": resource("AWS::S3::Bucket", PublicAccessBlockConfiguration={"BlockPublicAcls": True})},
         {"everybody -> B: public unblocked!"}),
        ({"B": resource("AWS::S3::Bucket", AccessControl="PublicRead")}, {"everybody -> B: public read!"}),
        ({"B": resource("AWS::S3::Bucket")}, set()),
        ({"B": resource("AWS::S3::Bucket", PublicAccessBlockConfiguration={"BlockPublicAcls": 1})},
         {"everybody -> B: public unblocked!"}),
        ({"B": resource("AWS::S3::Bucket", PublicAccessBlockConfiguration={"BlockPublicAcls": True,
                                                                           "BlockPublicPolicy": "true"})}, set()),
    ],
)  # fmt: skip
def test_an_opening_says_who_reaches_whom_on_what(resources: Resources, expected: set[str]) -> None:
    assert said(resources) == expected


@pytest.mark.parametrize(
    ("opened", "risk", "text"),
    [
        ([rule(443, CidrIp="0.0.0.0/0")], Risk.NOTICE, "Everybody may now connect to G on tcp 443."),
        ([rule(80, CidrIp="0.0.0.0/0"), rule(443, CidrIp="0.0.0.0/0")], Risk.NOTICE,
         "Everybody may now connect to G on tcp 443 and tcp 80."),
        ([rule(22, CidrIp="0.0.0.0/0")], Risk.DANGER, "Everybody may now connect to G on tcp 22."),
        ([rule("80-443", CidrIp="0.0.0.0/0")], Risk.DANGER, "Everybody may now connect to G on tcp 80-443."),
        ([rule(5432, CidrIpv6="::/0")], Risk.DANGER, "Everybody (IPv6) may now connect to G on tcp 5432."),
        ([{"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}], Risk.DANGER, "Everybody may now connect to G on every port."),
        ([rule(22, CidrIp="198.51.100.7/32")], Risk.NOTICE, "198.51.100.7/32 may now connect to G on tcp 22."),
    ],
)  # fmt: skip
def test_what_opens_to_the_outside_is_told(opened: list[Any], risk: Risk, text: str) -> None:
    assert told({"G": group()}, {"G": group(*opened)}) == [(risk, Kind.OPEN_NETWORK, text)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (rule(22, CidrIp="0.0.0.0/0"), rule(22, CidrIp="198.51.100.0/24")),
        ({"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}, rule(22, CidrIp="0.0.0.0/0")),
        (rule("20-30", CidrIp="0.0.0.0/0"), rule(22, CidrIp="0.0.0.0/0")),
        (rule(22, CidrIp="0.0.0.0/0"), rule(5432, CidrIp="10.0.0.0/16")),
        (rule(22, CidrIp="0.0.0.0/0"), rule(5432, SourceSecurityGroupId={"Ref": "G"})),
    ],
)
def test_what_was_open_as_far_already_or_stays_inside_is_listed_and_not_told(before: Any, after: Any) -> None:
    delta, _, found = exposure.compare(of({"G": group(before)}), of({"G": group(after)}))
    assert (len(delta.added), len(delta.removed), found) == (1, 1, [])


def test_opening_to_ipv6_too_is_news_where_ipv4_was_open() -> None:
    both = [rule(22, CidrIp="0.0.0.0/0"), rule(22, CidrIpv6="::/0")]
    assert len(findings({"G": group(both[0])}, {"G": group(*both)})) == 1


def test_members_that_may_now_reach_everything_are_told() -> None:
    limited = {"G": group(out=[rule(443, CidrIp="0.0.0.0/0")])}
    free = {"G": group(out=[{"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}])}
    text = "Members of G may now connect to anything anywhere; before, only to what was listed."
    assert told(limited, free) == [(Risk.NOTICE, Kind.OPEN_NETWORK, text)]
    assert findings(free, limited) == []


BLOCK = dict.fromkeys(exposure.BLOCKS, True)


@pytest.mark.parametrize(
    ("before", "after", "risk", "text"),
    [
        ({"PublicAccessBlockConfiguration": BLOCK}, {"PublicAccessBlockConfiguration": {"BlockPublicAcls": True}},
         Risk.DANGER, "Nothing keeps B from being made public: its block of public access is off, or has a gap."),
        ({"PublicAccessBlockConfiguration": BLOCK}, {}, Risk.NOTICE,
         "B no longer says that public access to it is blocked."),
        ({}, {"AccessControl": "PublicReadWrite"}, Risk.DANGER,
         "Everybody may now read, change and delete what is in B."),
    ],
)  # fmt: skip
def test_a_bucket_that_may_become_public_is_told(before: Any, after: Any, risk: Risk, text: str) -> None:
    buckets = ({"B": resource("AWS::S3::Bucket", **properties)} for properties in (before, after))
    assert told(*buckets) == [(risk, Kind.OPEN_NETWORK, text)]


def test_a_database_with_a_public_address_is_told() -> None:
    databases = ({"Db": resource("AWS::RDS::DBInstance", PubliclyAccessible=public)} for public in (False, True))
    text = "Db gets an address on the internet: only its security groups stand before it."
    assert told(*databases) == [(Risk.DANGER, Kind.OPEN_NETWORK, text)]


# --- entrances -------------------------------------------------------------------------------------------------------

HOST = {
    "Edge": group(rule(443, CidrIp="0.0.0.0/0")),
    "Host": resource("AWS::EC2::Instance", SecurityGroupIds=[{"Ref": "Edge"}]),
    "Address": resource("AWS::EC2::EIP"),
    "Use": resource("AWS::EC2::EIPAssociation", AllocationId={"Fn::GetAtt": ["Address", "AllocationId"]},
                    InstanceId={"Ref": "Host"}),
    "Nat": resource("AWS::EC2::EIP"),
}  # fmt: skip
BEHIND_CDN = {"Edge": group(rule(443, SourcePrefixListId="pl-1")), "Front": balancer("Edge"), "Cdn": CDN}


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (PUBLIC, ["load balancer Front"]),
        ({**PUBLIC, "Front": balancer("Edge", scheme="internal")}, []),
        ({"Front": resource(BALANCER, Type="network")}, ["load balancer Front"]),
        ({"Edge": group(rule(443, CidrIp="10.0.0.0/8")), "Front": balancer("Edge")}, []),
        ({"Edge": group(rule(443, SourcePrefixListId="pl-1")), "Front": balancer("Edge")}, ["load balancer Front"]),
        (BEHIND_CDN, ["CDN Cdn"]),
        (HOST, ["address Address"]),
        ({"Api": resource("AWS::ApiGatewayV2::Api")}, ["API Api"]),
        ({"Api": resource("AWS::ApiGateway::RestApi", EndpointConfiguration={"Types": ["PRIVATE"]})}, []),
        ({"Url": resource("AWS::Lambda::Url", AuthType="NONE")}, ["function URL Url"]),
        ({"Url": resource("AWS::Lambda::Url", AuthType="AWS_IAM")}, []),
        ({"B": resource("AWS::S3::Bucket", WebsiteConfiguration={"IndexDocument": "i"})}, []),
        ({"B": resource("AWS::S3::Bucket", WebsiteConfiguration={"IndexDocument": "i"},
                        PublicAccessBlockConfiguration={"BlockPublicAcls": False})}, ["website B"]),
        ({**PUBLIC, "R": record("a.example.com.", dns("Front"))}, ["domain a.example.com"]),
        ({**PUBLIC, "R": record("a.example.com.", {"Fn::Join": ["", ["dualstack.", dns("Front")]]})},
         ["domain a.example.com"]),
        ({**PUBLIC, "O": record("o.example.com.", dns("Front")), "R": record("A.example.com.", "o.example.com.")},
         ["domain a.example.com"]),
        ({**PUBLIC, "R": resource(RECORD, Name="a.example.com", Type="TXT", ResourceRecords=[dns("Front")])},
         ["load balancer Front"]),
        ({**PUBLIC, "R": resource("AWS::Route53::RecordSetGroup", RecordSets=[
            {"Name": "a.example.com", "Type": "CNAME", "ResourceRecords": [dns("Front")]}])}, ["domain a.example.com"]),
        ({"Cdn": resource("AWS::CloudFront::Distribution", DistributionConfig={"Aliases": ["a.example.com"]})},
         ["domain a.example.com"]),
        ({**BEHIND_CDN, "O": record("o.example.com", dns("Front")), "R": record("a.example.com", dns("Cdn"))},
         ["domain a.example.com"]),
    ],
)  # fmt: skip
def test_visitors_come_in_where_a_name_leads_to_something_open(resources: Resources, expected: list[str]) -> None:
    assert entrances(resources) == expected


LB_NAME, CDN_NAME = "the name that AWS gives to the load balancer Front", "the name that AWS gives to the CDN Cdn"
DOMAIN = {**PUBLIC, "R": record("a.example.com", dns("Front"))}


@pytest.mark.parametrize(
    ("before", "after", "risk", "text"),
    [
        (PUBLIC, BEHIND_CDN, Risk.NOTICE, f"Visitors need another address: {CDN_NAME} instead of {LB_NAME}."),
        (HOST, {**PUBLIC, "Address": HOST["Address"]}, Risk.NOTICE,
         f"Visitors need another address: {LB_NAME} instead of the address Address."),
        (PUBLIC, {}, Risk.NOTICE, f"Visitors can no longer come in by {LB_NAME}."),
        (DOMAIN, PUBLIC, Risk.NOTICE, f"Visitors need another address: {LB_NAME} instead of a.example.com."),
        (DOMAIN, {**PUBLIC, "R": record("b.example.com", dns("Front"))}, Risk.NOTICE,
         "Visitors need another address: b.example.com instead of a.example.com."),
        (PUBLIC, DOMAIN, Risk.ROUTINE, "Visitors may now use a.example.com as well."),
        (DOMAIN, {**BEHIND_CDN, "R": record("a.example.com", dns("Cdn"))}, Risk.ROUTINE,
         "a.example.com stays, and leads to Cdn instead of Front."),
    ],
)  # fmt: skip
def test_a_name_that_changes_for_visitors_is_told(before: Resources, after: Resources, risk: Risk, text: str) -> None:
    assert told(before, after) == [(risk, Kind.ADDRESS, text)]


def test_an_entrance_that_is_made_anew_has_another_address() -> None:
    named = {**PUBLIC, "Front": resource(BALANCER, Name="other", SecurityGroups=[{"Ref": "Edge"}])}
    before = {**PUBLIC, "Front": resource(BALANCER, Name="one", SecurityGroups=[{"Ref": "Edge"}])}
    text = f"Visitors need another address: {LB_NAME} changes, because it is replaced."
    assert told(before, named) == [(Risk.NOTICE, Kind.ADDRESS, text)]


def test_another_way_in_is_told() -> None:
    after = {**PUBLIC, "Url": resource("AWS::Lambda::Url", AuthType="NONE")}
    text = "There is a new way in from the internet: the function URL Url."
    assert told(PUBLIC, after) == [(Risk.NOTICE, Kind.OPEN_NETWORK, text)]


def firewall_of(name: str) -> Resources:
    return resource("AWS::WAFv2::WebACLAssociation", ResourceArn={"Ref": name}, WebACLArn="arn:acl")


def test_a_firewall_that_goes_is_told() -> None:
    text = "Front no longer has a web firewall in front of it."
    assert told({**PUBLIC, "W": firewall_of("Front")}, PUBLIC) == [(Risk.NOTICE, Kind.OPEN_NETWORK, text)]


def test_a_new_entrance_without_a_firewall_is_told_where_the_old_one_had_one() -> None:
    guarded = {**PUBLIC, "W": firewall_of("Front")}
    text = "Cdn is a way in without a web firewall; before, every way in had one."
    assert (Risk.NOTICE, Kind.OPEN_NETWORK, text) in told(guarded, BEHIND_CDN)
    with_acl = resource("AWS::CloudFront::Distribution", DistributionConfig={"WebACLId": "arn:acl"})
    assert [one.kind for one in findings(guarded, {**BEHIND_CDN, "Cdn": with_acl})] == [Kind.ADDRESS]


# --- our stages, and anything ----------------------------------------------------------------------------------------


def between(assemblies: Assemblies, profile: str, first: int, second: int) -> tuple[list[str], list[tuple[Risk, str]]]:
    """Openings that come and go, and what is said about them."""
    sides = (side(read_assembly(assemblies(profile)[number])) for number in (first, second))
    delta, _, found = exposure.compare(*sides)
    signed = [(sign, one) for sign, ones in (("+", delta.added), ("-", delta.removed)) for one in ones]
    openings = [f"{sign} {one.source} -> {one.target} {one.ports}" for sign, one in signed]
    return openings, [(one.risk, one.text) for one in found]


def test_without_a_domain_the_cdn_gives_visitors_another_name(assemblies: Assemblies) -> None:
    _, found = between(assemblies, "sandbox", 3, 4)
    text = (
        "Visitors need another address: the name that AWS gives to the CDN Cdn/Distribution "
        "instead of the name that AWS gives to the load balancer Front/Balancer."
    )
    assert found == [(Risk.NOTICE, text)]


def test_with_a_domain_the_name_stays_and_the_edge_closes_to_all_but_the_cdn(assemblies: Assemblies) -> None:
    openings, found = between(assemblies, "production", 3, 4)
    assert found == [(Risk.ROUTINE, "shop.example.com stays, and leads to Cdn/Distribution instead of Front/Balancer.")]
    assert [one.partition(" pl-")[0] for one in openings] == [
        "+ prefix list",
        "- everybody -> Tiers/Edge 443",
        "- everybody -> Tiers/Edge 80",
    ]


def test_the_last_step_opens_nothing(assemblies: Assemblies) -> None:
    for profile in ("production", "sandbox"):
        assert between(assemblies, profile, 4, 5) == ([], [])


def test_the_tiers_of_a_stage_reach_only_the_next_one(production: dict[int, Path]) -> None:
    found = exposure.openings(side(read_assembly(production[5])).system)
    assert Opening("Tiers/App", "Tiers/Database", "tcp", "5433") in found
    assert not [one for one in found if one.everybody]


TYPES = [
    GROUP, f"{GROUP}Ingress", f"{GROUP}Egress", BALANCER, RECORD, "AWS::EC2::EIP", "AWS::EC2::EIPAssociation",
    "AWS::EC2::Instance", "AWS::S3::Bucket", "AWS::Route53::RecordSetGroup", "AWS::WAFv2::WebACLAssociation",
    *ANSWERING,
]  # fmt: skip
NAMES = [
    "SecurityGroupIngress", "SecurityGroupEgress", "GroupId", "IpProtocol", "FromPort", "ToPort", "CidrIp", "CidrIpv6",
    "SourceSecurityGroupId", "SourcePrefixListId", "Scheme", "SecurityGroups", "AliasTarget", "DNSName", "Name", "Type",
    "ResourceRecords", "RecordSets", "DistributionConfig", "Aliases", "Origins", "DomainName", "InstanceId", "AuthType",
    "PublicAccessBlockConfiguration", "PubliclyAccessible", "AccessControl", "WebsiteConfiguration", "ResourceArn",
]  # fmt: skip
RULES = st.lists(st.dictionaries(st.sampled_from(NAMES[2:8]), values(NAMES), max_size=6), max_size=3)
ANYTHING = templates(
    TYPES, NAMES, RULES.map(lambda found: {"SecurityGroupIngress": found, "SecurityGroupEgress": found})
)


@settings(max_examples=60, deadline=None)
@given(before=ANYTHING, after=ANYTHING)
def test_no_template_is_too_strange_and_nothing_differs_from_itself(before: Facts, after: Facts) -> None:
    delta, _, _ = exposure.compare(before, after)
    assert not set(delta.added) & set(delta.removed)
    assert exposure.compare(after, after) == (Delta(), Delta(), [])
    exposure.openings(after.system), exposure.entrances(after.system)
