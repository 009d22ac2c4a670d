"""Every custom metric that an alarm or a dashboard reads, in one place.

CloudWatch never says that nobody sends a metric: an alarm on a misspelt name stays quiet for ever. So alarms and
widgets take their metrics from this list, and a test joins it with what the code emits.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CustomMetric:
    """A metric that our own code sends, always with the single dimension `Environment`."""

    namespace: str
    name: str
    unit: str
    meaning: str


# Sent by shop/ as embedded metric format in its log.
REQUESTS = CustomMetric("Shop", "Requests", "Count", "requests answered, health checks left out")
ERRORS = CustomMetric("Shop", "Errors", "Count", "requests answered with a 5xx status")
LATENCY = CustomMetric("Shop", "Latency", "Milliseconds", "time to answer a request")
# What each process of the shop says once a minute about what it uses, and what goes wrong beside the requests.
POOL_USED = CustomMetric("Shop", "PoolUsed", "Count", "database connections of a process in use")
POOL_WAITING = CustomMetric("Shop", "PoolWaiting", "Count", "requests that wait for a database connection")
CACHE_BREAKER_OPEN = CustomMetric("Shop", "CacheBreakerOpen", "Count", "1 while a process does without the cache")
IN_FLIGHT = CustomMetric("Shop", "InFlight", "Count", "most requests at once in a process")
EVENT_LOOP_LAG = CustomMetric("Shop", "EventLoopLag", "Milliseconds", "longest time that a process did not react")
JOB_FAILURES = CustomMetric("Shop", "JobFailures", "Count", "jobs that failed within a request")
OUTBOX_AGE = CustomMetric("Shop", "OutboxAge", "Seconds", "age of the oldest event that the topic has not been told")

# Sent by the CloudWatch agent on each host (shop/host/amazon-cloudwatch-agent.json).
MEMORY_USED = CustomMetric("ShopHost", "mem_used_percent", "Percent", "memory in use on a host")
DISK_USED = CustomMetric("ShopHost", "disk_used_percent", "Percent", "fullest of the host's file systems")

# Sent by shop/host/wal.sh in the log of PostgreSQL, as embedded metric format too.
ARCHIVE_FAILURES = CustomMetric("ShopArchive", "ArchiveFailures", "Count", "attempts of the archive that failed")

# Sent by the workers (lambdas/jobs/batch.py), all jobs together.
WORK_DONE = CustomMetric("ShopWorkers", "Done", "Count", "events that a job has dealt with")
WORK_FAILED = CustomMetric("ShopWorkers", "Failed", "Count", "attempts that failed and come again")
WORK_REFUSED = CustomMetric("ShopWorkers", "Refused", "Count", "events set aside because no attempt can succeed")
MAIL_PAUSED = CustomMetric("ShopWorkers", "MailPaused", "Count", "times that the provider took no mail for now")

CUSTOM_METRICS: tuple[CustomMetric, ...] = (
    REQUESTS,
    ERRORS,
    LATENCY,
    POOL_USED,
    POOL_WAITING,
    CACHE_BREAKER_OPEN,
    IN_FLIGHT,
    EVENT_LOOP_LAG,
    JOB_FAILURES,
    OUTBOX_AGE,
    MEMORY_USED,
    DISK_USED,
    ARCHIVE_FAILURES,
    WORK_DONE,
    WORK_FAILED,
    WORK_REFUSED,
    MAIL_PAUSED,
)
