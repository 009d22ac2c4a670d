"""What the edge keeps and for how long, and what it adds to each answer."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudfront as cloudfront
from constructs import Construct

# What chooses between answers. Anything else in a query, such as the mark of a campaign, finds the same copy.
CATALOGUE_QUERIES = ("category", "cursor", "limit", "page", "q", "sort")
UNAVAILABLE_PAGE = "/static/unavailable.html"
# CloudFront would keep these answers for ten seconds on every path, also the personal ones.
NEVER_KEPT = (404, 405, 414, 500, 501)

seconds = cdk.Duration.seconds


def catalogue_cache(scope: Construct, construct_id: str) -> cloudfront.CachePolicy:
    """Public pages, without a trace of who asked for them."""
    return cloudfront.CachePolicy(
        scope,
        construct_id,
        comment="Public pages for half a minute, by the queries that choose between them",
        # A changed price shows within the half minute; the shop may ask for less, or for a minute.
        min_ttl=seconds(0),
        default_ttl=seconds(30),
        max_ttl=seconds(60),
        query_string_behavior=cloudfront.CacheQueryStringBehavior.allow_list(*CATALOGUE_QUERIES),
        cookie_behavior=cloudfront.CacheCookieBehavior.none(),
        header_behavior=cloudfront.CacheHeaderBehavior.none(),
        enable_accept_encoding_gzip=True,
        enable_accept_encoding_brotli=True,
    )


def security_headers(scope: Construct, construct_id: str) -> cloudfront.ResponseHeadersPolicy:
    """On every answer, static or not. What a page may load is the shop's to say: it knows its pages."""
    return cloudfront.ResponseHeadersPolicy(
        scope,
        construct_id,
        comment="Security headers of every answer",
        security_headers_behavior=cloudfront.ResponseSecurityHeadersBehavior(
            strict_transport_security=cloudfront.ResponseHeadersStrictTransportSecurity(
                # Not for the subdomains: other people's sites may live there.
                access_control_max_age=cdk.Duration.days(365),
                include_subdomains=False,
                override=True,
            ),
            content_type_options=cloudfront.ResponseHeadersContentTypeOptions(override=True),
            frame_options=cloudfront.ResponseHeadersFrameOptions(
                frame_option=cloudfront.HeadersFrameOption.DENY, override=True
            ),
            referrer_policy=cloudfront.ResponseHeadersReferrerPolicy(
                referrer_policy=cloudfront.HeadersReferrerPolicy.STRICT_ORIGIN_WHEN_CROSS_ORIGIN, override=True
            ),
        ),
    )


def answers_to_errors() -> list[cloudfront.ErrorResponse]:
    """A page from the bucket while the shop is down. An origin group could not do this: it takes no POST."""
    # Kept for five seconds: long enough to give hosts a breath, short enough that nobody misses their recovery.
    down = [
        cloudfront.ErrorResponse(
            http_status=status, response_http_status=503, response_page_path=UNAVAILABLE_PAGE, ttl=seconds(5)
        )
        for status in (502, 503, 504)
    ]
    return down + [cloudfront.ErrorResponse(http_status=status, ttl=seconds(0)) for status in NEVER_KEPT]
