"""What a person looks at: one dashboard with the four golden signals."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch

from blueprint.environment import Environment
from blueprint.metrics import (
    CACHE_BREAKER_OPEN,
    DISK_USED,
    ERRORS,
    EVENT_LOOP_LAG,
    IN_FLIGHT,
    JOB_FAILURES,
    LATENCY,
    MAIL_PAUSED,
    MEMORY_USED,
    OUTBOX_AGE,
    POOL_USED,
    POOL_WAITING,
    REQUESTS,
    WORK_DONE,
    WORK_FAILED,
    WORK_REFUSED,
    CustomMetric,
)
from blueprint.parts import Protection
from building_blocks.alerts import custom_metric
from building_blocks.cache import Cache
from building_blocks.database import Database
from building_blocks.load_balancer import LoadBalancer
from building_blocks.queues import JobQueue
from stacks.base import BlueprintStack
from stacks.data import DataStack
from stacks.edge import EdgeStack
from stacks.web import WebStack
from stacks.workers import WorkersStack

MINUTE = cdk.Duration.minutes(1)


class SignalsStack(BlueprintStack):
    """The youngest stack: it reads from all others, weakly, and nothing reads from it."""

    def __init__(
        self,
        app: cdk.App,
        *,
        environment: Environment,
        protection: Protection,
        data: DataStack,
        web: WebStack,
        edge: EdgeStack,
        workers: WorkersStack,
    ) -> None:
        super().__init__(
            app,
            "signals",
            environment=environment,
            protection=protection,
            description="The dashboard",
        )
        cdk.CrossStackReferences.of(self).consume(cdk.ReferenceStrength.WEAK)
        self._name = environment.name
        rows = [self._visitors(web.front), self._hosts(), self._application()]
        if edge.cdn is not None:
            rows.append(self._edge(edge.cdn.distribution.distribution_id))
        if data.database is not None:
            rows.append(self._database(data.database))
        if data.cache is not None:
            rows.append(self._cache(data.cache))
        if workers.queues:
            rows.append(self._queues(workers.queues))
        dashboard = cloudwatch.Dashboard(self, "Dashboard", default_interval=cdk.Duration.hours(3))
        for row in rows:
            dashboard.add_widgets(*row)

    def _visitors(self, front: LoadBalancer | None) -> list[cloudwatch.IWidget]:
        """Latency, traffic and errors as the visitors feel them: from the load balancer, or from the only host."""
        if front is None:
            latency: list[cloudwatch.IMetric] = [self._custom(LATENCY, "p50"), self._custom(LATENCY, "p99")]
            traffic, errors = [self._custom(REQUESTS, "Sum")], [self._custom(ERRORS, "Sum")]
        else:
            latency = [front.target_metric("TargetResponseTime", level) for level in ("p50", "p99")]
            traffic = [front.metric("RequestCount", "Sum")]
            errors = [
                front.target_metric("HTTPCode_Target_5XX_Count", "Sum"),
                front.metric("HTTPCode_ELB_5XX_Count", "Sum"),
            ]
        return [_graph("Latency", latency), _graph("Traffic: requests a minute", traffic), _graph("Errors", errors)]

    def _hosts(self) -> list[cloudwatch.IWidget]:
        return [
            _graph("Saturation: memory of hosts", [self._custom(MEMORY_USED, "Maximum")]),
            _graph("Saturation: disks of hosts", [self._custom(DISK_USED, "Maximum")]),
        ]

    def _application(self) -> list[cloudwatch.IWidget]:
        """What the processes of the shop use, at their worst, and what they left undone."""
        pool = [self._custom(metric, "Maximum") for metric in (POOL_USED, POOL_WAITING)]
        process = [self._custom(metric, "Maximum") for metric in (IN_FLIGHT, EVENT_LOOP_LAG)]
        undone = [
            self._custom(JOB_FAILURES, "Sum"),
            *(self._custom(metric, "Maximum") for metric in (OUTBOX_AGE, CACHE_BREAKER_OPEN)),
        ]
        return [
            _graph("Saturation: connections of a process", pool),
            _graph("Saturation: requests at once, event loop (ms)", process),
            _graph("Undone: failed jobs, outbox (s), without cache", undone),
        ]

    def _edge(self, distribution_id: str) -> list[cloudwatch.IWidget]:
        def metric(name: str, statistic: str) -> cloudwatch.IMetric:
            return cloudwatch.Metric(
                namespace="AWS/CloudFront",
                metric_name=name,
                dimensions_map={"DistributionId": distribution_id, "Region": "Global"},
                statistic=statistic,
                period=MINUTE,
                region="us-east-1",
            )

        return [
            _graph("Edge: requests a minute", [metric("Requests", "Sum")]),
            _graph("Edge: errors (%)", [metric("5xxErrorRate", "Average"), metric("4xxErrorRate", "Average")]),
        ]

    def _database(self, database: Database) -> list[cloudwatch.IWidget]:
        primary = database.primary
        return [
            _graph("Saturation: database CPU (%)", [primary.metric_cpu_utilization(period=MINUTE)]),
            _graph("Database connections", [primary.metric_database_connections(period=MINUTE)]),
            _graph("Replica lag (s)", database.lags)
            if database.replicas
            else _graph("Free storage", [primary.metric_free_storage_space(period=MINUTE)]),
        ]

    def _cache(self, cache: Cache) -> list[cloudwatch.IWidget]:
        return [
            _graph("Cache: hits and misses", [cache.metric("CacheHits", "Sum"), cache.metric("CacheMisses", "Sum")]),
            _graph("Saturation: cache memory (%)", [cache.metric("DatabaseMemoryUsagePercentage", "Maximum")]),
        ]

    def _queues(self, queues: dict[str, JobQueue]) -> list[cloudwatch.IWidget]:
        age = [
            queue.queue.metric_approximate_age_of_oldest_message(period=MINUTE, label=name)
            for name, queue in queues.items()
        ]
        dead = [
            queue.dead_letters.metric_approximate_number_of_messages_visible(period=MINUTE, label=name)
            for name, queue in queues.items()
        ]
        outcomes = [self._custom(metric, "Sum") for metric in (WORK_DONE, WORK_FAILED, WORK_REFUSED, MAIL_PAUSED)]
        return [
            _graph("Background: oldest job (s)", age),
            _graph("Background: dead letters", dead),
            _graph("Background: events a minute", outcomes),
        ]

    def _custom(self, metric: CustomMetric, statistic: str) -> cloudwatch.Metric:
        return custom_metric(metric, environment=self._name, statistic=statistic)


def _graph(title: str, metrics: Sequence[cloudwatch.IMetric]) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), width=8, height=6)
