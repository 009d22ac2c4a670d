"""Who calls, feeds or copies to whom: from security groups, origins, subscriptions, event sources and rights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from workbench.compare.scene.model import Arrow, Node, Place
from workbench.compare.scene.reading import Reading, id_of, key_of, text
from workbench.compare.scene.regional import DNS, SUBSCRIPTION, USERS, WORKERS
from workbench.templates import Key
from workbench.templates.network import GROUP, Permission, ingress, is_private, network
from workbench.templates.reading import Resource, dig, items

ORDER = (Place.EDGE, Place.PUBLIC, Place.APP, Place.MESSAGING, Place.DATA, Place.SERVICES, Place.OPERATIONS)
# By way of what a host or task gets its role.
LENDING = ("InstanceProfile", "LaunchTemplate", "LaunchConfiguration", "TaskDefinition")
# Service of an action -> beginnings of actions that read, and that write or send.
READING = ("Get", "Query", "Scan", "BatchGet", "Select")
WRITING = ("Put", "Update", "Delete", "Write", "BatchWrite")
SENDING = ("Send", "Publish", "StartExecution", "Invoke", "PutRecord")
RECEIVING = ("ReceiveMessage",)
ONLY = {frozenset({"reads"}): "reads", frozenset({"writes"}): "writes"}


class Arrows:
    """The arrows of one side, found step by step, each pair of things once."""

    def __init__(self, reading: Reading, nodes: Iterable[Node]) -> None:
        self.reading = reading
        self.nodes = {node.id: node for top in nodes for node in top.all()}
        self.found: dict[tuple[str, str], Arrow] = {}
        self._of: dict[Key, str] = {}
        self._outer: dict[str, str] = {}
        for top in nodes:
            for node in (top, *top.members):
                for key in node.keys:
                    self._of.setdefault(key, node.id)
            # Whoever connects to a database connects to all of its instances.
            if top.id.endswith("/family"):
                self._outer |= {member.id: top.id for member in top.members}

    def node(self, resource: Resource | None) -> str:
        """What stands for a resource in the picture; empty when nothing does."""
        return "" if resource is None else self._of.get(key_of(resource), "")

    def outer(self, id: str) -> str:
        return self._outer.get(id, id)

    def add(self, source: str, target: str, label: str = "", *, copies: bool = False) -> None:
        if source and target and source != target and (source, target) not in self.found:
            self.found[source, target] = Arrow(source, target, label, copies=copies)

    def all(self) -> tuple[Arrow, ...]:
        """Every arrow, outside in; what most workers do is one arrow."""
        self._origins()
        self._entrances()
        self._balanced()
        self._openings()
        self._replicas()
        self._events()
        self._rights()
        return tuple(self._together())

    # --- from outside ------------------------------------------------------------------------------------------------

    def _origins(self) -> None:
        records = self._records()
        for cdn in self.reading.of("AWS::CloudFront::Distribution"):
            for origin in items(cdn.get("DistributionConfig.Origins")):
                name = dig(origin, "DomainName")
                targets = self.reading.system.targets(name) or records.get(text(name).rstrip("."), [])
                for target in targets:
                    found = self.node(target)
                    if found:
                        ports = self._ports_from_outside(target, prefix_lists=True)
                        self.add(id_of(cdn), found, ports or "origin")

    def _records(self) -> dict[str, list[Resource]]:
        """Name -> where its record leads, also by way of other records."""
        leads: dict[str, Any] = {}
        for record in self.reading.of("AWS::Route53::RecordSet"):
            name = text(record.get("Name")).rstrip(".")
            if name and text(record.get("Type")) in ("A", "AAAA", "CNAME"):
                leads[name] = record.get("AliasTarget.DNSName") or record.get("ResourceRecords")
        found = {}
        for name, value in leads.items():
            for _ in range(3):
                value = leads.get(text(value).rstrip("."), value)
            found[name] = self.reading.system.targets(value)
        return found

    def _entrances(self) -> None:
        behind_cdn = {target for _, target in self.found}
        ways: dict[str, str] = {}
        for node in list(self.nodes.values()):
            first = self.reading.system.resource(node.keys[0]) if node.keys else None
            if first is None or node.id in ways:
                continue
            if node.icons == ("cdn",) or node.icons == ("api",):
                ways[node.id] = ":443"
            elif node.icons in (("balancer",), ("host",)) and node.place is not Place.DATA:
                ports = self._ports_from_outside(first)
                public = text(first.get("Scheme")) in ("internet-facing", "") and node.icons == ("balancer",)
                if ports or (public and node.id not in behind_cdn and not self._groups(first)):
                    ways[node.id] = ports
        named = {self.node(target) for targets in self._records().values() for target in targets}
        for id, ports in ways.items():
            if DNS in self.nodes and id in named:
                self.add(USERS, DNS)
                self.add(DNS, id, ports)
            else:
                self.add(USERS, id, ports)

    def _ports_from_outside(self, resource: Resource, *, prefix_lists: bool = False) -> str:
        found = []
        for group in self._groups(resource):
            for rule in self._rules.get(key_of(group), ()):
                listed = "SourcePrefixListId" in rule.properties
                if (listed and prefix_lists) or _from_outside(rule):
                    found.append(_ports(rule))
        return ", ".join(sorted(set(found), key=lambda ports: (len(ports), ports)))

    # --- inside networks ---------------------------------------------------------------------------------------------

    def _groups(self, resource: Resource) -> list[Resource]:
        return self.reading.reached(resource, GROUP, *LENDING)

    @cached_property
    def _rules(self) -> Mapping[Key, list[Permission]]:
        """Security group -> who may come in."""
        found: dict[Key, list[Permission]] = defaultdict(list)
        for rule in ingress(self.reading.system):
            if rule.group is not None:
                found[key_of(rule.group)].append(rule)
        return found

    def _balanced(self) -> None:
        for balancer in self.reading.of("AWS::ElasticLoadBalancingV2::LoadBalancer"):
            keys = self.nodes[id_of(balancer)].keys if id_of(balancer) in self.nodes else ()
            for key in keys:
                group = self.reading.system.resource(key)
                if group is None or not group.type.endswith("::TargetGroup"):
                    continue
                port = text(group.get("Port"))
                takers = self.reading.users_of(group, "AWS::AutoScaling::AutoScalingGroup", "AWS::ECS::Service")
                for taker in [*takers, *self.reading.system.targets(group.get("Targets"))]:
                    self.add(id_of(balancer), self.node(taker), f":{port}" if port else "")

    def _openings(self) -> None:
        owners: dict[Key, list[str]] = defaultdict(list)
        for node in self.nodes.values():
            for key in node.keys:
                resource = self.reading.system.resource(key)
                if (
                    resource is not None
                    and self.node(resource) == node.id
                    and not resource.type.startswith("AWS::EC2::VPC")
                ):
                    for group in self._groups(resource):
                        if self.outer(node.id) not in owners[key_of(group)]:
                            owners[key_of(group)].append(self.outer(node.id))
        open_to: dict[tuple[str, str], str] = {}
        for entered, rules in self._rules.items():
            for rule in rules:
                source = self.reading.system.target(rule.properties.get("SourceSecurityGroupId"), GROUP)
                for one in owners.get(key_of(source), ()) if source else ():
                    for other in owners.get(entered, ()):
                        open_to.setdefault((one, other), _ports(rule))
        for (one, other), ports in open_to.items():
            # Of two ways the one that leads inwards is drawn: a way back is rarely what a system is made for.
            back = (other, one) in open_to and self._rank(one) > self._rank(other)
            if not back:
                self.add(one, other, ports)

    def _rank(self, id: str) -> int:
        return ORDER.index(self.nodes[id].place)

    def _replicas(self) -> None:
        for node in list(self.nodes.values()):
            if node.id.endswith("/standby"):
                self.add(node.id.removesuffix("/standby"), node.id, copies=True)
        for replica in self.reading.of("AWS::RDS::DBInstance"):
            source = self.reading.first(replica, "SourceDBInstanceIdentifier", "AWS::RDS::DBInstance")
            self.add(self.node(source), self.node(replica), copies=True)

    # --- events ------------------------------------------------------------------------------------------------------

    def _events(self) -> None:
        system = self.reading.system
        for one in self.reading.of(SUBSCRIPTION):
            for target in system.targets(one.get("Endpoint")):
                self.add(self.node(system.target(one.get("TopicArn"), "AWS::SNS::Topic")), self.node(target))
        for mapping in self.reading.of("AWS::Lambda::EventSourceMapping"):
            for source in system.targets(mapping.get("EventSourceArn")):
                self.add(self.node(source), self.node(system.target(mapping.get("FunctionName"))))
        for bucket in self.reading.of("AWS::S3::Bucket"):
            for target in system.targets(bucket.get("NotificationConfiguration")):
                self.add(self.node(bucket), self.node(target))
        for rule in self.reading.of("AWS::Events::Rule", "AWS::Scheduler::Schedule"):
            for target in system.targets([rule.get("Targets"), rule.get("Target")]):
                self.add(self.node(rule), self.node(target))
        for stream in self.reading.of("AWS::KinesisFirehose::DeliveryStream"):
            for target in self.reading.targets(stream):
                if target.type == "AWS::S3::Bucket":
                    self.add(id_of(stream), self.node(target))
        for permission in self.reading.of("AWS::Lambda::Permission"):
            for source in system.targets(permission.get("SourceArn")):
                if source.type in ("AWS::ApiGateway::RestApi", "AWS::ApiGatewayV2::Api"):
                    self.add(self.node(source), self.node(system.target(permission.get("FunctionName"))))

    # --- rights ------------------------------------------------------------------------------------------------------

    def _rights(self) -> None:
        mail = next((id for id, node in self.nodes.items() if node.icons == ("mail",)), "")
        for node in list(self.nodes.values()):
            done: dict[str, set[str]] = defaultdict(set)
            for role in self._roles(node):
                for statement in self.reading.statements.get(key_of(role), ()):
                    actions = [text(action).partition(":") for action in items(statement.get("Action"))]
                    reached = {self.node(each) for each in self.reading.system.targets(statement.get("Resource"))}
                    for service, _, action in actions:
                        if service == "ses" and action.startswith(SENDING):
                            done[mail].add("send")
                        for target in reached:
                            if target and _is_of(service, self.nodes[target]):
                                done[target] |= _verbs(action)
            for target, verbs in done.items():
                if "receive" in verbs:
                    self.add(target, node.id)
                elif verbs:
                    # Most do both; only what is less than that is worth a word.
                    self.add(node.id, target, ONLY.get(frozenset(verbs), ""))

    def _roles(self, node: Node) -> list[Resource]:
        """The roles of hosts, tasks, functions and state machines."""
        if not {"host", "fleet", "container", "function", "steps"} & set(node.icons):
            return []
        found: list[Resource] = []
        waiting = [one for key in node.keys if (one := self.reading.system.resource(key))]
        seen = set(waiting)
        for resource in waiting:
            for target in self.reading.targets(resource):
                if target.type == "AWS::IAM::Role" and resource.type != "AWS::Lambda::Permission":
                    found.append(target)
                elif target not in seen and target.type.endswith(LENDING):
                    seen.add(target)
                    waiting.append(target)
        return list(dict.fromkeys(found))

    # --- many as one -------------------------------------------------------------------------------------------------

    def _together(self) -> Iterator[Arrow]:
        """What at least half of the workers do is done by their group."""
        workers = {member.id for member in self.nodes[WORKERS].members} if WORKERS in self.nodes else set()
        ways: dict[tuple[str, str], list[Arrow]] = defaultdict(list)
        for arrow in self.found.values():
            whole = (WORKERS if end in workers else end for end in (arrow.source, arrow.target))
            ways[tuple(whole)].append(arrow)  # type: ignore[index]
        for (source, target), arrows in ways.items():
            if source == target:
                yield from arrows
            elif WORKERS in (source, target) and len(arrows) >= max(2, len(workers) / 2):
                labels = {arrow.label for arrow in arrows}
                yield Arrow(source, target, labels.pop() if len(labels) == 1 else "")
            else:
                yield from arrows


SERVICES = {
    "bucket": "s3", "table": "dynamodb", "topic": "sns", "queue": "sqs", "function": "lambda", "mail": "ses",
    "stream": "kinesis", "delivery": "firehose", "steps": "states",
}  # fmt: skip


def service_of(node: Node) -> str:
    return SERVICES.get(node.icons[0], "")


def _is_of(service: str, node: Node) -> bool:
    return service == service_of(node)


def _verbs(action: str) -> set[str]:
    if action == "*":
        return {"reads", "writes"}
    kinds = (("send", SENDING), ("receive", RECEIVING), ("reads", READING), ("writes", WRITING))
    about_itself = ("Attributes", "Url", "Location", "Acl", "Policy")
    return {verb for verb, starts in kinds if action.startswith(starts) and not action.endswith(about_itself)}


def _from_outside(rule: Permission) -> bool:
    """Whether users may have the addresses that a rule lets in; what cannot be read counts."""
    ranges = [rule.properties[name] for name in ("CidrIp", "CidrIpv6") if name in rule.properties]
    return any(addresses is None or not is_private(addresses) for addresses in map(network, ranges))


def _ports(rule: Permission) -> str:
    first, last = text(rule.properties.get("FromPort")), text(rule.properties.get("ToPort"))
    if rule.protocol in ("all", "unknown") or not first:
        return "all ports"
    return f":{first}" if first == last else f":{first}-{last}"
