"""What a workload adds to the bill where data is kept: databases, files, tables and their backups."""

from __future__ import annotations

from workbench.cost.part import Left, Part, Remark, Said, figure, product
from workbench.cost.standing import allocated_gib, database_service, on_demand, source_database, storage_item
from workbench.cost.traffic import Traffic
from workbench.cost.use_requests import burst
from workbench.templates.backups import SELECTION, selected
from workbench.templates.reading import Resource, dig, items, leaves, spelled, yes
from workbench.usage import ACCESS_LOG_KIB, DAILY_CHANGE, KIB_IN_GIB, MONTHS_KEPT

WRITES_AN_EVENT = 2  # begun, done


def database(traffic: Traffic, database: Resource) -> Said:
    service, allocated = database_service(traffic.system, database), allocated_gib(traffic.system, database)
    held = traffic.usage.database_gib
    if allocated is not None and held > allocated:
        most = figure(database.get("MaxAllocatedStorage"), allocated)
        grown = None if most is None else max(0, min(held, most) - allocated)
        yield Part("growth of storage", service, storage_item(database), grown)
        if most is not None and held > most:
            yield Remark(f"{database.name} would hold {held:,.1f} GiB and may grow to {most:,.0f}")
    days = figure(database.get("BackupRetentionPeriod"), 1)
    if source_database(traffic.system, database) is None:
        kept = None if days is None else held * (1 + DAILY_CHANGE * days) if days else 0
        beyond = None if kept is None or allocated is None else max(0, kept - max(allocated, held))
        yield Part("backups beyond the free size", service, "backups beyond the free size", beyond)
    if items(database.get("EnableCloudwatchLogsExports")):
        yield Left("logs that it writes")
    yield from burst(spelled(database.get("DBInstanceClass")))


def bucket(traffic: Traffic, bucket: Resource) -> Said:
    usage = traffic.usage
    if bucket is traffic.files:
        yield from _stored(usage.stored_gib, written=traffic.uploads, read=traffic.uploads)
        yield Left("older versions, moves to colder storage")
    elif bucket is traffic.static_bucket:
        yield from _stored(None, written=0, read=traffic.edge_misses)
    elif bucket in traffic.access_logs:
        months = min([*_months(bucket), MONTHS_KEPT])
        yield from _stored(traffic.access_logs[bucket] * ACCESS_LOG_KIB / KIB_IN_GIB * months, written=0, read=0)
        yield Left("writing logs, and logs about other buckets")
    else:
        yield Left("storage and requests")


def _stored(gib: float | None, *, written: float, read: float) -> Said:
    if gib is None:
        yield Left("storage")
    else:
        yield Part("stored files", "S3", "Standard storage", gib)
    yield Part("files written", "S3", "PUT/COPY/POST/LIST requests (Standard)", written)
    yield Part("files read", "S3", "GET/SELECT requests (Standard)", read)


def _months(bucket: Resource) -> list[float]:
    rules = items(bucket.get("LifecycleConfiguration.Rules"))
    days = [figure(dig(rule, "ExpirationInDays")) for rule in rules if dig(rule, "Prefix") is None]
    return [each * 24 / 730 for each in days if each]


def table(traffic: Traffic, table: Resource) -> Said:
    events = traffic.events_reaching(table)
    if events is None:
        yield Left("reads, writes and storage")
        return
    if on_demand(table):
        yield Part("writes", "DynamoDB", "on-demand write request units", events * WRITES_AN_EVENT)
        yield Part("reads", "DynamoDB", "on-demand read request units", events)
    gib = events / KIB_IN_GIB  # a row of 1 KiB for each event, forgotten after a month
    yield Part("storage", "DynamoDB", "storage", gib)
    if yes(table.get("PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled")):
        yield Part("backups", "DynamoDB", "PITR backup", gib)


def vault(traffic: Traffic, vault: Resource) -> Said:
    """Every protected thing once in full, and its changes for as long as backups are kept."""
    plans = traffic.system.of_type("AWS::Backup::BackupPlan")
    plans = [plan for plan in plans if vault in traffic.system.targets(plan.properties)]
    lifetimes = [
        figure(leaf) for plan in plans for path, leaf in leaves(plan.properties) if path[-1:] == ("DeleteAfterDays",)
    ]
    copies = product(1, lifetimes[0]) if lifetimes else None
    share = None if copies is None else 1 + DAILY_CHANGE * copies
    for protected in _protected(traffic, plans):
        service, item, gib = _backed_up(traffic, protected)
        if item:
            yield Part(f"backups of {protected.name}", service, item, product(gib, share))
        else:
            yield Left(f"backups of {protected.name}")
    if not plans:
        yield Left("stored backups")


def _protected(traffic: Traffic, plans: list[Resource]) -> list[Resource]:
    selections = (each for plan in plans for each in traffic.system.users(plan, SELECTION, "BackupPlanId"))
    return list(dict.fromkeys(found for each in selections for found in selected(traffic.system, each)))


def _backed_up(traffic: Traffic, protected: Resource) -> tuple[str, str, float | None]:
    match protected.type:
        case "AWS::S3::Bucket" if protected is traffic.files:
            return "AWS Backup", "S3 backup", traffic.usage.stored_gib
        case "AWS::EC2::Volume":
            return "EBS", "snapshot storage", figure(protected.get("Size"))
        case "AWS::RDS::DBInstance":
            service = database_service(traffic.system, protected)
            return service, "backups beyond the free size", traffic.usage.database_gib
    return "", "", None
