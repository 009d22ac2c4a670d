"""Every published limit that a template has to do with, and what a workload uses of it at its peak."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from workbench.compare.aspects.demand import CACHE_POOL, CACHE_SECONDS, POOL, Demand, at_peak
from workbench.compare.aspects.reach import APIS, DATABASE, key_of, primaries, reached, replicas, request_functions
from workbench.compare.model import Ceiling
from workbench.cost.part import figure, product
from workbench.cost.standing import STRIPED_FROM_GIB, allocated_gib, on_demand, source_database
from workbench.cost.traffic import DISTRIBUTION, GROUP, INSTANCE, requests_per_target
from workbench.cost.use_events import JOB_SECONDS
from workbench.cost.use_stores import WRITES_AN_EVENT
from workbench.facts.limits import cache_bytes, limit, machine
from workbench.templates.reading import Resource, spelled
from workbench.usage import KIB_IN_GIB, STORE_KIB

MARGIN = 0.9  # of the memory that a size has by name, which is more than the formula counts
PAGES = 2  # of 8 KiB, that STORE_KIB are read in
GIB = 2**30
ALL_FROM_DISK = "if nothing were in memory: 2 pages of 8 KiB for each request"
OWN_BUSINESS = "how many connections it opens is the application's own business"
CREDITS = "beyond them it spends credits, which are billed or denied once they are used up"


def ceilings(demand: Demand) -> Iterator[Ceiling]:
    """All of them, in no order."""
    yield from _edge(demand)
    for hosts in demand.system.of_type(GROUP, INSTANCE):
        yield from _hosts(demand, hosts)
    for database in primaries(demand.system):
        yield from _database(demand, database)
    yield from _volumes(demand)
    yield from _caches(demand)
    yield from _functions(demand)
    yield from _around(demand)


def _ceiling(resource: Resource, what: str, most: float | None, unit: str, used: float | None, source: str) -> Ceiling:
    return Ceiling(f"{what} of {resource.name}", most, unit, used, source, key_of(resource))


# --- The way in -------------------------------------------------------------------------------------------------------


def _edge(demand: Demand) -> Iterator[Ceiling]:
    system, traffic = demand.system, demand.traffic
    for edge in system.of_type(DISTRIBUTION):
        quota = limit("requests of a distribution")
        used = at_peak(traffic.visits) if edge is traffic.edge else None
        yield _ceiling(edge, "requests", quota.value, "requests/s", used, quota.cited)
    for firewall in system.of_type("AWS::WAFv2::WebACL"):
        if firewall.get("Scope") == "REGIONAL":  # at the edge the distribution's own quota holds
            quota = limit("requests of a regional firewall")
            used = demand.front if traffic.balancer is not None else None
            yield _ceiling(firewall, "requests", quota.value, "requests/s", used, quota.cited)
    if traffic.balancer is not None:
        unsaid = "it grows with its load, and AWS publishes no end to that"
        yield _ceiling(traffic.balancer, "requests", None, "requests/s", demand.front, unsaid)
    apis = system.of_type(*APIS)
    for api in apis:
        quota = limit("requests of an API")
        alone = len(apis) == 1 and traffic.hosts is None
        used = at_peak(demand.usage.requests_a_month) if alone else None
        yield _ceiling(api, "requests", quota.value, "requests/s", used, quota.cited)


def _hosts(demand: Demand, hosts: Resource) -> Iterator[Ceiling]:
    most, has = demand.most_hosts(hosts), demand.machine(hosts)
    front = demand.front if hosts is demand.traffic.hosts else None
    target = requests_per_target(demand.system, hosts)
    if target is not None:
        policy = f"its scaling policy: {target:,.0f} requests a minute for each of {most or 0:,.0f} hosts"
        yield _ceiling(hosts, "requests", product(most, target / 60), "requests/s", front, policy)
    if has is None:
        return
    seconds = demand.cpu_seconds(hosts)
    size = f"{has.cpus:g} of each host"
    taken = f"; {seconds * 1000:.0f} ms for a request, as scaling policies imply" if seconds else ""
    shared = ", and the database takes from them" if _host_database(demand) else ""
    used = product(front, seconds)
    yield _ceiling(hosts, "processors", product(most, has.cpus), "processors", used, f"{size}{taken}{shared}")
    if has.baseline < 1:
        mean = product(demand.traffic.front_per_second if front is not None else None, seconds)
        earned = product(most, has.cpus * has.baseline)
        yield Ceiling(
            f"processors of {hosts.name} without credits",
            earned,
            "processors",
            mean,
            f"{size}{taken}, on average; {CREDITS}",
            key_of(hosts),
        )


# --- Stores -----------------------------------------------------------------------------------------------------------


def _database(demand: Demand, database: Resource) -> Iterator[Ceiling]:
    system, asked, copies = demand.system, demand.asked(database), replicas(demand.system, database)
    known = asked is not None
    # A function that reads the database holds one connection for as long as it runs.
    functions = [function for function in demand.handled if database in reached(system, [function])]
    working = sum(demand.handled[function] * JOB_SECONDS for function in functions)
    yield _connections(demand, database, working if known else None)
    yield from _disk(demand, database, asked)
    yield from _room(demand, database, known)
    yield _processors(database)
    if copies:
        # Each takes the same share, so one row stands for all of them; every one repeats all writes.
        share = demand.missed / len(copies) + demand.writes if known else None
        for ceiling in (
            _connections(demand, copies[0], 0 if known else None),
            *_disk(demand, copies[0], share),
            _processors(copies[0]),
        ):
            yield replace(ceiling, name=ceiling.name.replace(copies[0].name, f"each replica of {database.name}"))


def _connections(demand: Demand, database: Resource, beside: float | None) -> Ceiling:
    """`beside`: connections of others than the hosts; None when nobody can say who connects."""
    replica = source_database(demand.system, database) is not None
    pools = None if beside is None else demand.pools(demand.processes, replica=replica)
    most, source = _allowed(demand, database)
    if pools is None or beside is None:
        return _ceiling(database, "connections", most, "connections", None, f"{source}; {OWN_BUSINESS}")
    every = demand.pools(demand.most_processes, replica=replica)
    bound = "" if every is None else f", {every:,.0f} with every host that may run"
    source += f"; {POOL} for each process that the load keeps busy{bound}"
    return _ceiling(database, "connections", most, "connections", pools + beside, source)


def _allowed(demand: Demand, database: Resource) -> tuple[float | None, str]:
    for group in demand.system.targets(database.get("DBParameterGroupName")):
        told = figure(group.get("Parameters.max_connections"))
        if told is not None:
            return told, f"max_connections in {group.name}"
    has = machine(spelled(database.get("DBInstanceClass")))
    engine = spelled((source_database(demand.system, database) or database).get("Engine"))
    if has is None or engine != "postgres":
        return None, "no figure is listed here for its engine and size"
    each, highest = limit("bytes of memory for a connection"), limit("connections of a managed PostgreSQL")
    most = min(int(has.gib * GIB / each.value * MARGIN), highest.value)
    return most, f"memory / {each.value:,.0f} bytes, less 10 %: {each.cited}"


def _disk(demand: Demand, database: Resource, asked: float | None) -> Iterator[Ceiling]:
    gib = allocated_gib(demand.system, database)
    striped = "striped " if gib is not None and gib >= STRIPED_FROM_GIB else ""
    plain = spelled(database.get("StorageType")) == "gp3" and gib is not None
    yield from _input(database, asked, plain, striped, "Iops", "StorageThroughput")


def _input(
    disk: Resource, asked: float | None, plain: bool, striped: str, operations: str, throughput: str
) -> Iterator[Ceiling]:
    for what, name, own, unit, each in (
        ("disk operations", f"IOPS of a {striped}gp3 disk", operations, "a second", PAGES),
        ("disk throughput", f"throughput of a {striped}gp3 disk", throughput, "MiB/s", STORE_KIB / 1024),
    ):
        baseline = limit(name)
        bought = figure(disk.get(own))
        most = bought if bought is not None else baseline.value if plain else None
        source = "its own setting" if bought is not None else baseline.cited if plain else "no figure is listed here"
        yield _ceiling(disk, what, most, unit, product(asked, each), f"{source}; {ALL_FROM_DISK}")


def _room(demand: Demand, database: Resource, known: bool) -> Iterator[Ceiling]:
    most = figure(database.get("MaxAllocatedStorage"), allocated_gib(demand.system, database))
    empty = replace(demand.usage, users_a_day=0).database_gib
    orders = demand.usage.database_gib - empty if known else None
    room = None if most is None else max(0.0, most - empty)
    source = "what it may grow to; orders of a year, as the workload has it"
    yield _ceiling(database, "storage for orders", room, "GiB", orders, source)


def _processors(database: Resource) -> Ceiling:
    has = machine(spelled(database.get("DBInstanceClass")))
    if has is None:
        return _ceiling(database, "processors", None, "processors", None, "its size is not listed here")
    sustained = f"; {has.cpus * has.baseline:g} of them sustained, {CREDITS}" if has.baseline < 1 else ""
    return _ceiling(
        database, "processors", has.cpus, "processors", None, f"what a query takes has to be measured{sustained}"
    )


def _host_database(demand: Demand) -> Resource | None:
    """The volume on which a single host keeps the database itself."""
    managed = demand.system.of_type(DATABASE, "AWS::RDS::DBCluster")
    volumes = demand.system.of_type("AWS::EC2::Volume")
    return volumes[0] if demand.ours and volumes and not managed else None


def _volumes(demand: Demand) -> Iterator[Ceiling]:
    volume, host = _host_database(demand), demand.traffic.hosts
    if volume is None or host is None:
        return
    asked = demand.writes + demand.missed
    yield from _input(volume, asked, volume.get("VolumeType") == "gp3", "", "Iops", "Throughput")
    allowed = limit("connections of PostgreSQL as it comes")
    used = demand.pools(demand.processes)
    source = f"{allowed.cited}; {POOL} for each process that the load keeps busy"
    yield _ceiling(host, "database connections", allowed.value, "connections", used, source)


def _caches(demand: Demand) -> Iterator[Ceiling]:
    for cache in demand.system.of_type("AWS::ElastiCache::ReplicationGroup"):
        node, shards = cache_bytes(spelled(cache.get("CacheNodeType"))), figure(cache.get("NumNodeGroups"), 1)
        # Little's law: what is put in a second, for as long as it stays.
        filled = demand.missed * STORE_KIB * CACHE_SECONDS / KIB_IN_GIB if demand.ours else None
        most = product(node.value / GIB if node else None, shards)
        source = (
            f"{node.cited}; what misses put in stays {CACHE_SECONDS} s at most" if node else "its size is not listed"
        )
        yield _ceiling(cache, "memory", most, "GiB", filled, source)
        allowed = limit("connections of a cache node")
        used = product(demand.processes, CACHE_POOL)
        yield _ceiling(cache, "connections to a node", allowed.value, "connections", used, allowed.cited)


# --- Work in the background -------------------------------------------------------------------------------------------


def _functions(demand: Demand) -> Iterator[Ceiling]:
    account = limit("functions at once in an account")
    for function, events in demand.handled.items():
        mappings = demand.system.users(function, "AWS::Lambda::EventSourceMapping", "FunctionName")
        own = [
            function.get("ReservedConcurrentExecutions"),
            *(each.get("ScalingConfig.MaximumConcurrency") for each in mappings),
        ]
        bounds = [bound for each in own if (bound := figure(each)) is not None]
        source = f"{'its own setting' if bounds else account.cited}; {JOB_SECONDS} s for an event, others wait"
        most = min(bounds, default=account.value)
        yield _ceiling(function, "runs at once", most, "runs", events * JOB_SECONDS, source)
    every = [*demand.handled, *request_functions(demand.system)]
    if every:
        known = not request_functions(demand.system)
        used = sum(demand.handled.values()) * JOB_SECONDS if known else None
        source = f"{account.cited}; a new account starts lower"
        yield Ceiling("functions at once of the account", account.value, "runs", used, source)


def _around(demand: Demand) -> Iterator[Ceiling]:
    traffic = demand.traffic
    if traffic.queued:
        queue, events = max(traffic.queued.items(), key=lambda item: (item[1], item[0].name))
        quota = limit("messages in flight of a queue")
        yield _ceiling(queue, "messages in flight", quota.value, "messages", at_peak(events) * JOB_SECONDS, quota.cited)
    for table in demand.system.of_type("AWS::DynamoDB::Table"):
        quota, told = limit("writes of a table"), traffic.events_reaching(table)
        bought = figure(table.get("ProvisionedThroughput.WriteCapacityUnits"))
        used = None if told is None else at_peak(told) * WRITES_AN_EVENT
        yield _ceiling(table, "writes", quota.value if on_demand(table) else bought, "writes/s", used, quota.cited)
    for identity in demand.system.of_type("AWS::SES::EmailIdentity")[:1]:
        unsaid = "AWS sets it for each account: 1 a second and 200 a day until it has left the sandbox"
        yield _ceiling(identity, "mails", None, "mails/s", at_peak(demand.usage.orders_a_month), unsaid)
