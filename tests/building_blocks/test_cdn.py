"""The distribution: who answers for which path, what may be kept, and what a visitor sees when the shop is down."""

from __future__ import annotations

import re
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_certificatemanager as acm

from blueprint import parts
from building_blocks.buckets import LogBucket
from building_blocks.cdn import CATALOGUE_PATHS, STATIC_PATHS, Cdn
from building_blocks.cdn_policies import UNAVAILABLE_PAGE
from tests.building_blocks.alone import ACCOUNT, CAREFUL, ForeignApp, Template, only, resources, synth_alone
from workbench.synth import ROOT

DISTRIBUTION = "AWS::CloudFront::Distribution"
ACL = f"arn:aws:wafv2:us-east-1:{ACCOUNT}:global/webacl/theirs/00000000-0000-0000-0000-000000000000"
CERTIFICATE = f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/00000000-0000-0000-0000-000000000000"
KEY = "{{resolve:secretsmanager:their-origin-key:SecretString:::}}"
# CloudFront's own policies, the same in every account.
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
ALL_VIEWER = "216adef6-5c7f-47e4-b989-5492eafa07d3"
HOST_HEADER_ONLY = "bf0718e1-ba1e-49d1-88b1-f726733018ae"

READS = {"GET", "HEAD", "OPTIONS"}


def synth(*, domain: str | None = "shop.example.com", region: str = "us-east-1") -> Template:
    def build(stack: cdk.Stack, theirs: ForeignApp) -> None:
        Cdn(
            stack,
            "Cdn",
            spec=parts.Cdn(price_class="PriceClass_100"),
            origin_domain=f"origin.{domain}" if domain else "their-balancer.us-east-1.elb.amazonaws.com",
            origin_over_tls=domain is not None,
            origin_key=KEY,
            domain_names=[domain] if domain else [],
            certificate=acm.Certificate.from_certificate_arn(stack, "TheirCertificate", CERTIFICATE)
            if domain
            else None,
            firewall_arn=ACL,
            key=theirs.key,
            access_logs=theirs.logs,
            edge_logs=LogBucket(stack, "EdgeLogs", protection=CAREFUL, accepts_acls=True).bucket,
            protection=CAREFUL,
            alerts=theirs.alerts,
        )

    return synth_alone(build, region=region)


@pytest.fixture(scope="module")
def template() -> Template:
    return synth()


@pytest.fixture(scope="module")
def nameless() -> Template:
    return synth(domain=None)


def config(template: Template) -> dict[str, Any]:
    found = only(template, DISTRIBUTION)["DistributionConfig"]
    assert isinstance(found, dict)
    return found


def behaviours(template: Template) -> dict[str, dict[str, Any]]:
    found = config(template)
    return {"default": found["DefaultCacheBehavior"]} | {each["PathPattern"]: each for each in found["CacheBehaviors"]}


def origin(template: Template, kind: str) -> dict[str, Any]:
    """The origin of a kind; an origin group repeats the one it falls back to."""
    found = [each for each in config(template)["Origins"] if kind in each]
    assert len({str(each["DomainName"]) for each in found}) == 1
    assert isinstance(found[0], dict)
    return found[0]


def static_bucket(template: Template) -> str:
    [bucket] = [name for name in resources(template, "AWS::S3::Bucket") if name.startswith("CdnStatic")]
    return bucket


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HttpVersion", "http2and3"),
        ("IPV6Enabled", True),
        ("PriceClass", "PriceClass_100"),
        ("WebACLId", ACL),
        ("Aliases", ["shop.example.com"]),
        (
            "ViewerCertificate",
            {
                "AcmCertificateArn": CERTIFICATE,
                "MinimumProtocolVersion": "TLSv1.2_2025",
                "SslSupportMethod": "sni-only",
            },
        ),
    ],
)
def test_visitors_come_by_a_current_protocol_and_past_the_firewall(
    template: Template, name: str, value: object
) -> None:
    assert config(template)[name] == value


def test_the_front_page_is_the_shops_own(template: Template) -> None:
    """A default root object would ask the shop for another path than `/`."""
    assert "DefaultRootObject" not in config(template)


@pytest.mark.parametrize("path", ["default", STATIC_PATHS, *CATALOGUE_PATHS])
def test_every_path_is_https_only_and_carries_the_security_headers(template: Template, path: str) -> None:
    [policy] = resources(template, "AWS::CloudFront::ResponseHeadersPolicy")
    behaviour = behaviours(template)[path]
    assert behaviour["ViewerProtocolPolicy"] == "redirect-to-https"
    assert behaviour["ResponseHeadersPolicyId"] == {"Ref": policy}
    assert behaviour["Compress"] is True


def test_no_other_path_has_rules_of_its_own(template: Template) -> None:
    assert set(behaviours(template)) == {"default", STATIC_PATHS, *CATALOGUE_PATHS}


def test_by_default_all_goes_to_the_shop_and_nothing_is_kept(template: Template) -> None:
    behaviour = behaviours(template)["default"]
    assert behaviour["CachePolicyId"] == CACHING_DISABLED
    assert behaviour["OriginRequestPolicyId"] == ALL_VIEWER
    assert set(behaviour["AllowedMethods"]) == READS | {"POST", "PUT", "PATCH", "DELETE"}
    assert behaviour["TargetOriginId"] == origin(template, "CustomOriginConfig")["Id"]


@pytest.mark.parametrize("path", CATALOGUE_PATHS)
def test_the_catalogue_is_read_without_cookies_so_no_page_can_be_somebodys(template: Template, path: str) -> None:
    behaviour = behaviours(template)[path]
    [policy] = resources(template, "AWS::CloudFront::CachePolicy")
    assert behaviour["CachePolicyId"] == {"Ref": policy}
    assert behaviour["OriginRequestPolicyId"] == HOST_HEADER_ONLY
    assert set(behaviour["AllowedMethods"]) == READS


def test_the_catalogue_is_kept_for_a_short_time_by_its_own_queries(template: Template) -> None:
    policy = only(template, "AWS::CloudFront::CachePolicy")["CachePolicyConfig"]
    assert (policy["MinTTL"], policy["DefaultTTL"], policy["MaxTTL"]) == (0, 30, 60)
    key = policy["ParametersInCacheKeyAndForwardedToOrigin"]
    assert key["CookiesConfig"] == {"CookieBehavior": "none"}
    assert key["HeadersConfig"] == {"HeaderBehavior": "none"}
    assert key["QueryStringsConfig"]["QueryStringBehavior"] == "whitelist"
    assert {"q", "cursor", "limit"} <= set(key["QueryStringsConfig"]["QueryStrings"])
    assert (key["EnableAcceptEncodingGzip"], key["EnableAcceptEncodingBrotli"]) == (True, True)


def test_static_files_come_from_the_bucket_and_else_from_the_shop(template: Template) -> None:
    behaviour = behaviours(template)[STATIC_PATHS]
    [group] = config(template)["OriginGroups"]["Items"]
    assert behaviour["TargetOriginId"] == group["Id"]
    assert behaviour["CachePolicyId"] == CACHING_OPTIMIZED
    by_id = {each["Id"]: each for each in config(template)["Origins"]}
    first, second = (by_id[member["OriginId"]] for member in group["Members"]["Items"])
    assert first["DomainName"] == {"Fn::GetAtt": [static_bucket(template), "RegionalDomainName"]}
    assert second["DomainName"] == "origin.shop.example.com"
    assert group["FailoverCriteria"]["StatusCodes"]["Items"] == [403, 404, 500, 502, 503, 504]


def test_no_origin_group_is_behind_a_path_that_takes_writes(template: Template) -> None:
    """CloudFront refuses such a distribution, which no synthesis would show."""
    groups = {group["Id"] for group in config(template)["OriginGroups"]["Items"]}
    behind = [each for each in behaviours(template).values() if each["TargetOriginId"] in groups]
    assert behind
    assert all(set(each["AllowedMethods"]) <= READS for each in behind)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_shop_that_is_down_is_replaced_by_a_static_page_for_seconds(template: Template, status: int) -> None:
    [answer] = [each for each in config(template)["CustomErrorResponses"] if each["ErrorCode"] == status]
    assert answer["ResponsePagePath"] == UNAVAILABLE_PAGE
    assert answer["ResponseCode"] == 503
    assert 0 < answer["ErrorCachingMinTTL"] <= 10


def test_the_page_comes_from_elsewhere_than_the_shop() -> None:
    assert UNAVAILABLE_PAGE.startswith(STATIC_PATHS.removesuffix("*"))
    assert (ROOT / "shop").joinpath(*UNAVAILABLE_PAGE.strip("/").split("/")).is_file()


@pytest.mark.parametrize("status", [404, 405, 414, 500, 501])
def test_one_visitors_error_is_the_shops_own_and_never_kept_for_another(template: Template, status: int) -> None:
    [answer] = [each for each in config(template)["CustomErrorResponses"] if each["ErrorCode"] == status]
    assert answer == {"ErrorCode": status, "ErrorCachingMinTTL": 0}


def test_the_shop_is_reached_by_tls_and_with_the_key(template: Template) -> None:
    app = origin(template, "CustomOriginConfig")
    assert app["OriginCustomHeaders"] == [{"HeaderName": "X-Origin-Verify", "HeaderValue": KEY}]
    assert app["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"
    assert app["CustomOriginConfig"]["OriginSSLProtocols"] == ["TLSv1.2"]


def test_a_dead_load_balancer_is_known_after_ten_seconds(template: Template) -> None:
    app = origin(template, "CustomOriginConfig")
    assert app["ConnectionAttempts"] * app["ConnectionTimeout"] == 10
    assert app["CustomOriginConfig"]["OriginKeepaliveTimeout"] < 60  # the load balancer's idle timeout


def test_only_this_distribution_reads_the_bucket(template: Template) -> None:
    bucket = static_bucket(template)
    [policy] = [
        policy["Properties"]["PolicyDocument"]["Statement"]
        for policy in resources(template, "AWS::S3::BucketPolicy").values()
        if policy["Properties"]["Bucket"] == {"Ref": bucket}
    ]
    [read] = [statement for statement in policy if statement["Effect"] == "Allow"]
    [distribution] = resources(template, DISTRIBUTION)
    assert read["Action"] == "s3:GetObject"
    assert read["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    assert read["Condition"]["StringEquals"]["aws:SourceArn"]["Fn::Join"][1][-1] == {"Ref": distribution}
    access = only(template, "AWS::CloudFront::OriginAccessControl")["OriginAccessControlConfig"]
    assert (access["SigningBehavior"], access["SigningProtocol"]) == ("always", "sigv4")
    assert "OriginAccessControlId" in origin(template, "S3OriginConfig")


def test_the_key_lets_the_accounts_distributions_decrypt(template: Template) -> None:
    statements = only(template, "AWS::KMS::Key")["KeyPolicy"]["Statement"]
    [edge] = [each for each in statements if each["Principal"] == {"Service": "cloudfront.amazonaws.com"}]
    assert edge["Action"] == "kms:Decrypt"
    assert edge["Condition"] == {"ArnLike": {"aws:SourceArn": f"arn:aws:cloudfront::{ACCOUNT}:distribution/*"}}


def test_every_visit_is_logged_without_cookies(template: Template) -> None:
    logging = config(template)["Logging"]
    assert logging["IncludeCookies"] is False
    assert logging["Bucket"]["Fn::GetAtt"][0].startswith("EdgeLogs")


@pytest.mark.parametrize(
    ("header", "value"),
    [
        (
            "StrictTransportSecurity",
            {"AccessControlMaxAgeSec": 31_536_000, "IncludeSubdomains": False, "Override": True},
        ),
        ("ContentTypeOptions", {"Override": True}),
        ("FrameOptions", {"FrameOption": "DENY", "Override": True}),
        ("ReferrerPolicy", {"ReferrerPolicy": "strict-origin-when-cross-origin", "Override": True}),
    ],
)
def test_each_security_header_is_set(template: Template, header: str, value: object) -> None:
    policy = only(template, "AWS::CloudFront::ResponseHeadersPolicy")["ResponseHeadersPolicyConfig"]
    assert policy["SecurityHeadersConfig"][header] == value
    assert "ContentSecurityPolicy" not in policy["SecurityHeadersConfig"]


def test_errors_at_the_edge_raise_an_alarm_where_their_metric_is(template: Template) -> None:
    raised = only(template, "AWS::CloudWatch::Alarm")
    assert raised["MetricName"] == "5xxErrorRate"
    assert {"Name": "Region", "Value": "Global"} in raised["Dimensions"]
    assert resources(template, "AWS::CloudFront::MonitoringSubscription")


def test_elsewhere_there_is_no_alarm_that_could_never_see_its_metric() -> None:
    assert not resources(synth(region="eu-west-1"), "AWS::CloudWatch::Alarm")


def test_without_a_domain_visitors_still_come_by_https(nameless: Template) -> None:
    found = config(nameless)
    assert "Aliases" not in found
    assert "ViewerCertificate" not in found
    assert origin(nameless, "CustomOriginConfig")["CustomOriginConfig"]["OriginProtocolPolicy"] == "http-only"
    assert all(each["ViewerProtocolPolicy"] == "redirect-to-https" for each in behaviours(nameless).values())


def test_names_that_aws_demands_differ_between_stacks(template: Template) -> None:
    names = [
        only(template, "AWS::CloudFront::CachePolicy")["CachePolicyConfig"]["Name"],
        only(template, "AWS::CloudFront::ResponseHeadersPolicy")["ResponseHeadersPolicyConfig"]["Name"],
        only(template, "AWS::CloudFront::OriginAccessControl")["OriginAccessControlConfig"]["Name"],
    ]
    assert all(name.startswith("Foreign") for name in names)


def test_the_unavailable_page_needs_nothing_from_a_shop_that_is_down() -> None:
    page = (ROOT / "shop" / "static" / "unavailable.html").read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!["'])|url\(|@import|<script|<link""", page)
    assert '<html lang="en">' in page
    assert "viewport" in page
    assert "color-scheme" in page
    assert len(page.encode()) < 4_000
