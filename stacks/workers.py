"""Work that no request waits for: one topic, and for each job a queue and a function."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from blueprint.environment import Environment
from blueprint.metrics import MAIL_PAUSED, OUTBOX_AGE
from blueprint.parts import Job, Protection, Workers
from building_blocks.alerts import alarm, custom_metric
from building_blocks.analytics import Analytics
from building_blocks.mail import sending_arns
from building_blocks.network import APP
from building_blocks.published import publish
from building_blocks.queues import JobQueue
from building_blocks.state_table import StateTable
from building_blocks.topic import EventTopic
from building_blocks.worker import Worker
from stacks.base import BlueprintStack
from stacks.data import DataStack
from stacks.network import NetworkStack
from stacks.web import WebStack

LAMBDAS = Path(__file__).parent.parent / "lambdas"
# What jobs read of the files bucket: the facts of an event, or an upload.
READS = {"confirmation_email": "events", "invoice": "events", "notification": "events", "image_resize": "images"}
# Jobs whose work cannot be taken back: they write down what they are about to do.
LEDGER = ("confirmation_email", "notification")


class WorkersStack(BlueprintStack):
    """Empty until a stage has workers."""

    def __init__(
        self,
        app: cdk.App,
        *,
        environment: Environment,
        protection: Protection,
        network: NetworkStack,
        data: DataStack,
        web: WebStack,
    ) -> None:
        super().__init__(
            app,
            "workers",
            environment=environment,
            protection=protection,
            description="The event topic, and queues and functions for background jobs",
            may_be_empty=True,
        )
        self._network, self._data = network, data
        self.queues: dict[str, JobQueue] = {}
        self.workers: dict[str, Worker] = {}
        if environment.stage.workers is not None:
            self._key = self.borrow_key(network.key)
            self._build(environment.stage.workers, web)
            self._let_work(web)

    def _build(self, spec: Workers, web: WebStack) -> None:
        self.topic = EventTopic(self, "Events", key=self._key).topic
        publish(
            self,
            "EventsTopic",
            path=f"/{self._environment.name}/events/topic",
            value=self.topic.topic_arn,
            meaning="Where the application publishes what happened",
        )
        # From here to the role, never back: the web stack knows nothing of workers.
        iam.Policy(
            self,
            "HostsMayPublish",
            roles=[web.role],
            statements=[iam.PolicyStatement(actions=["sns:Publish"], resources=[self.topic.topic_arn])],
        )
        alarm(
            self,
            "NotTold",
            metric=custom_metric(OUTBOX_AGE, environment=self._environment.name, statistic="Maximum"),
            threshold=300,
            minutes=5,
            meaning="Events wait in the outbox: no relay runs, or the topic takes nothing",
            alerts=self._network.alerts,
            missing_is_bad=True,
        )
        alarm(
            self,
            "MailPaused",
            metric=custom_metric(MAIL_PAUSED, environment=self._environment.name, statistic="Sum"),
            threshold=1,
            minutes=1,
            meaning="The provider takes no mail: its daily limit is reached, or the account may not send. Mail waits",
            alerts=self._network.alerts,
        )
        for job in spec.jobs:
            self._job(job)

    def _job(self, job: Job) -> None:
        name = "".join(word.capitalize() for word in job.name.split("_"))
        queue = JobQueue(
            self,
            f"{name}Queue",
            spec=job,
            topic=self.topic,
            key=self._key,
            protection=self._protection,
            alerts=self._network.alerts,
        )
        self.queues[job.name] = queue
        self.workers[job.name] = Worker(
            self,
            name,
            spec=job,
            queue=queue,
            code=LAMBDAS / job.name,
            environment={"SHOP_NAME": self._environment.name},
            key=self._key,
            protection=self._protection,
            alerts=self._network.alerts,
            vpc=self._network.vpc if job.reads_database else None,
            subnets=APP if job.reads_database else None,
            security_group=self._network.tiers.workers if job.reads_database else None,
        )

    def _let_work(self, web: WebStack) -> None:
        """What each job needs beyond its queue."""
        workers, logs = self.workers, self.borrow_logs(self._network.logs)
        analytics = Analytics(
            self, "AnalyticsStream", key=self._key, logs=logs, protection=self._protection, alerts=self._network.alerts
        )
        state = StateTable(self, "State", key=self._key, protection=self._protection).table
        files = self._data.files_arn

        if web.mail.sender is not None and web.mail.identity is not None and web.mail_rules is not None:
            sender = workers["confirmation_email"]
            sender.may(["ses:SendEmail"], sending_arns(self, web.mail.identity, web.mail_rules))
            sender.configure("MAIL_FROM", web.mail.sender)
            sender.configure("MAIL_RULES", web.mail_rules)
            # A mail whose answer got lost is unknown, until one of these tells.
            self.queues["confirmation_email"].hear_of_mail(web.mail_rules)
        for job, read in READS.items():
            workers[job].may(["s3:GetObject"], [f"{files}/{read}/*"])
            workers[job].may(["s3:ListBucket"], [files])  # else S3 says "denied" of what is not there
            workers[job].configure("FILES_BUCKET", self._data.files_name)
        workers["invoice"].may(["s3:PutObject"], [f"{files}/invoices/*"])
        workers["image_resize"].may(["s3:PutObject"], [f"{files}/thumbnails/*"])
        workers["analytics"].may(["firehose:PutRecord"], [analytics.stream_arn])
        workers["analytics"].configure("STREAM", analytics.stream_name)
        for job in LEDGER:
            worker = workers[job]
            worker.may(["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"], [state.table_arn])
            worker.configure("STATE_TABLE", state.table_name)
        workers["notification"].may(["sns:Publish"], [self._devices()], because="A device registers at run time.")
        if self._data.database_ids:
            database = f"/{self._environment.name}/database"
            workers["search_index"].configure("DATABASE_PARAMETERS", database)
            workers["search_index"].may(
                ["ssm:GetParameter", "ssm:GetParametersByPath"],
                # Whoever asks for a path needs a right to the path itself, too.
                [
                    self.format_arn(service="ssm", resource="parameter", resource_name=name)
                    for name in (database[1:], f"{database[1:]}/*")
                ],
                because="Which database is active and where it is stands under this path.",
            )
            workers["search_index"].may(["rds-db:connect"], [self.database_user(self._data.database_ids[0])])

    def _devices(self) -> str:
        """Telephones and browsers that receive notifications."""
        return self.format_arn(service="sns", resource="endpoint", resource_name="*")
