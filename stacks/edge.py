"""What visitors meet first: the domain's record and, once there is a CDN, the distribution behind it."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_kms as kms
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_sns as sns
from constructs import IConstruct

from blueprint.environment import Environment
from blueprint.parts import Cdn as CdnSpec
from blueprint.parts import Protection
from building_blocks.buckets import LogBucket
from building_blocks.cdn import Cdn
from building_blocks.encryption import Encryption
from building_blocks.firewall import Firewall
from building_blocks.load_balancer import LoadBalancer
from building_blocks.origin_keys import OriginKeys
from building_blocks.published import publish
from stacks.base import EVERYBODY, BlueprintStack
from stacks.network import NetworkStack
from stacks.web import WebStack

# CloudFront takes certificates and firewalls from this region only.
CLOUDFRONT_REGION = "us-east-1"
# Fixed by AWS: the hosted zone of every CloudFront distribution.
CLOUDFRONT_ZONE = "Z2FDTNDATAQYW2"


class EdgeEssentials:
    """The certificate and the firewall of the distribution, in whichever stack may hold them."""

    def __init__(
        self,
        stack: BlueprintStack,
        spec: CdnSpec,
        *,
        environment: Environment,
        protection: Protection,
        key: kms.IKey,
        alerts: sns.ITopic | None = None,
    ) -> None:
        self.firewall = Firewall(
            stack,
            "EdgeFirewall",
            scope_name="CLOUDFRONT",
            environment_name=environment.name,
            requests_per_five_minutes=spec.requests_per_five_minutes,
            key=key,
            protection=protection,
            alerts=alerts,
            only_from=() if EVERYBODY in environment.open_to else environment.open_to,
        )
        self.resources: list[IConstruct] = [self.firewall.acl]
        self.certificate: acm.ICertificate | None = None
        if environment.domain is not None:
            self.certificate = acm.Certificate(
                stack,
                "EdgeCertificate",
                domain_name=environment.domain,
                validation=acm.CertificateValidation.from_dns(stack.zone),
            )
            self.resources.append(self.certificate)


class GlobalStack(BlueprintStack):
    """Only for environments whose home is not us-east-1: what CloudFront takes from there."""

    def __init__(self, app: cdk.App, *, environment: Environment, protection: Protection) -> None:
        super().__init__(
            app,
            "global",
            environment=environment,
            protection=protection,
            description="Certificate and firewall of the edge, which CloudFront takes from us-east-1",
            region=CLOUDFRONT_REGION,
        )
        # A key of its own, from stage 1 on as everywhere: keys do not leave their region, and are never removed.
        self.key = Encryption(self, "Encryption", protection=protection).key
        self.essentials: EdgeEssentials | None = None
        if environment.stage.cdn is not None:
            self.essentials = EdgeEssentials(
                self, environment.stage.cdn, environment=environment, protection=protection, key=self.key
            )
            for resource in self.essentials.resources:
                cdk.CrossStackReferences.of(resource).produce(cdk.ReferenceStrength.WEAK)


class EdgeStack(BlueprintStack):
    """Empty without a domain until there is a CDN; with one, the domain's record changes its target in place."""

    def __init__(
        self,
        app: cdk.App,
        *,
        environment: Environment,
        protection: Protection,
        network: NetworkStack,
        web: WebStack,
        elsewhere: GlobalStack | None,
    ) -> None:
        super().__init__(
            app,
            "edge",
            environment=environment,
            protection=protection,
            description="The domain's record and the content delivery network",
            may_be_empty=True,
        )
        self._network, self._web = network, web
        spec = environment.stage.cdn
        self.cdn: Cdn | None = None
        if spec is not None and web.front is not None and web.origin_keys is not None:
            self._key = self.borrow_key(network.key)
            essentials = elsewhere.essentials if elsewhere is not None else None
            essentials = essentials or EdgeEssentials(
                self, spec, environment=environment, protection=protection, key=self._key, alerts=network.alerts
            )
            self.cdn = self._distribution(spec, web.front, web.origin_keys, essentials)
            publish(
                self,
                "StaticBucket",
                path=f"/{environment.name}/static/bucket",
                value=self.cdn.static_bucket.bucket_name,
                meaning="Where the edge takes static files from",
            )
        if environment.domain is not None:
            self._domain_record(environment.domain)

    def _distribution(
        self, spec: CdnSpec, front: LoadBalancer, origin_keys: OriginKeys, essentials: EdgeEssentials
    ) -> Cdn:
        environment = self._environment
        logs = LogBucket(self, "EdgeLogs", protection=self._protection, accepts_acls=True)
        return Cdn(
            self,
            "Cdn",
            spec=spec,
            origin_domain=(
                f"origin.{environment.domain}" if environment.domain else front.balancer.load_balancer_dns_name
            ),
            origin_over_tls=environment.domain is not None,
            origin_key=origin_keys.sent,
            domain_names=[environment.domain] if environment.domain else [],
            certificate=essentials.certificate,
            firewall_arn=essentials.firewall.arn,
            key=self._key,
            access_logs=self.borrow_logs(self._network.logs),
            edge_logs=logs.bucket,
            protection=self._protection,
            alerts=self._network.alerts,
        )

    def _domain_record(self, domain: str) -> None:
        target = route53.CfnRecordSet.AliasTargetProperty
        zone_id = str(self._environment.hosted_zone_id)
        route53.CfnRecordSet(
            self,
            "DomainRecord",
            hosted_zone_id=zone_id,
            name=f"{domain}.",
            type="A",
            comment="Where visitors find the shop",
            # Without a CDN it leads to the record of the hosts, so that hosts may change and this record need not know.
            alias_target=target(dns_name=f"origin.{domain}.", hosted_zone_id=zone_id)
            if self.cdn is None
            else target(dns_name=self.cdn.distribution.distribution_domain_name, hosted_zone_id=CLOUDFRONT_ZONE),
        )
