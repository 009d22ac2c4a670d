"""Work waiting for one job: in order of arrival, kept until done, set aside when it cannot be done."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from blueprint.parts import Job, Protection
from building_blocks.alerts import alarm
from building_blocks.keeping import keep

# SNS takes no more than 256 KiB, so nothing larger can be a copy of an event. Large things go through the files bucket.
LARGEST_EVENT = 256 * 1024
# Lambda may hold a message for six times its timeout before the next attempt (AWS's own advice for batches).
TIMEOUTS_UNTIL_NEXT_ATTEMPT = 6
ATTEMPTS = 5
# A message keeps its age when it is set aside: four days of waiting leave ten to look at it.
KEPT_WAITING = cdk.Duration.days(4)
KEPT_ASIDE = cdk.Duration.days(14)


class JobQueue(Construct):
    """A queue that receives the events of one job from the topic, and the queue for what failed.

    The filter reads the event's own `type`: an attribute beside it would be a second truth that a publisher can forget,
    and SNS drops without a word what matches no filter.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        spec: Job,
        topic: sns.ITopic,
        key: kms.IKey,
        protection: Protection,
        alerts: sns.ITopic,
    ) -> None:
        super().__init__(scope, construct_id)
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=KEPT_ASIDE,
            max_message_size_bytes=LARGEST_EVENT,
        )
        hidden = spec.timeout_seconds * TIMEOUTS_UNTIL_NEXT_ATTEMPT
        self.queue = sqs.Queue(
            self,
            "Queue",
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=key,
            enforce_ssl=True,
            visibility_timeout=cdk.Duration.seconds(hidden),
            retention_period=KEPT_WAITING,
            max_message_size_bytes=LARGEST_EVENT,
            receive_message_wait_time=cdk.Duration.seconds(20),  # fewer empty answers to whoever looks by hand
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=ATTEMPTS),
            # Nothing is set aside into a queue of work. The dead letters cannot name their source in turn: a circle.
            redrive_allow_policy=sqs.RedriveAllowPolicy(redrive_permission=sqs.RedrivePermission.DENY_ALL),
        )
        for queue in (self.queue, self.dead_letters):
            keep(queue, protection)
        self._subscribe(spec, topic, key)
        self._alarms(hidden, alerts)

    def _subscribe(self, spec: Job, topic: sns.ITopic, key: kms.IKey) -> None:
        # By hand: the subscription helper lets only this topic use the key, and with one key for both that is a circle.
        sender = iam.ServicePrincipal("sns.amazonaws.com")
        key.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                principals=[sender],
                resources=["*"],
                conditions={"StringEquals": {"aws:SourceAccount": cdk.Stack.of(self).account}},
            )
        )
        allowed = self.queue.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["sqs:SendMessage"],
                principals=[sender],
                resources=[self.queue.queue_arn],
                conditions={"ArnEquals": {"aws:SourceArn": topic.topic_arn}},
            )
        )
        subscription = sns.Subscription(
            self,
            "Subscription",
            topic=topic,
            protocol=sns.SubscriptionProtocol.SQS,
            endpoint=self.queue.queue_arn,
            raw_message_delivery=True,
            filter_policy_with_message_body={
                "type": sns.FilterOrPolicy.filter(sns.SubscriptionFilter.string_filter(allowlist=list(spec.events)))
            },
            dead_letter_queue=self.dead_letters,
        )
        if allowed.policy_dependable is not None:
            subscription.node.add_dependency(allowed.policy_dependable)

    def hear_of_mail(self, rules_name: str) -> None:
        """Also receive what became of mails that were sent by these rules."""
        rule = events.Rule(
            self,
            "MailOutcomes",
            description="What became of mails, for the job that sends them",
            event_pattern=events.EventPattern(
                source=["aws.ses"], detail={"mail": {"tags": {"ses:configuration-set": [rules_name]}}}
            ),
        )
        resource = rule.node.default_child
        assert isinstance(resource, events.CfnRule)
        # By hand, as the subscription is. What cannot be delivered within a day is set aside too.
        resource.targets = [
            events.CfnRule.TargetProperty(
                id="Queue",
                arn=self.queue.queue_arn,
                dead_letter_config=events.CfnRule.DeadLetterConfigProperty(arn=self.dead_letters.queue_arn),
            )
        ]
        for queue in (self.queue, self.dead_letters):
            queue.add_to_resource_policy(
                iam.PolicyStatement(
                    actions=["sqs:SendMessage"],
                    principals=[iam.ServicePrincipal("events.amazonaws.com")],
                    resources=[queue.queue_arn],
                    conditions={"ArnEquals": {"aws:SourceArn": rule.rule_arn}},
                )
            )

    def _alarms(self, hidden: int, alerts: sns.ITopic) -> None:
        minute = cdk.Duration.minutes(1)
        alarm(
            self,
            "WorkFailed",
            metric=self.dead_letters.metric_approximate_number_of_messages_visible(statistic="Maximum", period=minute),
            threshold=1,
            minutes=1,
            meaning=f"Work was given up after {ATTEMPTS} attempts: mend the cause, then move the messages back",
            alerts=alerts,
        )
        # One failed attempt is normal and waits `hidden` seconds; after two the job is broken or too slow for its load.
        alarm(
            self,
            "WorkWaits",
            metric=self.queue.metric_approximate_age_of_oldest_message(statistic="Maximum", period=minute),
            threshold=2 * hidden,
            minutes=3,
            meaning="Work waits longer than two failed attempts take: the job is broken or falls behind",
            alerts=alerts,
        )
