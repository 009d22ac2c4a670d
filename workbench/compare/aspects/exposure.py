"""What can be reached from where, and by which name visitors come in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from workbench.compare.aspects.entrances import ADDRESS, BALANCER, CDN, DOMAIN, Way, firewalled, key_of, ways
from workbench.compare.model import Delta, Entrance, Facts, Finding, Kind, Opening, Risk
from workbench.templates import Impact, Key, predict
from workbench.templates.names import listed, names, written
from workbench.templates.network import (
    DESTINATIONS,
    SOURCES,
    Permission,
    egress,
    ingress,
    is_everywhere,
    is_private,
    network,
)
from workbench.templates.reading import Resource, System, number, yes

EVERYBODY, ANYWHERE, ALL = "everybody", "anywhere", "all"
EDGE_PORTS = ("80", "443")
# What CDK writes where nothing may go out, because no rule at all would let everything out.
NOBODY = "255.255.255.255/32"
PUBLIC = "public"
# Of each pair one is enough to keep a policy, or a list of rights on objects, from making a bucket public.
EITHER = (("BlockPublicPolicy", "RestrictPublicBuckets"), ("BlockPublicAcls", "IgnorePublicAcls"))
BLOCKS = tuple(name for pair in EITHER for name in pair)
LISTS = {"PublicRead": "read", "PublicReadWrite": "read and write"}
# What is public without a port, and how that is said.
SAID = {
    "address": "{} gets an address on the internet: only its security groups stand before it.",
    "unblocked": "Nothing keeps {} from being made public: its block of public access is off, or has a gap.",
    "read": "Everybody may now read what is in {}.",
    "read and write": "Everybody may now read, change and delete what is in {}.",
}
DESCRIBED = {
    DOMAIN: "{}",
    CDN: "the name that AWS gives to the CDN {}",
    BALANCER: "the name that AWS gives to the load balancer {}",
    ADDRESS: "the address {}",
}


def openings(system: System) -> frozenset[Opening]:
    """Who may open connections to whom."""
    return frozenset(_openings(system, names(system)))


def entrances(system: System) -> tuple[Entrance, ...]:
    """The names and addresses that visitors use."""
    return tuple(way.entrance for way in ways(system, names(system)))


def compare(before: Facts, after: Facts) -> tuple[Delta[Opening], Delta[Entrance], list[Finding]]:
    """What opens and closes, and by which other name visitors must come."""
    called = names(before.system, after.system)
    old, new = (_openings(side.system, called) for side in (before, after))
    opened, closed = ([one for one in these if one not in those] for these, those in ((new, old), (old, new)))
    old_ways, new_ways = (ways(side.system, called) for side in (before, after))
    lost, come = _without(old_ways, new_ways), _without(new_ways, old_ways)
    if lost and not come:  # the name that AWS gave is what is left
        come = [way.entrance for way in new_ways if way.entrance not in {known.entrance for known in old_ways}]
    findings = [
        *_wider(opened, new, old),
        *_freed(before.system, after.system, called),
        *_renamed(lost, come, old_ways),
        *_leading_elsewhere(old_ways, new_ways, called),
        *_replaced(before, after, old_ways, new_ways),
        *_without_firewall(before.system, after.system, old_ways, new_ways, called),
    ]
    return (
        Delta(tuple(sorted(opened)), tuple(sorted(closed))),
        Delta(tuple(sorted(come)), tuple(sorted(lost))),
        findings,
    )


# --- openings --------------------------------------------------------------------------------------------------------


def _openings(system: System, called: Mapping[Key, str]) -> dict[Opening, Key]:
    """Each opening with the resource that it opens, or that it lets out."""
    found = dict[Opening, Key]()
    for rule in ingress(system):
        source, target = _end(rule, SOURCES, called), _group(rule, called)
        opening = Opening(source, target, rule.protocol, _ports(rule, called), _is_everybody(rule.source))
        found.setdefault(opening, key_of(rule.group or rule.resource))
    for rule in egress(system):
        # Between two groups it is the other one's ingress that decides.
        if rule.destination not in (None, NOBODY) and "DestinationSecurityGroupId" not in rule.properties:
            target = _end(rule, DESTINATIONS, called).replace(EVERYBODY, ANYWHERE)
            opening = Opening(_group(rule, called), target, rule.protocol, _ports(rule, called))
            if not _lets_everything_out(rule):
                found.setdefault(opening, key_of(rule.group or rule.resource))
    for key, resource in system.by_key.items():
        for what in _public(resource):
            found.setdefault(Opening(EVERYBODY, called[key], PUBLIC, what, everybody=True), key)
    return found


def _public(resource: Resource) -> Iterator[str]:
    """In which ways something is public without a security group saying so."""
    if yes(resource.get("PubliclyAccessible")):
        yield "address"
    if resource.type == "AWS::S3::Bucket":
        block = resource.get("PublicAccessBlockConfiguration")
        if isinstance(block, Mapping) and any(not any(yes(block.get(name)) for name in pair) for pair in EITHER):
            yield "unblocked"
        if isinstance(access := resource.get("AccessControl"), str) and access in LISTS:
            yield LISTS[access]


def _blocked(bucket: Resource) -> bool:
    return all(yes(bucket.get(f"PublicAccessBlockConfiguration.{name}")) for name in BLOCKS)


def _group(rule: Permission, called: Mapping[Key, str]) -> str:
    return called[key_of(rule.group)] if rule.group else written(rule.properties.get("GroupId"), called)


def _end(rule: Permission, ends: tuple[str, ...], called: Mapping[Key, str]) -> str:
    """The other end of a rule, as people call it."""
    name = next((name for name in ends if name in rule.properties), "")
    text = written(rule.properties.get(name), called)
    if "PrefixList" in name:
        return f"prefix list {text}"
    addresses = network(text) if name.startswith("Cidr") else None
    if addresses is None or addresses.prefixlen:
        return text
    return EVERYBODY if addresses.version == 4 else f"{EVERYBODY} (IPv6)"


def _ports(rule: Permission, called: Mapping[Key, str]) -> str:
    ends = [rule.properties.get(name) for name in ("FromPort", "ToPort")]
    first, last = (written(end, called) for end in ends)
    if rule.protocol == ALL or None in ends or (first, last) in (("0", "65535"), ("-1", "-1")):
        return ALL
    return first if first == last else f"{first}-{last}"


def _is_everybody(source: Any) -> bool:
    return is_everywhere(network(source)) is True


def _lets_everything_out(rule: Permission) -> bool:
    return rule.protocol == ALL and _is_everybody(rule.destination)


def _wider(opened: Iterable[Opening], new: Mapping[Opening, Key], old: Iterable[Opening]) -> Iterator[Finding]:
    """New openings that somebody outside can use, all ports of one pair in one sentence."""
    known = defaultdict[str, list[Opening]](list)
    for opening in old:
        known[opening.target].append(opening)
    together = defaultdict[tuple[str, str, Risk], list[Opening]](list)
    for opening in sorted(opened):
        if opening.protocol == PUBLIC and opening.ports in SAID:
            text = SAID[opening.ports].format(opening.target)
            yield Finding(Risk.DANGER, Kind.OPEN_NETWORK, text, new[opening])
        elif not any(_covers(other, opening) for other in known[opening.target]):
            addresses = network(opening.source)
            if opening.everybody or (addresses and not is_private(addresses)):
                to_edge = opening.protocol in ("tcp", "udp") and opening.ports in EDGE_PORTS
                risk = Risk.DANGER if opening.everybody and not to_edge else Risk.NOTICE
                together[opening.source, opening.target, risk].append(opening)
    for (source, target, risk), ports in together.items():
        on = listed([_port_text(opening) for opening in ports])
        text = f"{source[:1].upper()}{source[1:]} may now connect to {target} on {on}."
        yield Finding(risk, Kind.OPEN_NETWORK, text, new[ports[0]])


def _port_text(opening: Opening) -> str:
    if opening.protocol == ALL:
        return "every port"
    return f"every {opening.protocol} port" if opening.ports == ALL else f"{opening.protocol} {opening.ports}"


def _covers(wide: Opening, narrow: Opening) -> bool:
    """Whether an earlier opening let the same connections in."""
    addresses = network(narrow.source)
    in_everybody = wide.source == EVERYBODY and addresses is not None and addresses.version == 4
    if wide.source != narrow.source and not in_everybody:
        return False
    if wide.protocol == ALL:
        return True
    (first, last), (inner_first, inner_last) = _range(wide.ports), _range(narrow.ports)
    return wide.protocol == narrow.protocol and first <= inner_first and inner_last <= last


def _range(ports: str) -> tuple[int, int]:
    first, _, last = ports.partition("-")
    return (0, 65535) if ports == ALL else (number(first, -1), number(last or first, -1))


def _freed(before: System, after: System, called: Mapping[Key, str]) -> Iterator[Finding]:
    """Limits that are no longer there."""
    limited = {key_of(rule.group) for rule in egress(before) if rule.group} - _unlimited(before)
    for key in sorted(_unlimited(after) & limited):
        text = f"Members of {called[key]} may now connect to anything anywhere; before, only to what was listed."
        yield Finding(Risk.NOTICE, Kind.OPEN_NETWORK, text, key)
    for bucket in before.of_type("AWS::S3::Bucket"):
        now = after.resource(key_of(bucket))
        if now is not None and _blocked(bucket) and now.get("PublicAccessBlockConfiguration") is None:
            text = f"{called[key_of(bucket)]} no longer says that public access to it is blocked."
            yield Finding(Risk.NOTICE, Kind.OPEN_NETWORK, text, key_of(bucket))


def _unlimited(system: System) -> set[Key]:
    return {key_of(rule.group) for rule in egress(system) if rule.group and _lets_everything_out(rule)}


# --- entrances -------------------------------------------------------------------------------------------------------


def _without(these: list[Way], those: list[Way]) -> list[Entrance]:
    """Ways in that the other side does not have; what has a domain there still answers to the name AWS gave it."""
    known = {way.entrance.name for way in those}
    answering = {key for way in those for key in way.answers}
    return [
        way.entrance
        for way in these
        if way.entrance.name not in known and (way.entrance.kind == DOMAIN or way.entrance.key not in answering)
    ]


def _renamed(lost: list[Entrance], come: list[Entrance], old: list[Way]) -> Iterator[Finding]:
    """Names that visitors must learn, and those that they may."""
    if lost and come:
        text = f"Visitors need another address: {_described(come)} instead of {_described(lost)}."
        yield Finding(Risk.NOTICE, Kind.ADDRESS, text, come[0].key)
    elif lost:
        text = f"Visitors can no longer come in by {_described(lost)}."
        yield Finding(Risk.NOTICE, Kind.ADDRESS, text, lost[0].key)
    elif any(entrance.kind == DOMAIN for entrance in come) and old:
        names = _described([entrance for entrance in come if entrance.kind == DOMAIN])
        yield Finding(Risk.ROUTINE, Kind.ADDRESS, f"Visitors may now use {names} as well.", come[0].key)
    for entrance in come:
        if not lost and entrance.kind != DOMAIN:
            text = f"There is a new way in from the internet: {_described([entrance])}."
            yield Finding(Risk.NOTICE, Kind.OPEN_NETWORK, text, entrance.key)


def _leading_elsewhere(old: list[Way], new: list[Way], called: Mapping[Key, str]) -> Iterator[Finding]:
    """Names that stay while something else answers."""
    before = {way.entrance.name: way for way in old}
    for way in new:
        known = before.get(way.entrance.name)
        if known is not None and known.answers != way.answers:
            now, then = (listed(sorted(called[key] for key in one.answers)) for one in (way, known))
            text = f"{way.entrance.name} stays, and leads to {now} instead of {then}."
            yield Finding(Risk.ROUTINE, Kind.ADDRESS, text, way.entrance.key)


def _described(found: list[Entrance]) -> str:
    return listed([DESCRIBED.get(one.kind, f"the {one.kind} {{}}").format(one.name) for one in found])


def _replaced(before: Facts, after: Facts, old: list[Way], new: list[Way]) -> Iterator[Finding]:
    """Entrances that keep their place and still get another name, because AWS makes them anew."""
    same = {way.entrance for way in old if way.entrance.kind != DOMAIN} & {way.entrance for way in new}
    changed = [
        entrance
        for entrance in sorted(same)
        if before.system.by_key[entrance.key].properties != after.system.by_key[entrance.key].properties
    ]
    changes = predict(before.assembly, after.assembly) if changed else {}
    for entrance in changed:
        if entrance.key in changes and changes[entrance.key].impact is Impact.REPLACE:
            text = f"Visitors need another address: {_described([entrance])} changes, because it is replaced."
            yield Finding(Risk.NOTICE, Kind.ADDRESS, text, entrance.key)


def _without_firewall(
    before: System, after: System, old: list[Way], new: list[Way], called: Mapping[Key, str]
) -> Iterator[Finding]:
    """Entrances that a web firewall does not guard, where it did before."""
    guarded_before, guarded = firewalled(before), firewalled(after)
    old_answers, new_answers = ({key for way in side for key in way.answers} for side in (old, new))
    all_guarded = bool(old_answers) and old_answers <= guarded_before
    for key in sorted(new_answers - guarded):
        if key in guarded_before:
            text = f"{called[key]} no longer has a web firewall in front of it."
            yield Finding(Risk.NOTICE, Kind.OPEN_NETWORK, text, key)
        elif all_guarded and key not in old_answers:
            text = f"{called[key]} is a way in without a web firewall; before, every way in had one."
            yield Finding(Risk.NOTICE, Kind.OPEN_NETWORK, text, key)
