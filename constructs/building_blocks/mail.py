"""Mail to customers: who it comes from, and what happens when it is not wanted."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_ses as ses
from aws_cdk import aws_sns as sns
from constructs import Construct

from building_blocks.alerts import alarm
from building_blocks.published import publish

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
        environment_name: str,
        domain: str | None,
        hosted_zone_id: str | None,
        address: str | None,
        alerts: sns.ITopic,
    ) -> None:
        super().__init__(scope, construct_id)
        self.sender: str | None = None
        self.rules_name: str | None = None
        self.sending_arns: list[str] = []
        self.identity: str | None = None
        self._stack = cdk.Stack.of(self)
        self._path = f"/{environment_name}/mail"
        if domain is not None and hosted_zone_id is not None:
            rules = self._rules(alerts)
            self._make_identity(domain, hosted_zone_id, rules)
            self._send_as(f"shop@{domain}", domain, rules)
        elif address is not None:
            self._send_as(address, address, self._rules(alerts))

    def _make_identity(self, domain: str, hosted_zone_id: str, rules: ses.ConfigurationSet) -> None:
        zone = route53.PublicHostedZone.from_public_hosted_zone_attributes(
            self, "Zone", hosted_zone_id=hosted_zone_id, zone_name=domain
        )
        # Three records prove the domain and sign each mail. Bounces come back to a subdomain, so that SPF agrees with
        # the sender; while its record is missing, mail is refused instead of sent from what looks like a forgery.
        ses.EmailIdentity(
            self,
            "Identity",
            identity=ses.Identity.public_hosted_zone(zone),
            configuration_set=rules,
            mail_from_domain=f"mail.{domain}",
            mail_from_behavior_on_mx_failure=ses.MailFromBehaviorOnMxFailure.REJECT_MESSAGE,
        )

    def _send_as(self, sender: str, identity: str, rules: ses.ConfigurationSet) -> None:
        self.sender, self.identity, self.rules_name = sender, identity, rules.configuration_set_name
        self.sending_arns = sending_arns(self._stack, identity, rules.configuration_set_name)
        publish(self, "From", path=f"{self._path}/from", value=sender, meaning="Whom the shop's mail is from")
        publish(self, "By", path=f"{self._path}/rules", value=self.rules_name, meaning="The rules that it is sent by")

    def _rules(self, alerts: sns.ITopic) -> ses.ConfigurationSet:
        rules = ses.ConfigurationSet(
            self,
            "Rules",
            tls_policy=ses.ConfigurationSetTlsPolicy.REQUIRE,
            suppression_reasons=ses.SuppressionReasons.BOUNCES_AND_COMPLAINTS,
            reputation_metrics=True,
        )
        # What became of each mail: to whoever listens on the account's own bus, the only one that SES takes.
        bus = events.EventBus.from_event_bus_arn(
            self, "Bus", self._stack.format_arn(service="events", resource="event-bus", resource_name="default")
        )
        event = ses.EmailSendingEvent
        rules.add_event_destination(
            "Outcomes",
            destination=ses.EventDestination.event_bus(bus),
            events=[event.SEND, event.DELIVERY, event.BOUNCE, event.COMPLAINT, event.REJECT],
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


def sending_arns(stack: cdk.Stack, identity: str, rules_name: str) -> list[str]:
    """What whoever sends needs a right to: the identity, which is a domain or an address, and the rules."""
    return [
        stack.format_arn(service="ses", resource="identity", resource_name=identity),
        stack.format_arn(service="ses", resource="configuration-set", resource_name=rules_name),
    ]
