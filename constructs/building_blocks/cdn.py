"""What visitors meet first: edge locations that answer for files and for the catalogue, and shield the load balancer.

What is under the catalogue's paths is read-only and the same for everybody: no cookie reaches the shop there and none
comes back, so one visitor's page can never be kept for another. Whatever is personal is on another path.
"""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from constructs import Construct

from blueprint import parts
from blueprint.parts import Protection
from building_blocks.acknowledged import acknowledge
from building_blocks.alerts import alarm
from building_blocks.buckets import PrivateBucket
from building_blocks.cdn_policies import answers_to_errors, catalogue_cache, seconds, security_headers
from building_blocks.load_balancer import ORIGIN_HEADER

CATALOGUE_PATHS = ("/products/*", "/api/v1/products*")
STATIC_PATHS = "/static/*"
PRICE_CLASSES = {
    "PriceClass_100": cloudfront.PriceClass.PRICE_CLASS_100,
    "PriceClass_200": cloudfront.PriceClass.PRICE_CLASS_200,
    "PriceClass_All": cloudfront.PriceClass.PRICE_CLASS_ALL,
}
# CloudFront sends its metrics to this region, and an alarm sees those of its own region only.
METRICS_REGION = "us-east-1"


class Cdn(Construct):
    """A distribution before the load balancer, with a private bucket for static files.

    Outside us-east-1 it has no alarm of its own; the load balancer's tell of the same errors.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        spec: parts.Cdn,
        origin_domain: str,
        origin_over_tls: bool,
        origin_key: str,
        domain_names: Sequence[str],
        certificate: acm.ICertificate | None,
        firewall_arn: str,
        key: kms.IKey,
        access_logs: s3.IBucket,
        edge_logs: s3.IBucket,
        protection: Protection,
        alerts: sns.ITopic,
    ) -> None:
        super().__init__(scope, construct_id)
        self.static_bucket = PrivateBucket(self, "Static", key=key, logs=access_logs, protection=protection).bucket
        self._headers = security_headers(self, "SecurityHeaders")
        app = origins.HttpOrigin(
            origin_domain,
            protocol_policy=cloudfront.OriginProtocolPolicy.HTTPS_ONLY
            if origin_over_tls
            else cloudfront.OriginProtocolPolicy.HTTP_ONLY,
            origin_ssl_protocols=[cloudfront.OriginSslPolicy.TLS_V1_2],
            custom_headers={ORIGIN_HEADER: origin_key},
            # A load balancer that is down is known after ten seconds instead of thirty.
            connection_attempts=2,
            connection_timeout=seconds(5),
            read_timeout=seconds(30),
            keepalive_timeout=seconds(50),  # below the load balancer's 60, so that it never closes under a request
        )
        self.distribution = cloudfront.Distribution(
            self,
            "Distribution",
            comment="The shop's edge",
            domain_names=list(domain_names) or None,
            certificate=certificate,
            minimum_protocol_version=cloudfront.SecurityPolicyProtocol.TLS_V1_2_2025
            if certificate is not None
            else None,
            http_version=cloudfront.HttpVersion.HTTP2_AND_3,
            enable_ipv6=True,
            price_class=PRICE_CLASSES[spec.price_class],
            web_acl_id=firewall_arn,
            log_bucket=edge_logs,
            log_file_prefix="edge/",
            log_includes_cookies=False,
            publish_additional_metrics=True,
            default_behavior=self._everything_else(app),
            additional_behaviors={
                STATIC_PATHS: self._static_files(app),
                **dict.fromkeys(CATALOGUE_PATHS, self._catalogue(app)),
            },
            error_responses=answers_to_errors(),
        )
        self._let_in(key)
        self._acknowledge(certificate, origin_over_tls)
        if cdk.Stack.of(self).region == METRICS_REGION:
            alarm(
                self,
                "Errors",
                metric=self.metric("5xxErrorRate", "Average"),
                threshold=5,
                minutes=5,
                meaning="One visitor in twenty gets an error at the edge, or the page that says so",
                alerts=alerts,
            )

    def metric(self, name: str, statistic: str) -> cloudwatch.Metric:
        """As CloudFront sends it; the distribution's own methods leave out a dimension and so never find any."""
        return cloudwatch.Metric(
            namespace="AWS/CloudFront",
            metric_name=name,
            dimensions_map={"DistributionId": self.distribution.distribution_id, "Region": "Global"},
            statistic=statistic,
            period=cdk.Duration.minutes(1),
            region=METRICS_REGION,
        )

    def _everything_else(self, app: cloudfront.IOrigin) -> cloudfront.BehaviorOptions:
        """Carts, orders, log-ins: straight to the shop, with all that the visitor sent."""
        return cloudfront.BehaviorOptions(
            origin=app,
            allowed_methods=cloudfront.AllowedMethods.ALLOW_ALL,
            cache_policy=cloudfront.CachePolicy.CACHING_DISABLED,
            # The Host header too: the shop compares it with a form's origin.
            origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER,
            response_headers_policy=self._headers,
            viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
        )

    def _static_files(self, app: cloudfront.IOrigin) -> cloudfront.BehaviorOptions:
        """From the bucket; from the shop's own copy when the bucket has not got it (S3 then says 403) or is down."""
        access = cloudfront.S3OriginAccessControl(self, "StaticAccess", description="The edge reads static files")
        bucket = origins.S3BucketOrigin.with_bucket_defaults(
            self.static_bucket, origin_access_control_id=access.origin_access_control_id
        )
        return cloudfront.BehaviorOptions(
            origin=origins.OriginGroup(
                primary_origin=bucket, fallback_origin=app, fallback_status_codes=[403, 404, 500, 502, 503, 504]
            ),
            allowed_methods=cloudfront.AllowedMethods.ALLOW_GET_HEAD_OPTIONS,
            cache_policy=cloudfront.CachePolicy.CACHING_OPTIMIZED,
            compress=True,
            response_headers_policy=self._headers,
            viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
        )

    def _catalogue(self, app: cloudfront.IOrigin) -> cloudfront.BehaviorOptions:
        """Products: one request in half a minute reaches the shop for each page, however many ask."""
        return cloudfront.BehaviorOptions(
            origin=app,
            allowed_methods=cloudfront.AllowedMethods.ALLOW_GET_HEAD_OPTIONS,
            cache_policy=catalogue_cache(self, "CatalogueCache"),
            origin_request_policy=cloudfront.OriginRequestPolicy.HOST_HEADER_ONLY,
            compress=True,
            response_headers_policy=self._headers,
            viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
        )

    def _let_in(self, key: kms.IKey) -> None:
        """Let this distribution, and no other, read the static files."""
        edge = iam.ServicePrincipal("cloudfront.amazonaws.com")
        self.static_bucket.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["s3:GetObject"],
                principals=[edge],
                resources=[self.static_bucket.arn_for_objects("*")],
                conditions={"StringEquals": {"aws:SourceArn": self.distribution.distribution_arn}},
            )
        )
        # The key stands before the distribution, so it lets all of the account's in. A borrowed key ignores this: its
        # owner says the same.
        distributions = cdk.Stack.of(self).format_arn(
            service="cloudfront", region="", resource="distribution", resource_name="*"
        )
        key.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["kms:Decrypt"],
                principals=[edge],
                resources=["*"],
                conditions={"ArnLike": {"aws:SourceArn": distributions}},
            )
        )

    def _acknowledge(self, certificate: acm.ICertificate | None, origin_over_tls: bool) -> None:
        acknowledge(self.distribution, "CFR1", because="The shop sells everywhere; there is no country to shut out.")
        exception = "Exception `no-domain`, for trials only: production is refused without a domain."
        if certificate is None:
            acknowledge(
                self.distribution,
                "CFR4",
                because=f"{exception} A *.cloudfront.net certificate fixes the oldest TLS version by itself.",
            )
        if not origin_over_tls:
            acknowledge(
                self.distribution,
                "CFR5",
                because=f"{exception} Without a name of its own the load balancer has no certificate to show.",
            )
