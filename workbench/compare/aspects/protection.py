"""How what is stored and sent is kept: encryption, backups, protection from deletion, and tags."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workbench.compare.aspects.entrances import key_of
from workbench.compare.model import Facts, Finding, Guard, Kind, Risk
from workbench.facts.protections import (
    AWS_KEY,
    BACKUPS,
    CUSTOMER_KEY,
    ENCRYPTION,
    FOREVER,
    IN_LISTS,
    NOT_ENCRYPTED,
    NOT_KNOWN,
    SWITCHES,
    TERMS,
    UNDELETABLE,
    Encryption,
    Switch,
    Term,
)
from workbench.facts.stateful import (
    DELETE,
    RETAIN,
    RETAIN_EXCEPT_ON_CREATE,
    SNAPSHOT,
    STATEFUL,
    is_replica,
    removal_policy,
)
from workbench.templates import Key, StackTemplate
from workbench.templates.names import UNKNOWN, listed, names, several, written
from workbench.templates.reading import Resource, System, number, yes

STRENGTH = {NOT_ENCRYPTED: 0, AWS_KEY: 1, CUSTOMER_KEY: 2}
ON = ("true", "enabled", "active", "kms", "kms_dsse", "aes256", "aws_owned_cmk", "customer_managed_cmk")
OFF = ("false", "disabled", "inactive", "none")
POINT_IN_TIME = "PointInTimeRecoverySpecification"
POINT_IN_TIME_DAYS = 35
BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"
TAGS = ("Tags", "BackupVaultTags", "FileSystemTags", "HostedZoneTags", "UserPoolTags")
KEEPING = {DELETE: 0, SNAPSHOT: 1, RETAIN_EXCEPT_ON_CREATE: 2, RETAIN: 2}
MOST_SENTENCES = 3  # of one wording; more of them become one


@dataclass(frozen=True)
class Weaker:
    """One thing that is protected less, in words that fit whatever it is called."""

    risk: Risk
    kind: Kind
    text: str
    key: Key


def guards(system: System) -> Mapping[Key, Guard]:
    """How everything that holds something is protected."""
    called = names(system)
    return {
        key: Guard(
            key=key,
            name=called[key],
            encrypted=_encryption(resource)[0],
            protected=_protected(resource),
            backup_days=_backup_days(resource),
            removal=_removal(resource),
            tags=_tags(resource),
        )
        for key, resource in system.by_key.items()
        if resource.type in STATEFUL or resource.type in UNDELETABLE or _encryption(resource)[0]
    }


def compare(before: Facts, after: Facts) -> list[Finding]:
    """What is protected less than before, and in one sentence how tags change."""
    called = names(before.system, after.system)
    pairs = [
        (key, resource, there)
        for key, resource in before.system.by_key.items()
        if (there := after.system.resource(key)) is not None and there.type == resource.type
    ]
    weaker = [one for key, old, new in pairs for one in _weaker(key, old, new, called)]
    weaker += _no_longer_copied(before.system, after.system)
    return [*_sentences(weaker, called), *_stacks(before, after), *_tag_changes(pairs)]


# --- reading ---------------------------------------------------------------------------------------------------------


def _encryption(resource: Resource) -> tuple[str | None, Any]:
    """How something is encrypted, and with which key; None where there is nothing to encrypt."""
    if resource.type == "AWS::SQS::Queue":
        if resource.get("KmsMasterKeyId"):
            return _of_key(resource.get("KmsMasterKeyId"))
        return (NOT_ENCRYPTED if _text(resource.get("SqsManagedSseEnabled")) in OFF else AWS_KEY), None
    if resource.type in IN_LISTS:
        path, encryption = IN_LISTS[resource.type]
        found = [_by(encryption, part) for part in several(resource.get(path)) if isinstance(part, Mapping)]
        found = found or [(encryption.otherwise, None)]
        return min(found, key=lambda one: STRENGTH.get(one[0], len(STRENGTH)))
    if resource.type not in ENCRYPTION:
        return None, None
    if is_replica(resource.type, resource.properties) or "DBClusterIdentifier" in resource.properties:
        return NOT_KNOWN, None  # as what it belongs to
    return _by(ENCRYPTION[resource.type], resource.properties)


def _by(encryption: Encryption, properties: Mapping[str, Any]) -> tuple[str, Any]:
    switch = _text(_at(properties, encryption.switch.split(".")))
    key = _at(properties, encryption.key.split("."))
    if switch in OFF:
        return encryption.off, None
    if key:
        return _of_key(key)
    if not switch:
        return encryption.otherwise, None
    return (AWS_KEY if switch in ON or switch.startswith("aws:kms") else NOT_KNOWN), None


def _of_key(key: Any) -> tuple[str, Any]:
    text = written(key, {})
    if UNKNOWN in text:
        return NOT_KNOWN, key
    return (AWS_KEY if "alias/aws/" in text else CUSTOMER_KEY), key


def _protected(resource: Resource) -> bool | None:
    """Whether its service refuses to delete it; None where there is no such setting, or nobody can say."""
    if resource.type == BALANCER:
        attributes = several(resource.get("LoadBalancerAttributes"))
        values = [one.get("Value") for one in attributes if _at(one, ["Key"]) == "deletion_protection.enabled"]
    else:
        row = STATEFUL.get(resource.type)
        path = row.protection if row else UNDELETABLE.get(resource.type)
        if path is None:
            return None
        values = [resource.get(path)]
    text = _text(values[0]) if values else ""
    return text in ON if text in (*ON, *OFF, "") else None


def _backup_days(resource: Resource) -> int | None:
    if resource.type == "AWS::DynamoDB::Table":
        if not yes(resource.get(f"{POINT_IN_TIME}.PointInTimeRecoveryEnabled")):
            return 0
        return number(resource.get(f"{POINT_IN_TIME}.RecoveryPeriodInDays"), POINT_IN_TIME_DAYS)
    if resource.type not in BACKUPS:
        return None
    path, otherwise = BACKUPS[resource.type]
    given = resource.get(path)
    if given is None:
        depends = is_replica(resource.type, resource.properties) or "DBClusterIdentifier" in resource.properties
        return None if depends else otherwise
    days = number(given, -1)
    return None if days < 0 else days


def _removal(resource: Resource) -> str:
    return removal_policy(resource.type, resource.properties, resource.body.get("DeletionPolicy"))


def _tags(resource: Resource) -> dict[str, str]:
    found = dict[str, str]()
    for name in TAGS:
        given = resource.get(name)
        if isinstance(given, Mapping):
            found |= {str(key): written(value, {}) for key, value in given.items()}
        for tag in given if isinstance(given, list) else ():
            if isinstance(tag, Mapping) and "Key" in tag:
                found[written(tag["Key"], {})] = written(tag.get("Value"), {})
    return dict(sorted(found.items()))


def _text(value: Any) -> str:
    """A setting as text; empty when nothing is said."""
    return "" if value is None else written(value, {}).lower()


def _at(value: Any, path: list[str] | tuple[str, ...]) -> Any:
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _all_at(value: Any, path: tuple[str, ...]) -> list[Any]:
    """Everything at a path that leads through lists."""
    found = several(value)
    for step in path:
        found = [one for part in found if isinstance(part, Mapping) for one in several(part.get(step))]
    return found


# --- weaker ----------------------------------------------------------------------------------------------------------


def _weaker(key: Key, old: Resource, new: Resource, called: Mapping[Key, str]) -> Iterator[Weaker]:
    if old.properties == new.properties and old.body == new.body:
        return
    yield from _encrypted_less(key, old, new, called)
    if _protected(old) and _protected(new) is False:
        yield Weaker(Risk.NOTICE, Kind.PROTECTION, "{} can be deleted: its deletion protection is off.", key)
    before, after = _backup_days(old), _backup_days(new)
    if before and after is not None and after < before:
        text = f"{{}} keeps its backups for {_counted(after)} instead of {_counted(before)}."
        if not after:
            text = f"{{}} has no automatic backups any more; before, they were kept for {_counted(before)}."
        yield Weaker(Risk.NOTICE if after else Risk.DANGER, Kind.PROTECTION, text, key)
    yield from _kept_less(key, old, new)
    for switch in SWITCHES:
        if switch.type == old.type and _is_good(switch, old) is True and _is_good(switch, new) is False:
            risk = Risk.DANGER if switch.at_stake else Risk.NOTICE
            yield Weaker(risk, Kind(switch.about), switch.text, key)
    for term in TERMS:
        if term.type == old.type:
            long, short = (_shortest(term, side) for side in (old, new))
            if long is not None and short is not None and short < long:
                usual = term.forever if long == FOREVER else _counted(long, term.unit)
                yield Weaker(
                    Risk.NOTICE, Kind.PROTECTION, term.text.format("{}", _counted(short, term.unit), usual), key
                )


def _counted(number: float, unit: str = "day") -> str:
    return f"{number:,.0f} {unit}{'s' * (number != 1)}"


def _encrypted_less(key: Key, old: Resource, new: Resource, called: Mapping[Key, str]) -> Iterator[Weaker]:
    (before, old_key), (after, new_key) = _encryption(old), _encryption(new)
    if before not in STRENGTH or after not in STRENGTH:
        return
    if after == NOT_ENCRYPTED != before:
        yield Weaker(Risk.DANGER, Kind.ENCRYPTION, "{} is no longer encrypted.", key)
    elif STRENGTH[after] < STRENGTH[before]:
        text = f"{{}} is encrypted with a key of AWS instead of {_key_name(old_key, called)}."
        yield Weaker(Risk.NOTICE, Kind.ENCRYPTION, text, key)
    elif before == CUSTOMER_KEY and old_key != new_key:
        names = _key_name(new_key, called), _key_name(old_key, called)
        text = "{{}} is encrypted with {} instead of {}; whatever is there already still needs that one.".format(*names)
        yield Weaker(Risk.NOTICE, Kind.ENCRYPTION, text, key)


def _key_name(value: Any, called: Mapping[Key, str]) -> str:
    """Doubled braces are text, not places to fill."""
    return written(value, called).replace("{", "{{").replace("}", "}}")


def _kept_less(key: Key, old: Resource, new: Resource) -> Iterator[Weaker]:
    """Policies that keep less of what a resource holds."""
    row = STATEFUL.get(new.type)
    if row is None or is_replica(new.type, new.properties):
        return
    fates = {
        "the template no longer has it": (_removal(old), _removal(new)),
        "it is replaced": (_replaced(old), _replaced(new)),
    }
    less = defaultdict[tuple[str, str], list[str]](list)
    for event, (before, after) in fates.items():
        if KEEPING.get(after, 0) < KEEPING.get(before, 0):
            less[before, after].append(event)
    for (before, after), events in less.items():
        fate = "is only kept as a snapshot" if after == SNAPSHOT else "is deleted"
        past = "a snapshot of it stayed" if before == SNAPSHOT else "it stayed"
        lost = after == DELETE and not row.identity_only
        text = f"{{}} ({row.holds}) {fate} when {' or when '.join(events)}; before, {past}."
        yield Weaker(Risk.DANGER if lost else Risk.NOTICE, Kind.PROTECTION, text, key)


def _replaced(resource: Resource) -> str:
    """What happens to the old one when it is replaced."""
    policy = resource.body.get("UpdateReplacePolicy")
    return policy if isinstance(policy, str) else DELETE


def _is_good(switch: Switch, resource: Resource) -> bool | None:
    values = [_text(value) for value in _all_at(resource.properties, switch.path)] or [""]
    if any(UNKNOWN in value or value.startswith("<") for value in values):
        return None
    return all(value in switch.good for value in values)


def _shortest(term: Term, resource: Resource) -> float | None:
    values = [
        value
        for part in _all_at(resource.properties, term.path[:-1])
        if isinstance(part, Mapping) and _text(part.get("Status")) != "disabled"
        for value in several(part.get(term.path[-1]))
    ]
    terms = [number(value, -1) for value in values]
    return None if -1 in terms else min(terms, default=term.otherwise)


# --- copies by tag ---------------------------------------------------------------------------------------------------


def _no_longer_copied(before: System, after: System) -> Iterator[Weaker]:
    """What a backup plan found by its tags, or by name, and finds no longer."""
    still = _copied(after)
    for key, plan in _copied(before).items():
        if key in after.by_key and key not in still:
            text = f"{{}} is no longer copied by {plan.replace('{', '{{').replace('}', '}}')}."
            yield Weaker(Risk.DANGER, Kind.PROTECTION, text, key)


def _copied(system: System) -> dict[Key, str]:
    """What backup plans select, with the name of the selection."""
    found = dict[Key, str]()
    for selection in system.of_type("AWS::Backup::BackupSelection"):
        wanted = [
            (written(tag.get("ConditionKey"), {}), written(tag.get("ConditionValue"), {}))
            for tag in _all_at(selection.properties, ("BackupSelection", "ListOfTags"))
            if isinstance(tag, Mapping)
        ]
        chosen = [key_of(one) for one in system.targets(selection.get("BackupSelection.Resources"))]
        chosen += [
            key
            for key, resource in system.by_key.items()
            if wanted and not set(wanted).isdisjoint(_tags(resource).items())
        ]
        for key in chosen:
            found.setdefault(key, selection.name)
    return found


# --- telling ---------------------------------------------------------------------------------------------------------


def _sentences(weaker: list[Weaker], called: Mapping[Key, str]) -> Iterator[Finding]:
    """A sentence for each, or one for many of which the same is to be said."""
    alike = defaultdict[tuple[Risk, Kind, str], list[Key]](list)
    for one in weaker:
        alike[one.risk, one.kind, one.text].append(one.key)
    for (risk, kind, text), keys in alike.items():
        if len(keys) <= MOST_SENTENCES:
            yield from (Finding(risk, kind, text.format(called[key]), key) for key in keys)
        else:
            each = f"Each of {listed(sorted(called[key] for key in keys), most=8)}"
            yield Finding(risk, kind, text.format(each))


def _stacks(before: Facts, after: Facts) -> Iterator[Finding]:
    now: dict[str, StackTemplate] = {stack.role: stack for stack in after.assembly.stacks}
    for stack in before.assembly.stacks:
        if stack.termination_protection and stack.role in now and not now[stack.role].termination_protection:
            text = f"The stack {now[stack.role].name} can be deleted: its termination protection is off."
            yield Finding(Risk.NOTICE, Kind.PROTECTION, text)


def _tag_changes(pairs: list[tuple[Key, Resource, Resource]]) -> Iterator[Finding]:
    """All changes of tags on what is there before and after."""
    changes = Counter[tuple[str, str]]()
    for _, old, new in pairs:
        if old.properties == new.properties:
            continue
        before, after = _tags(old), _tags(new)
        changes.update((tag, "is added to") for tag in after.keys() - before.keys())
        changes.update((tag, "is taken from") for tag in before.keys() - after.keys())
        changes.update((tag, "changes on") for tag in before.keys() & after.keys() if before[tag] != after[tag])
    said = [
        f"`{tag}` {what} {count} resource{'s' if count > 1 else ''}" for (tag, what), count in sorted(changes.items())
    ]
    if said:
        yield Finding(Risk.ROUTINE, Kind.PROTECTION, f"Tags: {listed(said, most=10)}.")
