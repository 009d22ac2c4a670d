"""What happens when one thing is lost: who notices, how long it lasts, and what is gone. Read from the template.

Times are AWS's own where they are named so; the others follow from settings in the template.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from blueprint.metrics import ARCHIVE_FAILURES
from workbench.compare.aspects.reach import (
    FUNCTIONS,
    primaries,
    replicas,
    serving_groups,
    serving_hosts,
    work_functions,
    zones,
)
from workbench.compare.model import Loss
from workbench.cost.part import figure
from workbench.templates.backups import SELECTION, selected
from workbench.templates.reading import Resource, System, dig, leaves, spelled, yes

VOLUME, CLUSTER, TABLE = "AWS::EC2::Volume", "AWS::RDS::DBCluster", "AWS::DynamoDB::Table"
ALARM, BUCKET = "AWS::CloudWatch::Alarm", "AWS::S3::Bucket"
GATEWAY, QUEUE, SERVICE = "AWS::EC2::NatGateway", "AWS::SQS::Queue", "AWS::ECS::Service"
ARCHIVE_MINUTES = 5  # how often PostgreSQL on the host hands over its log at least: archive_timeout
FAILOVER = "60 to 120 s (AWS on RDS Multi-AZ)"
CLUSTER_FAILOVER = "less than 60 s (AWS on Aurora)"
BY_HAND = "hours, by hand"
AT_ONCE = "at once"


def losses(system: System) -> tuple[Loss, ...]:
    """Every loss that means something for what is there."""
    parts = (_host, _zone, _cache, _worker, _database, _data)
    found = tuple(chain.from_iterable(part(system) for part in parts))
    return (*found, _region(system)) if found or system.of_type(BUCKET, *FUNCTIONS) else ()


# --- Machines ---------------------------------------------------------------------------------------------------------


def _host(system: System) -> Iterator[Loss]:
    of = "a host"
    hosts = serving_hosts(system)
    for group in serving_groups(system)[:1]:
        minimum = figure(group.get("MinSize"))
        successor = figure(group.get("HealthCheckGracePeriod"))
        soon = f"a successor within about {successor / 60:.0f} minutes" if successor else "a successor within minutes"
        if minimum is None:
            effect, rto = "the template does not say how many other hosts there are", soon
        elif minimum > 1:
            effect = f"the other hosts of {group.name} answer, requests that it had are lost"
            rto = f"{_left_out(system, group)}{soon}"
        else:
            effect, rto = "nobody answers until the group has started another host", soon
        if "ELB" not in spelled(group.get("HealthCheckType")):
            effect += "; one that runs and does not answer is not replaced"
        yield Loss(
            of, effect, rto, "nothing but what only that host kept", survived=minimum is not None and minimum > 1
        )
        return
    if hosts.balanced and len(hosts.all) > 1:
        yield Loss(
            of, "the load balancer leaves it out", BY_HAND, "nothing but what only that host kept", survived=True
        )
    elif hosts.all:
        host = hosts.all[0]
        what = "nobody answers, its database is down too" if _keeps_data(system) else "nobody answers"
        yield Loss(of, f"{what}: there is only {host.name}", _recovery(system, host), _disks(system), survived=False)
    for service in system.of_type(SERVICE)[:1]:
        several = (figure(service.get("DesiredCount"), 1) or 0) > 1
        effect = "other tasks answer" if several else "nobody answers until ECS has started another task"
        yield Loss("a task", effect, "minutes", "nothing but what only that task kept", survived=several)


def _left_out(system: System, group: Resource) -> str:
    """How soon the load balancer stops asking a host that does not answer."""
    for targets in system.targets(group.get("TargetGroupARNs"))[:1]:
        seconds = (figure(targets.get("HealthCheckIntervalSeconds")) or 0) * (
            figure(targets.get("UnhealthyThresholdCount")) or 0
        )
        return f"left out after {seconds:.0f} s, " if seconds else ""
    return ""


def _recovery(system: System, host: Resource) -> str:
    for alarm in system.of_type(ALARM):
        acts = any(isinstance(leaf, str) and "ec2:recover" in leaf for _, leaf in leaves(alarm.get("AlarmActions")))
        if acts and host in system.targets(alarm.get("Dimensions")):
            minutes = (figure(alarm.get("Period"), 60) or 60) * (figure(alarm.get("EvaluationPeriods"), 1) or 1) / 60
            return f"minutes if hardware broke: {alarm.name} moves it elsewhere after {minutes:.0f}; else {BY_HAND}"
    return BY_HAND


def _disks(system: System) -> str:
    volumes = system.of_type(VOLUME)
    return f"nothing: {volumes[0].name} outlives the host" if volumes else "what only the host keeps"


def _keeps_data(system: System) -> bool:
    """Whether the only store that there is are volumes of a host."""
    managed = [*primaries(system), *system.of_type(CLUSTER, TABLE)]
    return bool(serving_hosts(system).all and system.of_type(VOLUME)) and not managed


def _zone(system: System) -> Iterator[Loss]:
    groups, hosts = serving_groups(system), serving_hosts(system)
    if not (groups or hosts.all):
        return
    spread = [
        (figure(each.get("MinSize")) or 0) > 1 and (zones(system, each.get("VPCZoneIdentifier")) or 0) > 1
        for each in groups
    ]
    computing = all(spread) and (bool(spread) or (hosts.balanced and hosts.zones > 1))
    alone = [primary.name for primary in primaries(system) if not yes(primary.get("MultiAZ"))]
    if not computing:
        effect = f"everything is down if it was the zone of {(hosts.all or groups)[0].name}"
        rpo = "as for the data" if alone or _keeps_data(system) else "nothing that the database keeps"
        yield Loss("a zone", effect, f"until the zone is back, or {BY_HAND}, from backups", rpo, survived=False)
        return
    told = ["hosts in the other zones answer, and the group replaces those that are gone"]
    if alone:
        told.append(f"{', '.join(alone)} has no standby in another zone")
    gateways = zones(system, [each.get("SubnetId") for each in system.of_type(GATEWAY)])
    if gateways == 1:
        told.append("if the only NAT gateway was there, no host reaches the internet or AWS's public endpoints")
    rto = BY_HAND if alone else f"{FAILOVER} where the database was there" if primaries(system) else AT_ONCE
    yield Loss("a zone", "; ".join(told), rto, "as for the data" if alone else "nothing", survived=not alone)


# --- Stores -----------------------------------------------------------------------------------------------------------


def _cache(system: System) -> Iterator[Loss]:
    for cache in system.of_type("AWS::ElastiCache::ReplicationGroup")[:1]:
        copies = figure(cache.get("ReplicasPerNodeGroup"), (figure(cache.get("NumCacheClusters"), 1) or 1) - 1)
        if yes(cache.get("AutomaticFailoverEnabled")) and copies:
            effect = "a replica of its shard takes over; until then the database is asked instead"
            rto = "seconds to minutes, by automatic failover"
        else:
            effect = "its keys are gone, and the database is asked instead"
            rto = "minutes, until AWS has replaced the node"
        yield Loss("a cache shard", effect, rto, "nothing that the database does not have", survived=True)


def _database(system: System) -> Iterator[Loss]:
    of = "the database"
    for primary in primaries(system)[:1]:
        copies = len(replicas(system, primary))
        reads = f"; reads go on from replicas ({copies})" if copies else ""
        if yes(primary.get("MultiAZ")):
            yield Loss(of, f"writes fail until its standby has taken over{reads}", FAILOVER, "nothing", survived=True)
        else:
            yield Loss(
                of,
                f"writes fail until AWS has replaced its machine{reads}",
                BY_HAND,
                "as for the data",
                survived=False,
            )
    for cluster in system.of_type(CLUSTER)[:1]:
        several = len(system.users(cluster, "AWS::RDS::DBInstance", "DBClusterIdentifier")) > 1
        effect = "another member takes over" if several else "nobody answers until AWS has replaced its only member"
        yield Loss(
            of,
            effect,
            CLUSTER_FAILOVER if several else "minutes",
            "nothing: members share their storage",
            survived=several,
        )
    if _keeps_data(system):
        effect = f"it runs on {serving_hosts(system).all[0].name}, and shares its fate"
        yield Loss(of, effect, "minutes if it only restarts", "nothing while the volume lives", survived=False)


def _data(system: System) -> Iterator[Loss]:
    """Rows that somebody deleted, a disk that is gone: what backups are for."""
    effect, rpo = _restored(system)
    if effect:
        rto = "never" if rpo == "everything" else f"{BY_HAND}, longer the more there is"
        yield Loss("the data", effect, rto, rpo, survived=False)


def _restored(system: System) -> tuple[str, str]:
    """How the main store is made again, and what is missing then."""
    snapshots = [volume for volume in system.of_type(VOLUME) if _backed_up(system, volume)]
    files = f"; files on {snapshots[0].name}: since its last snapshot" if snapshots else ""
    for store in [*primaries(system), *system.of_type(CLUSTER)]:
        days = figure(store.get("BackupRetentionPeriod"), 1)
        if not days and _backed_up(system, store):
            return f"{store.name} is made again from its last snapshot", "everything since that snapshot"
        if not days:
            return f"nothing makes {store.name} again", "everything"
        effect = f"{store.name} is made again as it was at any moment of the last {_days(days)}"
        return effect, f"at most 5 minutes of the database (AWS on RDS){files}"
    for table in system.of_type(TABLE):
        if not yes(table.get("PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled")):
            return f"nothing makes {table.name} again", "everything"
        return f"{table.name} is made again under another name", "about 5 minutes (AWS on DynamoDB)"
    for volume in snapshots:
        if not any(each.get("MetricName") == ARCHIVE_FAILURES.name for each in system.of_type(ALARM)):
            return f"{volume.name} is made again from its last snapshot", "everything since that snapshot"
        effect = f"{volume.name} is made again from its last snapshot, and the database catches up from its archive"
        return effect, f"at most {ARCHIVE_MINUTES} minutes of the database{files}"
    volumes = system.of_type(VOLUME)
    return (f"nothing makes {volumes[0].name} again", "everything") if volumes else ("", "")


def _backed_up(system: System, resource: Resource) -> bool:
    return any(resource in selected(system, each) for each in system.of_type(SELECTION))


# --- The rest ---------------------------------------------------------------------------------------------------------


def _worker(system: System) -> Iterator[Loss]:
    functions = work_functions(system)
    mappings = system.of_type("AWS::Lambda::EventSourceMapping")
    fed = [each for each in mappings if system.target(each.get("FunctionName")) in functions]
    queues = [queue for each in fed for queue in system.targets(each.get("EventSourceArn")) if queue.type == QUEUE]
    if not queues:
        return
    hidden = [seconds for queue in queues if (seconds := figure(queue.get("VisibilityTimeout"), 30)) is not None]
    tries = [count for queue in queues if (count := figure(_redrive(queue, "maxReceiveCount")))]
    dead = [found for queue in queues for found in system.targets(_redrive(queue, "deadLetterTargetArn"))]
    effect = "its messages come back, and another run takes them"
    if tries and dead:
        days = min(figure(each.get("MessageRetentionPeriod"), 345_600) or 0 for each in dead) / 86_400
        effect += f"; after {max(tries):.0f} attempts they wait {_days(days)} for somebody to look and send them again"
    rto = f"{_span(hidden)} s, the visibility timeout" if hidden else "the visibility timeout of its queue"
    yield Loss("a worker", effect, rto, "nothing", survived=True)


def _redrive(queue: Resource, name: str) -> object:
    return dig(queue.get("RedrivePolicy"), name)


def _days(number: float) -> str:
    return "day" if number == 1 else f"{number:.0f} days"


def _span(figures: list[float]) -> str:
    low, high = min(figures), max(figures)
    return f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"


def _region(system: System) -> Loss:
    effect = "everything is down: nothing here runs in a second region"
    plans = [each.properties for each in system.of_type("AWS::Backup::BackupPlan")]
    copied = any("CopyActions" in path for path, _ in leaves(plans))
    rpo = "everything since the last copy of a backup elsewhere" if copied else "everything, if it never comes back"
    return Loss("the region", effect, "not covered: until it is back", rpo, survived=False)
