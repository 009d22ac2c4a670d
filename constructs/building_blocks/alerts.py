"""Who is told when something hurts: one topic, and alarms that say what it means."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from blueprint.metrics import CustomMetric


class Alerts(Construct):
    """The topic that every alarm of an environment notifies."""

    def __init__(self, scope: Construct, construct_id: str, *, key: kms.IKey, email: str | None) -> None:
        super().__init__(scope, construct_id)
        self.topic = sns.Topic(self, "Topic", display_name="Alarms", master_key=key, enforce_ssl=True)
        # A topic with a policy of its own no longer has the default one, so the senders are named.
        for sender in ("cloudwatch", "budgets"):
            self.topic.add_to_resource_policy(
                iam.PolicyStatement(
                    actions=["sns:Publish"],
                    principals=[iam.ServicePrincipal(f"{sender}.amazonaws.com")],
                    resources=[self.topic.topic_arn],
                    conditions={"StringEquals": {"aws:SourceAccount": cdk.Stack.of(self).account}},
                )
            )
        if email is not None:
            self.topic.add_subscription(subscriptions.EmailSubscription(email))


def alarm(
    scope: Construct,
    construct_id: str,
    *,
    metric: cloudwatch.IMetric,
    threshold: float,
    minutes: int,
    meaning: str,
    alerts: sns.ITopic,
    below: bool = False,
    missing_is_bad: bool = False,
) -> cloudwatch.Alarm:
    """Notify `alerts` when `metric` has been at or beyond `threshold` for so many of its periods in a row."""
    comparison = cloudwatch.ComparisonOperator
    raised = cloudwatch.Alarm(
        scope,
        construct_id,
        metric=metric,
        threshold=threshold,
        evaluation_periods=minutes,
        comparison_operator=comparison.LESS_THAN_OR_EQUAL_TO_THRESHOLD
        if below
        else comparison.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        treat_missing_data=cloudwatch.TreatMissingData.BREACHING
        if missing_is_bad
        else cloudwatch.TreatMissingData.NOT_BREACHING,
        alarm_description=meaning,
    )
    raised.add_alarm_action(actions.SnsAction(alerts))
    raised.add_ok_action(actions.SnsAction(alerts))
    return raised


def custom_metric(metric: CustomMetric, *, environment: str, statistic: str) -> cloudwatch.Metric:
    """A metric from the one list, as CloudWatch names it."""
    return cloudwatch.Metric(
        namespace=metric.namespace,
        metric_name=metric.name,
        dimensions_map={"Environment": environment},
        statistic=statistic,
        period=cdk.Duration.minutes(1),
    )
