"""Does one job for each event of its queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from constructs import Construct

from blueprint.parts import Job, Protection
from building_blocks.alerts import alarm
from building_blocks.function import PythonFunction
from building_blocks.queues import JobQueue

# One invocation works through a whole batch within its timeout, so each event has a fifth of it.
BATCH = 5
# SQS starts two pollers at least; a lower limit would only throttle them.
FEWEST_AT_ONCE = 2


class Worker(Construct):
    """A function that takes batches from the job's queue and says which events failed, so that only those come again.

    Give `vpc`, `subnets` and `security_group` only to a job that reads the database: the others reach AWS without.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        spec: Job,
        queue: JobQueue,
        code: Path,
        environment: Mapping[str, str],
        key: kms.IKey,
        protection: Protection,
        alerts: sns.ITopic,
        vpc: ec2.IVpc | None = None,
        subnets: ec2.SubnetSelection | None = None,
        security_group: ec2.ISecurityGroup | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        at_once = max(FEWEST_AT_ONCE, spec.concurrency)
        self._python = PythonFunction(
            self,
            "Job",
            description=f"Background job: {spec.name.replace('_', ' ')}",
            code=code,
            timeout_seconds=spec.timeout_seconds,
            memory_mib=spec.memory_mib,
            concurrency=at_once,
            environment={
                **environment,
                "QUEUE_URL": queue.queue.queue_url,
                "DEAD_LETTERS_URL": queue.dead_letters.queue_url,
                "POWERTOOLS_SERVICE_NAME": spec.name,
            },
            key=key,
            protection=protection,
            # The queue has its own; this one is for events that somebody hands over by hand.
            dead_letter_queue=queue.dead_letters,
            vpc=vpc,
            subnets=subnets,
            security_group=security_group,
        )
        self.function, self.role = self._python.function, self._python.role
        # The same limit on both sides: the pollers never ask for more than the function may run.
        queue.queue.grant_consume_messages(self.role)
        # An event that cannot be done is set aside with the reason; one that has to wait is put back as a new one.
        self.may(["sqs:SendMessage"], [queue.queue.queue_arn, queue.dead_letters.queue_arn])
        lambda_.EventSourceMapping(
            self,
            "Batches",
            target=self.function,
            event_source_arn=queue.queue.queue_arn,
            batch_size=BATCH,
            max_concurrency=at_once,
            report_batch_item_failures=True,
        )
        self._alarms(alerts)

    def may(
        self,
        actions: Sequence[str],
        resources: Sequence[str],
        *,
        because: str = "Names below this prefix are made at run time.",
    ) -> None:
        """Allow what the job needs beyond its queue; nothing is allowed where there is no resource."""
        self._python.may(actions, resources, because=because)

    def configure(self, name: str, value: str) -> None:
        """Set one environment variable."""
        self.function.add_environment(name, value)

    def _alarms(self, alerts: sns.ITopic) -> None:
        minute = cdk.Duration.minutes(1)
        alarm(
            self,
            "Crashing",
            metric=self.function.metric_errors(statistic="Sum", period=minute),
            threshold=1,
            minutes=5,
            meaning="The job has crashed or timed out in each of five minutes; its events come again until given up",
            alerts=alerts,
        )
        alarm(
            self,
            "Throttled",
            metric=self.function.metric_throttles(statistic="Sum", period=minute),
            threshold=1,
            minutes=15,
            meaning="The job has been held back for a quarter of an hour: the account's concurrency is used up",
            alerts=alerts,
        )
