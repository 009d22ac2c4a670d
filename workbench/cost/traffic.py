"""Where a workload goes inside a system: which requests reach which resource, and how many hosts they take.

A workload is one stream of visitors. It can be followed where there is one way in; with several, nobody can say how
it splits, and what depends on it stays without a figure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from workbench.cost.part import count, figure
from workbench.templates.reading import Resource, System, leaves
from workbench.usage import DAYS, EDGE_HITS, KIB_IN_GIB, PEAK_FACTOR, PEAK_HOURS, QUIET_FACTOR, SECONDS, Usage

BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"
BUCKET = "AWS::S3::Bucket"
DISTRIBUTION = "AWS::CloudFront::Distribution"
FUNCTION = "AWS::Lambda::Function"
GROUP = "AWS::AutoScaling::AutoScalingGroup"
INSTANCE = "AWS::EC2::Instance"
QUEUE = "AWS::SQS::Queue"


def sole(found: list[Resource]) -> Resource | None:
    """The resource if there is just one."""
    return found[0] if len(found) == 1 else None


@dataclass(frozen=True)
class Hosts:
    """How many hosts of a group a workload takes."""

    minimum: float
    maximum: float
    quiet: float  # wanted outside the peak hours
    peak: float  # wanted in them

    @property
    def average(self) -> float:
        """Over a day, as far as the group may follow."""
        peak, quiet = (min(self.maximum, max(self.minimum, wanted)) for wanted in (self.peak, self.quiet))
        return (PEAK_HOURS * peak + (24 - PEAK_HOURS) * quiet) / 24

    @property
    def enough(self) -> bool:
        return self.peak <= self.maximum


def requests_per_target(system: System, group: Resource) -> float | None:
    """How many requests a minute its scaling policy lets one host have; None without such a policy."""
    for policy in system.users(group, "AWS::AutoScaling::ScalingPolicy", "AutoScalingGroupName"):
        target = "TargetTrackingConfiguration"
        if policy.get(f"{target}.PredefinedMetricSpecification.PredefinedMetricType") == "ALBRequestCountPerTarget":
            return figure(policy.get(f"{target}.TargetValue")) or None
    return None


@dataclass(frozen=True, eq=False)
class Traffic:
    """One workload on its way through one system."""

    system: System
    usage: Usage

    # --- Requests -----------------------------------------------------------------------------------------------------

    @cached_property
    def edge(self) -> Resource | None:
        """The CDN that visitors ask first."""
        return sole(self.system.of_type(DISTRIBUTION))

    @property
    def _one_edge(self) -> bool:
        """Whether all visitors come the same way as far as CDNs are concerned."""
        return len(self.system.of_type(DISTRIBUTION)) <= 1

    @cached_property
    def balancer(self) -> Resource | None:
        """The load balancer that visitors or the CDN reach."""
        every = self.system.of_type(BALANCER)
        public = [each for each in every if each.get("Scheme") != "internal"]
        return sole(public or (every if self.edge else [])) if self._one_edge else None

    @cached_property
    def hosts(self) -> Resource | None:
        """What answers: the group behind the load balancer, or the only host there is."""
        return sole(self.system.of_type(GROUP, INSTANCE)) if self._one_edge else None

    @cached_property
    def front(self) -> Resource | None:
        """What stands open to visitors or to the CDN."""
        return self.balancer or (None if self.system.of_type(BALANCER) else self.hosts)

    @cached_property
    def static_bucket(self) -> Resource | None:
        """Where the CDN finds static files."""
        origins = self.edge.get("DistributionConfig.Origins") if self.edge else None
        return self.system.target(origins, BUCKET)

    @property
    def visits(self) -> float:
        """Every request of a month, whoever answers it."""
        return self.usage.requests_a_month + self.usage.static_a_month

    @property
    def visits_gib(self) -> float:
        usage = self.usage
        kib = usage.requests_a_month * usage.response_kib + usage.static_a_month * usage.static_kib
        return kib / KIB_IN_GIB

    @property
    def edge_misses(self) -> float:
        """Static files that the CDN has to fetch."""
        return self.usage.static_a_month * (1 - EDGE_HITS) if self.edge else self.usage.static_a_month

    @property
    def front_requests(self) -> float:
        return self.usage.requests_a_month + (0 if self.static_bucket else self.edge_misses)

    @property
    def front_gib(self) -> float:
        static = 0 if self.static_bucket else self.edge_misses
        kib = self.usage.requests_a_month * self.usage.response_kib + static * self.usage.static_kib
        return kib / KIB_IN_GIB

    @property
    def front_per_second(self) -> float:
        return self.front_requests / SECONDS

    def group_hosts(self, group: Resource) -> Hosts | None:
        """How many hosts of this group the workload takes; None when the template does not say what one carries."""
        minimum, maximum = figure(group.get("MinSize")), figure(group.get("MaxSize"))
        per_host = requests_per_target(self.system, group)
        if group is not self.hosts or per_host is None or minimum is None or maximum is None:
            return None
        a_minute = self.front_per_second * 60
        return Hosts(
            minimum,
            maximum,
            quiet=math.ceil(a_minute * QUIET_FACTOR / per_host),
            peak=math.ceil(a_minute * PEAK_FACTOR / per_host),
        )

    # --- Events -------------------------------------------------------------------------------------------------------

    @cached_property
    def queued(self) -> dict[Resource, float]:
        """Events that each queue gets in a month, as far as the filters of its subscriptions tell."""
        found: dict[Resource, float] = {}
        for subscription in self.system.of_type("AWS::SNS::Subscription"):
            queue = self.system.target(subscription.get("Endpoint"), QUEUE)
            policy = subscription.get("FilterPolicy")
            wanted = {str(leaf) for _, leaf in leaves(policy) if isinstance(leaf, str)} or set(self.usage.events)
            if queue is not None and wanted <= set(self.usage.events):
                found[queue] = found.get(queue, 0) + sum(self.usage.events[name] for name in sorted(wanted))
        return found

    @cached_property
    def handled(self) -> dict[Resource, float]:
        """Events that each function is given in a month."""
        found: dict[Resource, float] = {}
        for mapping in self.system.of_type("AWS::Lambda::EventSourceMapping"):
            queue = self.system.target(mapping.get("EventSourceArn"), QUEUE)
            function = self.system.target(mapping.get("FunctionName"), FUNCTION)
            if queue in self.queued and function is not None:
                found[function] = found.get(function, 0) + self.queued[queue]
        return found

    @cached_property
    def polled(self) -> set[Resource]:
        """Queues that a function empties."""
        mappings = self.system.of_type("AWS::Lambda::EventSourceMapping")
        return {queue for each in mappings if (queue := self.system.target(each.get("EventSourceArn"), QUEUE))}

    def published(self, topic: Resource) -> float | None:
        """Events that a topic is told in a month; None for one that feeds no known queue."""
        subscriptions = self.system.users(topic, "AWS::SNS::Subscription", "TopicArn")
        feeds = any(self.system.target(each.get("Endpoint"), QUEUE) in self.queued for each in subscriptions)
        return sum(self.usage.events.values()) if feeds else None

    def events_reaching(self, resource: Resource) -> float | None:
        """Events of the functions that have a right on a resource; None when no such function is known."""
        users = [function for function, reached in self._reach.items() if resource in reached]
        return sum(self.handled[function] for function in users) if users else None

    @cached_property
    def _reach(self) -> dict[Resource, set[Resource]]:
        """Function -> everything that its role has some right on."""
        by_role: dict[Resource, set[Resource]] = {}
        for role in self.system.of_type("AWS::IAM::Role"):
            by_role[role] = set(self.system.targets(role.get("Policies")))
        for policy in self.system.of_type("AWS::IAM::Policy"):
            for role in self.system.targets(policy.get("Roles")):
                by_role.setdefault(role, set()).update(self.system.targets(policy.get("PolicyDocument")))
        roles = {function: self.system.target(function.get("Role")) for function in self.handled}
        return {function: by_role[role] for function, role in roles.items() if role in by_role}

    # --- Logs ---------------------------------------------------------------------------------------------------------

    @cached_property
    def host_logs(self) -> Resource | None:
        """The log group of the hosts: the only one that nothing else in the template writes to."""
        writers = (
            *self.system.of_type(FUNCTION, "AWS::EC2::FlowLog", "AWS::WAFv2::LoggingConfiguration"),
            *self.system.of_type("AWS::KinesisFirehose::DeliveryStream", "AWS::ElastiCache::ReplicationGroup"),
            *self.system.of_type("AWS::ApiGateway::Stage", "AWS::ApiGatewayV2::Stage", "AWS::ECS::TaskDefinition"),
        )
        written = {target for writer in writers for target in self.system.targets(writer.properties)}
        free = [group for group in self.system.of_type("AWS::Logs::LogGroup") if group not in written]
        return sole(free) if self.hosts else None

    @cached_property
    def function_logs(self) -> dict[Resource, Resource]:
        """Log group -> the function that writes to it."""
        pairs = (
            (self.system.target(each.get("LoggingConfig.LogGroup")), each) for each in self.system.of_type(FUNCTION)
        )
        return {group: function for group, function in pairs if group is not None}

    # --- Files --------------------------------------------------------------------------------------------------------

    @cached_property
    def access_logs(self) -> dict[Resource, float]:
        """Log bucket -> lines about visitors that reach it in a month; none from other buckets."""
        writers: list[tuple[object, float]] = [
            *((bucket.get("LoggingConfiguration"), 0.0) for bucket in self.system.of_type(BUCKET)),
            *((each.get("LoadBalancerAttributes"), self.front_requests) for each in [self.balancer] if each),
            *((each.get("DistributionConfig.Logging"), self.visits) for each in [self.edge] if each),
        ]
        found: dict[Resource, float] = {}
        for place, lines in writers:
            for bucket in self.system.targets(place):
                found[bucket] = found.get(bucket, 0) + lines
        return found

    @cached_property
    def stream_buckets(self) -> set[Resource]:
        streams = self.system.of_type("AWS::KinesisFirehose::DeliveryStream")
        return {found for stream in streams for found in self.system.targets(stream.properties) if found.type == BUCKET}

    @cached_property
    def files(self) -> Resource | None:
        """The bucket of users' files: the only one that has no other purpose."""
        others = {*self.access_logs, *self.stream_buckets, self.static_bucket}
        return sole([bucket for bucket in self.system.of_type(BUCKET) if bucket not in others])

    @property
    def uploads(self) -> float:
        """Files written in a month: what users bring, and an invoice for each order."""
        return self.usage.uploads_a_month + self.usage.orders_a_month

    @property
    def lookups(self) -> float:
        """Questions to the name servers: one a visit, then the visitor's own cache answers."""
        return self.usage.users_a_day * DAYS


def elsewhere(group: Resource) -> float | None:
    """The share of answers from stores that cross zones: a store answers from one, the hosts of a group are in all."""
    zones = count(group.get("VPCZoneIdentifier", group.get("AvailabilityZones")))
    return (zones - 1) / zones if zones else None
