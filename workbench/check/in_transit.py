"""Rules about what travels: encrypted between any two of us, and to visitors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from blueprint.parts import Stage
from workbench.check.rule import Verdicts, Wanted, rule
from workbench.templates.reading import Resource, System, dig, items, yes

# What has a policy of its own that can refuse plain transport: type -> (policy type, where it names the resource).
REFUSERS = {
    "AWS::S3::Bucket": ("AWS::S3::BucketPolicy", "Bucket"),
    "AWS::SNS::Topic": ("AWS::SNS::TopicPolicy", "Topics"),
    "AWS::SQS::Queue": ("AWS::SQS::QueuePolicy", "Queues"),
}
MODERN_LISTENER = re.compile(r"TLS13-1-[23]-")
MODERN_VIEWER = re.compile(r"TLSv1\.[23]")
MODERN_ORIGIN = {"TLSv1.2", "TLSv1.3"}


def has_cdn(stage: Stage) -> bool:
    return stage.cdn is not None


def has_front(stage: Stage) -> bool:
    return stage.fleet is not None or stage.cdn is not None


def has_managed_store(stage: Stage) -> bool:
    return stage.database is not None or stage.cache is not None


@rule(
    "HA12",
    "Buckets, topics and queues refuse plain HTTP",
    why="Their endpoints answer HTTP too; only a policy keeps a wrong client from using it.",
    fix="A statement that denies everybody when aws:SecureTransport is false (enforce_ssl in CDK).",
    source="AWS FSBP S3.5; cdk-nag SNS3, SQS4",
)
def plain_transport(system: System, _: Wanted) -> Verdicts:
    for resource in system.of_type(*REFUSERS):
        policies = system.users(resource, *REFUSERS[resource.type])
        statements = [each for policy in policies for each in items(policy.get("PolicyDocument.Statement"))]
        refused = any(_refuses_plain(statement) for statement in statements)
        yield resource, None if refused else "accepts plain HTTP"


def _refuses_plain(statement: Mapping[str, Any]) -> bool:
    everybody = statement.get("Principal") in ("*", {"AWS": "*"})
    plain = str(dig(statement, "Condition.Bool", {}).get("aws:SecureTransport")).lower() == "false"
    return statement.get("Effect") == "Deny" and everybody and plain


@rule(
    "HA13",
    "Visitors get HTTPS from the edge",
    why="A page over plain HTTP can be read and changed by every network on the way.",
    fix="ViewerProtocolPolicy redirect-to-https; a certificate with TLS 1.2 as the least.",
    source="AWS FSBP CloudFront.3, CloudFront.15",
    expected=has_cdn,
)
def viewers(system: System, _: Wanted) -> Verdicts:
    for distribution in system.of_type("AWS::CloudFront::Distribution"):
        behaviours = [distribution.get("DistributionConfig.DefaultCacheBehavior", {})]
        behaviours += items(distribution.get("DistributionConfig.CacheBehaviors"))
        for behaviour in behaviours:
            safe = behaviour.get("ViewerProtocolPolicy") in ("redirect-to-https", "https-only")
            yield distribution, None if safe else f"serves {behaviour.get('PathPattern', 'everything else')} over HTTP"
        certificate = distribution.get("DistributionConfig.ViewerCertificate", {})
        if distribution.get("DistributionConfig.Aliases"):
            modern = MODERN_VIEWER.match(str(certificate.get("MinimumProtocolVersion")))
            yield distribution, None if modern else "accepts visitors with TLS older than 1.2"


@rule(
    "HA14",
    "The load balancer and the way to it speak HTTPS",
    why="Between edge and balancer requests cross the internet with sessions and passwords in them.",
    fix="Give the environment a domain: HTTPS listener, HTTP only to redirect, origin protocol https-only.",
    source="AWS FSBP ELB.1, ELB.17, ELB.18, CloudFront.9, CloudFront.10",
    expected=has_front,
)
def front(system: System, _: Wanted) -> Verdicts:
    for listener in system.of_type("AWS::ElasticLoadBalancingV2::Listener"):
        yield listener, _listener_problem(system, listener)
    for distribution in system.of_type("AWS::CloudFront::Distribution"):
        for origin in items(distribution.get("DistributionConfig.Origins")):
            custom = origin.get("CustomOriginConfig")
            if custom is None:
                yield distribution, None
                continue
            https = custom.get("OriginProtocolPolicy") == "https-only"
            yield distribution, None if https else "asks its origin over HTTP"
            if https and not set(items(custom.get("OriginSSLProtocols"))) <= MODERN_ORIGIN:
                yield distribution, "asks its origin with TLS older than 1.2"


def _listener_problem(system: System, listener: Resource) -> str | None:
    protocol = listener.get("Protocol")
    if protocol in ("HTTPS", "TLS"):
        if not listener.get("Certificates"):
            return "has no certificate"
        return None if MODERN_LISTENER.search(str(listener.get("SslPolicy"))) else "accepts TLS older than 1.2"
    rules = system.users(listener, "AWS::ElasticLoadBalancingV2::ListenerRule", "ListenerArn")
    actions = [*items(listener.get("DefaultActions"))]
    for each in rules:
        actions += items(each.get("Actions"))
    redirects = all(dig(action, "RedirectConfig.Protocol") == "HTTPS" for action in actions)
    return None if actions and redirects else f"answers over {protocol} and does not only redirect"


@rule(
    "HA16",
    "Database and cache demand TLS",
    why="PostgreSQL and Valkey talk plainly unless they are told not to.",
    fix="Parameter rds.force_ssl 1; TransitEncryptionEnabled with mode required.",
    source="AWS FSBP RDS.38, ElastiCache.5",
    expected=has_managed_store,
)
def stores(system: System, _: Wanted) -> Verdicts:
    for instance in system.of_type("AWS::RDS::DBInstance"):
        group = system.target(instance.get("DBParameterGroupName"), "AWS::RDS::DBParameterGroup")
        forced = group is not None and str(group.get("Parameters", {}).get("rds.force_ssl")) == "1"
        yield instance, None if forced else "lets clients in without TLS"
    for cache in system.of_type("AWS::ElastiCache::ReplicationGroup"):
        yield cache, next(_cache_problems(cache), None)


def _cache_problems(cache: Resource) -> Iterator[str]:
    if not yes(cache.get("TransitEncryptionEnabled")):
        yield "talks plainly"
    if cache.get("TransitEncryptionMode", "required") != "required":
        yield "still lets clients in without TLS"


RULES = (plain_transport, viewers, front, stores)
