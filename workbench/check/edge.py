"""Rules about the edge: where its parts live, and that there is no way around it."""

from __future__ import annotations

from collections.abc import Iterator

from workbench.check.in_transit import has_cdn
from workbench.check.rule import Verdicts, Wanted, rule
from workbench.templates.reading import Resource, System, dig, items

CLOUDFRONT_REGION = "us-east-1"


@rule(
    "TR08-region",
    "Certificate and firewall of the edge are in us-east-1",
    why="CloudFront takes them from there only, and says so after minutes of deploying.",
    fix="With another home region they belong in the global stack.",
    source="AWS CloudFront, requirements for certificates; AWS WAF, scope CLOUDFRONT",
    expected=has_cdn,
)
def region(system: System, _: Wanted) -> Verdicts:
    for distribution in system.of_type("AWS::CloudFront::Distribution"):
        firewall = system.target(distribution.get("DistributionConfig.WebACLId"), "AWS::WAFv2::WebACL")
        yield distribution, None if firewall else "has no firewall"
        if firewall is not None:
            yield firewall, None if firewall.get("Scope") == "CLOUDFRONT" else "is not made for CloudFront"
        certificate = distribution.get("DistributionConfig.ViewerCertificate.AcmCertificateArn")
        found = system.target(certificate, "AWS::CertificateManager::Certificate")
        if certificate is not None:
            yield found or distribution, _elsewhere(found) if found else "has a certificate that no template describes"
    for firewall in system.of_type("AWS::WAFv2::WebACL"):
        if firewall.get("Scope") == "CLOUDFRONT":
            yield firewall, _elsewhere(firewall)


def _elsewhere(resource: Resource) -> str | None:
    here = resource.stack.region
    return None if here == CLOUDFRONT_REGION else f"is in {here}, where CloudFront does not look"


@rule(
    "TR08-lock",
    "Behind the edge, the load balancer answers only the edge",
    why="Whoever finds its address otherwise goes around cache, firewall and limits.",
    fix="Default action 403; forward only with the secret header. Off only between the two passes of the move.",
    source="AWS CloudFront, restrict access to Application Load Balancers",
    expected=has_cdn,
)
def lock(system: System, wanted: Wanted) -> Verdicts:
    if not system.of_type("AWS::CloudFront::Distribution"):
        return
    for listener in system.of_type("AWS::ElasticLoadBalancingV2::Listener"):
        open_actions = [action for action in items(listener.get("DefaultActions")) if action["Type"] == "forward"]
        unlocked = bool(open_actions) and wanted.lock_origin
        yield listener, "forwards whatever nobody asked for" if unlocked else None
    for each in system.of_type("AWS::ElasticLoadBalancingV2::ListenerRule"):
        forwards = any(action["Type"] == "forward" for action in items(each.get("Actions")))
        header = any(condition.get("Field") == "http-header" for condition in items(each.get("Conditions")))
        yield each, "forwards without the secret header" if forwards and not header and wanted.lock_origin else None
    for distribution in system.of_type("AWS::CloudFront::Distribution"):
        for problem in _origin_problems(distribution):
            yield distribution, problem
        yield distribution, None


def _origin_problems(distribution: Resource) -> Iterator[str]:
    for origin in items(distribution.get("DistributionConfig.Origins")):
        if "CustomOriginConfig" in origin and not origin.get("OriginCustomHeaders"):
            yield "does not prove to its origin who it is"
        if "S3OriginConfig" in origin and not origin.get("OriginAccessControlId"):
            yield "reads its bucket without origin access control"
        if dig(origin, "CustomOriginConfig") is None and dig(origin, "S3OriginConfig") is None:
            yield "has an origin of a kind that nobody has judged yet"


RULES = (region, lock)
