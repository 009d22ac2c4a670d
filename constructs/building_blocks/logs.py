"""Where something writes its log: always encrypted, always with an end."""

from __future__ import annotations

from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from blueprint.parts import Protection
from building_blocks.keeping import keep

RETENTIONS = (
    (1, logs.RetentionDays.ONE_DAY),
    (7, logs.RetentionDays.ONE_WEEK),
    (30, logs.RetentionDays.ONE_MONTH),
    (90, logs.RetentionDays.THREE_MONTHS),
    (365, logs.RetentionDays.ONE_YEAR),
    (3653, logs.RetentionDays.TEN_YEARS),
)


def log_group(
    scope: Construct, construct_id: str, *, key: kms.IKey, protection: Protection, name: str | None = None
) -> logs.LogGroup:
    """A log group that forgets after the profile's days. `name` only where AWS demands one."""
    group = logs.LogGroup(
        scope,
        construct_id,
        log_group_name=name,
        encryption_key=key,
        retention=next(period for days, period in RETENTIONS if days >= protection.log_days),
    )
    keep(group, protection)
    return group
