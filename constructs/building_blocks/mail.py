"""Mail to customers: who it comes from, and what happens when it is not wanted."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_ses as ses
from aws_cdk import aws_sns as sns
from constructs import Construct

from building_blocks.alerts import alarm

# AWS looks into an account from 5 % bounces or 0.1 % complaints on, and stops its mail at twice as much.
BOUNCES = 0.05
COMPLAINTS = 0.001


class Mail(Construct):
    """The right to send as somebody: `shop@` the domain, else as one address, else nobody may send.

    A domain's identity is made here, with its records in the zone. An address is not: it is verified once an account,
    by a person who clicks, and two environments may share it. A new account's mail reaches verified addresses only,
    until AWS has been asked to lift that.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        domain: str | None,
        hosted_zone_id: str | None,
        address: str | None,
        alerts: sns.ITopic,
    ) -> None:
        super().__init__(scope, construct_id)
        self.sender: str | None = None
        self.rules_name: str | None = None
        self.sending_arns: list[str] = []
        self._stack = cdk.Stack.of(self)
        if domain is not None and hosted_zone_id is not None:
            rules = self._rules(alerts)
            identity = self._identity(domain, hosted_zone_id, rules)
            self._send_as(f"shop@{domain}", identity.email_identity_arn, rules)
        elif address is not None:
            arn = self._stack.format_arn(service="ses", resource="identity", resource_name=address)
            self._send_as(address, arn, self._rules(alerts))

    def _identity(self, domain: str, hosted_zone_id: str, rules: ses.ConfigurationSet) -> ses.EmailIdentity:
        zone = route53.PublicHostedZone.from_public_hosted_zone_attributes(
            self, "Zone", hosted_zone_id=hosted_zone_id, zone_name=domain
        )
        # Three records prove the domain and sign each mail. Bounces come back to a subdomain, so that SPF agrees with
        # the sender; while its record is missing, mail is refused instead of sent from what looks like a forgery.
        return ses.EmailIdentity(
            self,
            "Identity",
            identity=ses.Identity.public_hosted_zone(zone),
            configuration_set=rules,
            mail_from_domain=f"mail.{domain}",
            mail_from_behavior_on_mx_failure=ses.MailFromBehaviorOnMxFailure.REJECT_MESSAGE,
        )

    def _send_as(self, sender: str, identity_arn: str, rules: ses.ConfigurationSet) -> None:
        self.sender, self.rules_name = sender, rules.configuration_set_name
        rules_arn = self._stack.format_arn(
            service="ses", resource="configuration-set", resource_name=rules.configuration_set_name
        )
        self.sending_arns = [identity_arn, rules_arn]

    def _rules(self, alerts: sns.ITopic) -> ses.ConfigurationSet:
        rules = ses.ConfigurationSet(
            self,
            "Rules",
            tls_policy=ses.ConfigurationSetTlsPolicy.REQUIRE,
            suppression_reasons=ses.SuppressionReasons.BOUNCES_AND_COMPLAINTS,
            reputation_metrics=True,
        )
        for rate, limit in (("BounceRate", BOUNCES), ("ComplaintRate", COMPLAINTS)):
            alarm(
                self,
                rate,
                metric=cloudwatch.Metric(
                    namespace="AWS/SES",
                    metric_name=f"Reputation.{rate}",
                    dimensions_map={"ses:configuration-set": rules.configuration_set_name},
                    statistic="Maximum",
                    period=cdk.Duration.hours(1),  # SES reports rarely, and a rate over time does not jump
                ),
                threshold=limit,
                minutes=1,
                meaning="Too much mail comes back or is called spam: AWS will stop all mail of the account",
                alerts=alerts,
            )
        return rules
