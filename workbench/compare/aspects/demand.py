"""What a workload asks of a system at its peak: requests, queries, connections and events a second."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from blueprint.metrics import CUSTOM_METRICS
from blueprint.parts import Fleet
from workbench.compare.aspects.reach import primaries, replicas
from workbench.cost.part import figure, product
from workbench.cost.standing import host_settings
from workbench.cost.traffic import GROUP, Traffic, requests_per_target
from workbench.facts.limits import Machine, machine
from workbench.templates.reading import Resource, System, spelled
from workbench.usage import PEAK_FACTOR, SECONDS, Usage

CACHES = "AWS::ElastiCache::ReplicationGroup", "AWS::ElastiCache::CacheCluster", "AWS::ElastiCache::ServerlessCache"
# What the shop does, where its own defaults say so; other applications do something else.
POOL = 8  # connections of one process to each database server, and there is one process for each processor
CACHE_POOL = 32  # connections of one process to each cache node
CACHE_SECONDS = 300  # how long a product stays in the cache, the longest of all
# Two processors are half busy with as many requests a minute as the scaling policy of the stages asks of a host.
CPU_SECONDS = 60 * 2 * Fleet.cpu_target_percent / 100 / Fleet.requests_per_target
_OURS = {metric.namespace for metric in CUSTOM_METRICS}


def at_peak(a_month: float) -> float:
    """So many a month are so many a second at the peak."""
    return a_month / SECONDS * PEAK_FACTOR


@dataclass(frozen=True, eq=False)
class Demand:
    """One workload in one system. Figures that only the application knows are None for other people's."""

    system: System
    usage: Usage

    @cached_property
    def traffic(self) -> Traffic:
        return Traffic(self.system, self.usage)

    @cached_property
    def ours(self) -> bool:
        """Whether it is the shop that runs here: its alarms watch metrics that nobody else sends."""
        return any(spelled(each.get("Namespace")) in _OURS for each in self.system.of_type("AWS::CloudWatch::Alarm"))

    # --- Hosts --------------------------------------------------------------------------------------------------------

    @property
    def front(self) -> float:
        """Requests a second that reach the hosts, or what stands before them."""
        return at_peak(self.traffic.front_requests)

    def machine(self, hosts: Resource) -> Machine | None:
        return machine(spelled(host_settings(self.system, hosts).get("InstanceType")))

    def cpu_seconds(self, hosts: Resource) -> float | None:
        """What one request takes of a processor: as the scaling policies imply, or as the stages assume."""
        has, requests = self.machine(hosts), requests_per_target(self.system, hosts)
        busy = self._busy(hosts)
        if has is not None and requests and busy:
            return 60 * has.cpus * busy / 100 / requests
        return CPU_SECONDS if self.ours else None

    def _busy(self, hosts: Resource) -> float | None:
        for policy in self.system.users(hosts, "AWS::AutoScaling::ScalingPolicy", "AutoScalingGroupName"):
            target = "TargetTrackingConfiguration"
            kind = policy.get(f"{target}.PredefinedMetricSpecification.PredefinedMetricType")
            if kind == "ASGAverageCPUUtilization":
                return figure(policy.get(f"{target}.TargetValue"))
        return None

    @cached_property
    def processes(self) -> float | None:
        """Processes of the hosts that the load keeps half busy, one for each processor."""
        hosts = self.traffic.hosts
        seconds = None if hosts is None or not self.ours else self.cpu_seconds(hosts)
        return None if seconds is None else self.front * seconds / (Fleet.cpu_target_percent / 100)

    def most_hosts(self, hosts: Resource) -> float | None:
        return figure(hosts.get("MaxSize")) if hosts.type == GROUP else 1

    def pools(self, processes: float | None, *, replica: bool = False) -> float | None:
        """Connections of so many processes to one database server; the primary has those of the relays as well."""
        hosts = self.traffic.hosts
        has = self.machine(hosts) if hosts is not None else None
        if processes is None or has is None:
            return None
        relays = processes / has.cpus if self.traffic.queued and not replica else 0
        return processes * POOL + relays

    @property
    def most_processes(self) -> float | None:
        """With every host that may run."""
        hosts = self.traffic.hosts
        has = self.machine(hosts) if hosts is not None else None
        return None if has is None or hosts is None else product(has.cpus, self.most_hosts(hosts))

    # --- Stores -------------------------------------------------------------------------------------------------------

    @property
    def writes(self) -> float:
        return at_peak(self.usage.requests_a_month) * (1 - self.usage.reads)

    @property
    def missed(self) -> float:
        """Reads that no cache answers."""
        reads = at_peak(self.usage.requests_a_month) * self.usage.reads
        return reads * (1 - self.usage.cache_hits) if self.system.of_type(*CACHES) else reads

    def asked(self, database: Resource) -> float | None:
        """Requests a second that ask a database; None when there are several that could be asked."""
        if primaries(self.system) != [database]:
            return None
        return self.writes if replicas(self.system, database) else self.writes + self.missed

    # --- Events -------------------------------------------------------------------------------------------------------

    @cached_property
    def handled(self) -> dict[Resource, float]:
        """Events a second that each function is given."""
        return {function: at_peak(events) for function, events in self.traffic.handled.items()}
