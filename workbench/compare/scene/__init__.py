"""What a picture of a system shows, read from its templates: things, arrows, and what a comparison does to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from workbench.compare.scene.arrows import Arrows
from workbench.compare.scene.inside import inside
from workbench.compare.scene.model import TIERS, Arrow, Fact, Mark, Node, Place, Scene, Subnet, Vpc
from workbench.compare.scene.networks import networks
from workbench.compare.scene.reading import Reading
from workbench.compare.scene.regional import USERS, WORKERS, regional
from workbench.templates import Impact, Key
from workbench.templates.reading import System

__all__ = ["TIERS", "WORKERS", "Arrow", "Fact", "Mark", "Node", "Place", "Scene", "Subnet", "Vpc", "scene"]

MOST_NODES = 60
MOST_ARROWS = 80
MOST_NOTES = 3
MOST_INSIDE = 12  # members of one thing
MOST_ZONES = 6
MOST_VPCS = 4
ORDER = list(Place)
# From the outside in, so that a thing keeps its place from one comparison to the next; others stand between.
RANKS = ("users", "dns", "cdn", "api", "nat", "balancer", "host", "fleet", "container", "cache", "database", "files")
RANKS_OF_OPERATIONS = ("key", "secret", "certificate", "monitoring", "backup", "topic", "bucket")
GONE = (Impact.KEEP, Impact.SNAPSHOT, Impact.DESTROY)


class Changed(Protocol):
    """What a comparison says about one resource."""

    @property
    def impact(self) -> Impact: ...

    @property
    def summary(self) -> str: ...


Changes = Mapping[Key, Changed]


def scene(after: System, before: System | None = None, changes: Changes | None = None) -> Scene:
    """The picture of a system; of a comparison with `before`, also what is new, changed, replaced and removed."""
    now = _side(after)
    if before is not None:
        now = _compared(now, _side(before), changes or {})
    elif changes:
        now = replace(now, nodes=tuple(_by_changes(node, changes) for node in now.nodes))
    return _few(_with_networks(now))


def _side(system: System) -> Scene:
    """One side alone."""
    reading = Reading(system)
    nets = networks(reading)
    nodes = _told_apart([*regional(reading), *inside(reading, nets)])
    arrows = Arrows(reading, nodes).all()
    if any(arrow.source == USERS for arrow in arrows):
        nodes = (Node(USERS, ("users",), "Users", Place.EDGE), *nodes)
    region = next((stack.region for stack in system.stacks if stack.region), "")
    nodes = tuple(sorted(nodes, key=_rank))
    return Scene(region=region, vpcs=tuple(nets.vpcs), nodes=nodes, arrows=arrows)


def _told_apart(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """With their names where several things have one title, and without them elsewhere."""
    titles = Counter(node.title for node in nodes)
    return tuple(
        node
        if titles[node.title] > 1
        else replace(node, facts=tuple(fact for fact in node.facts if fact.about != "name"))
        for node in nodes
    )


def _rank(node: Node) -> tuple[int, int]:
    ranks = RANKS_OF_OPERATIONS if node.place is Place.OPERATIONS else RANKS
    return ORDER.index(node.place), ranks.index(node.icons[0]) if node.icons[0] in ranks else len(ranks)


# --- comparing -------------------------------------------------------------------------------------------------------


def _compared(now: Scene, was: Scene, changes: Changes) -> Scene:
    nodes = _merged(now.nodes, was.nodes, changes)
    nodes = tuple(sorted(nodes, key=_rank))
    ends = {node.id for top in nodes for node in top.all()}
    new, old = ({(arrow.source, arrow.target): arrow for arrow in side.arrows} for side in (now, was))
    arrows = [arrow if ends_of in old else replace(arrow, mark=Mark.NEW) for ends_of, arrow in new.items()]
    arrows += [
        replace(arrow, mark=Mark.REMOVED)
        for (source, target), arrow in old.items()
        if (source, target) not in new and source in ends and target in ends
    ]
    vpcs = [_network(vpc, {one.id: one for one in was.vpcs}.get(vpc.id), changes) for vpc in now.vpcs]
    vpcs += [replace(vpc, mark=Mark.REMOVED) for vpc in was.vpcs if vpc.id not in {one.id for one in now.vpcs}]
    return replace(now, nodes=nodes, arrows=tuple(arrows), vpcs=tuple(vpcs), compared=True)


def _merged(now: Sequence[Node], was: Sequence[Node], changes: Changes) -> tuple[Node, ...]:
    """Things of both sides: those that are there, each with its mark, and behind them those that go."""
    old = {node.id: node for node in was}
    made = [_marked(node, old.get(node.id), changes) for node in now]
    there = {node.id for node in now}
    return (*made, *(_gone(node) for node in was if node.id not in there and node.keys + _inner_keys(node)))


def _inner_keys(node: Node) -> tuple[Key, ...]:
    return tuple(key for member in node.members for key in member.keys)


def _gone(node: Node) -> Node:
    return replace(node, mark=Mark.REMOVED, guard=replace(node.guard, mark=None) if node.guard else None)


def _marked(node: Node, was: Node | None, changes: Changes) -> Node:
    if was is None:
        return replace(node, mark=Mark.NEW if node.keys or node.members else None)
    keys = tuple(dict.fromkeys([*node.keys, *was.keys]))
    told = {fact.about: fact.text for fact in was.facts}
    facts = tuple(
        replace(fact, before=told[fact.about]) if told.get(fact.about, fact.text) != fact.text else fact
        for fact in node.facts
    )
    members = _merged(node.members, was.members, changes)
    mark = _mark(node, keys, changes)
    whole = {member.mark for member in members if member.keys}
    if mark is None and not node.keys and len(whole) == 1:
        mark = next(iter(whole))
        members = tuple(replace(member, mark=None) for member in members)
    if mark is None and facts != node.facts:
        mark = Mark.CHANGED
    guard = node.guard
    if guard is not None:
        guard = _marked(guard, was.guard if was.guard and was.guard.id == guard.id else None, changes)
    said = [changes[key].summary for key in keys if key in changes and changes[key].summary]
    return replace(
        node, facts=facts, members=members, guard=guard, keys=keys, mark=mark, note="; ".join(said[:MOST_NOTES])
    )


def _mark(node: Node, keys: Iterable[Key], changes: Changes) -> Mark | None:
    """The first resource says whether the whole is replaced; anything else is a change of it."""
    if node.keys and not node.members and node.id.startswith(".".join(node.keys[0]) + "/"):
        return None  # a copy: what happens to it is said where the original stands
    impacts = [changes[key].impact for key in keys if key in changes]
    first = changes.get(node.keys[0]) if node.keys and node.id.startswith(".".join(node.keys[0])) else None
    if first is not None and first.impact is Impact.REPLACE:
        return Mark.REPLACED
    if first is not None and first.impact is Impact.MAY_REPLACE:
        return Mark.MAYBE
    return Mark.CHANGED if impacts else None


def _by_changes(node: Node, changes: Changes) -> Node:
    """With no other side to look at, the changes alone say what is new."""
    impacts = [changes[key].impact for key in node.keys[:1] if key in changes]
    mark = Mark.NEW if Impact.CREATE in impacts else _mark(node, node.keys, changes)
    return replace(node, mark=mark, members=tuple(_by_changes(member, changes) for member in node.members))


def _network(vpc: Vpc, was: Vpc | None, changes: Changes) -> Vpc:
    if was is None:
        return replace(vpc, mark=Mark.NEW)
    first = changes.get(vpc.keys[0]) if vpc.keys else None
    old = {subnet.keys[:1] for subnet in was.subnets}
    subnets = tuple(
        replace(subnet, mark=Mark.NEW) if subnet.keys[:1] not in old else _subnet(subnet, changes)
        for subnet in vpc.subnets
    )
    replaced = first is not None and first.impact is Impact.REPLACE
    return replace(vpc, subnets=subnets, mark=Mark.REPLACED if replaced else None)


def _subnet(subnet: Subnet, changes: Changes) -> Subnet:
    own = changes.get(subnet.keys[0]) if subnet.keys else None
    return replace(subnet, mark=Mark.REPLACED) if own is not None and own.impact is Impact.REPLACE else subnet


# --- what a picture can hold ------------------------------------------------------------------------------------------


def _with_networks(made: Scene) -> Scene:
    """Every thing inside a network that is in the picture, in columns that are there."""
    known = {vpc.id: vpc for vpc in made.vpcs[:MOST_VPCS]}
    dropped = {vpc.id for vpc in made.vpcs[MOST_VPCS:]}
    nodes: list[Node] = []
    more = made.more
    for node in made.nodes:
        if node.place in TIERS:
            if node.vpc in dropped:
                more += 1
                continue
            if node.vpc not in known:
                known[node.vpc] = Vpc(node.vpc, "VPC, not in these templates", ("",), (), ())
            width = min(MOST_ZONES, max(1, len(known[node.vpc].zones)))
            node = _within(node, width)
        nodes.append(node)
    vpcs = tuple(_narrow(vpc) for vpc in known.values())
    return replace(made, nodes=tuple(nodes), vpcs=vpcs, more=more)


def _within(node: Node, width: int) -> Node:
    zones = tuple(sorted({min(zone, width - 1) for zone in node.zones})) or (0,)
    return replace(node, zones=zones, members=tuple(_within(member, width) for member in node.members))


def _narrow(vpc: Vpc) -> Vpc:
    zones = vpc.zones[:MOST_ZONES] or ("",)
    return replace(vpc, zones=zones, subnets=tuple(each for each in vpc.subnets if each.zone < len(zones)))


def _few(made: Scene) -> Scene:
    """As many things as a reader can take in, those that a comparison is about first."""
    more = made.more
    tops = []
    for node in made.nodes:
        more += max(0, len(node.members) - MOST_INSIDE)
        tops.append(replace(node, members=node.members[:MOST_INSIDE]))
    important = sorted(tops, key=lambda node: node.mark is None)
    kept: set[str] = set()
    room = MOST_NODES
    for node in important:
        size = 1 + len(node.members)
        if size <= room:
            kept.add(node.id)
            room -= size
        else:
            more += size
    nodes = tuple(node for node in tops if node.id in kept)
    ends = {node.id for top in nodes for node in top.all()}
    arrows = [arrow for arrow in made.arrows if arrow.source in ends and arrow.target in ends]
    hidden = max(0, len(arrows) - MOST_ARROWS)
    return replace(made, nodes=nodes, arrows=tuple(arrows[:MOST_ARROWS]), more=more, more_arrows=hidden)
