"""Who may do what on what, one right at a time, so that it does not matter how statements are cut."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import product
from typing import Any

from workbench.compare.model import Delta, Facts, Finding, Grant, Kind, Risk
from workbench.templates import Key
from workbench.templates.names import UNKNOWN, listed, names, several, written
from workbench.templates.reading import Resource, System
from workbench.templates.rights import (
    POLICIES,
    PRINCIPALS,
    RESOURCE_POLICIES,
    WIDE_MANAGED,
    holders,
    inline,
    statements,
)

ROLE, MANAGED_POLICY = "AWS::IAM::Role", "AWS::IAM::ManagedPolicy"
ALLOW, DENY, LIMIT = "Allow", "Deny", "Limit"  # the last one is a permissions boundary
EVERYBODY, OWN_ACCOUNT, ANYTHING = "everybody", "this account", "*"
BUT, ALL_OF = "everything but ", "managed policy "
LIMITED = "whoever is limited by "  # a boundary says what is possible at most, and gives nothing
# Types that are one statement each: what they let others use, and the condition that their properties stand for.
ONE_STATEMENT = {
    "AWS::Events::EventBusPolicy": "EventBusName",
    "AWS::Lambda::LayerVersionPermission": "LayerVersionArn",
    "AWS::Lambda::Permission": "FunctionName",
}
ITS_CONDITIONS = {
    "SourceArn": "aws:SourceArn",
    "SourceAccount": "aws:SourceAccount",
    "PrincipalOrgID": "aws:PrincipalOrgID",
    "OrganizationId": "aws:PrincipalOrgID",
}
# A statement with more rights than this keeps its resources, and then its actions, as one text each.
MOST_RIGHTS = 5_000
# Of one principal, so many rights are looked through for a wider one.
MOST_WIDER = 500

READING = (
    "batchget", "check", "describe", "estimate", "get", "head", "list", "lookup", "preview", "query", "read", "scan",
    "search", "select", "simulate", "view",
)  # fmt: skip
# Actions that know no resource, so that everybody who needs them has them on `*`.
# https://docs.aws.amazon.com/service-authorization/latest/reference/ (list_awsx-ray, list_amazoncloudwatch,
# list_ssmmessages, list_ec2messages), read on 2026-11.
WITHOUT_RESOURCE = re.compile(r"xray:put|cloudwatch:putmetricdata$|ssmmessages:|ec2messages:")
EVERY_RIGHT = re.compile(r"\*$|\*:\*$|iam:\*$|everything but ")
ALMIGHTY_MANAGED = re.compile(r"(AdministratorAccess|PowerUserAccess|IAMFullAccess)$")
_ACCOUNT = re.compile(r"(?:arn:[^:]*:(?:iam|sts)::)?(\d{12}|<AccountId>)(?::root)?")
_IN_ARN = re.compile(r"arn:[^:]*:(?:iam|sts)::(\d{12}):(?!oidc-provider|saml-provider)")

Rights = Mapping[Grant, Key]
"""Each right with the resource that it is about: who has it, or what it opens."""
Told = tuple["Reason", Grant, Key]


def grants(system: System) -> frozenset[Grant]:
    """Every right that templates give or deny."""
    return frozenset(_rights(system, names(system)))


def compare(before: Facts, after: Facts) -> tuple[Delta[Grant], list[Finding]]:
    """Which rights come and go, and those of them that somebody must look at."""
    called = names(before.system, after.system)
    old, new = (_folded(_rights(side.system, called)) for side in (before, after))
    added = {grant: key for folded, (grant, key) in new.items() if folded not in old}
    removed = {grant: key for folded, (grant, key) in old.items() if folded not in new}
    ours = {f"account {stack.account}" for side in (before, after) for stack in side.system.stacks if stack.account}
    told = [(reason, grant, key) for grant, key in added.items() if (reason := _reason(grant, ours)) is not None]
    gone = [
        (BOUNDARY_GONE if grant.effect == LIMIT else DENIAL_GONE, grant, key)
        for grant, key in removed.items()
        if grant.effect in (DENY, LIMIT) and key in after.system.by_key
    ]
    findings = _findings([*_not_covered(told, old), *_not_covered(gone, new)])
    return Delta(tuple(sorted(added)), tuple(sorted(removed))), findings


def _folded(rights: Rights) -> dict[Grant, tuple[Grant, Key]]:
    """Rights by what they are, however their actions are spelt."""
    return {
        replace(grant, action=grant.action.lower()): (grant, key) for grant, key in sorted(rights.items(), reverse=True)
    }


def _not_covered(told: Iterable[Told], others: Iterable[Grant]) -> Iterator[Told]:
    """Without rights that are only a part of a wider one on the other side."""
    wider = defaultdict[tuple[str, str], list[Grant]](list)
    for other in others:
        if UNKNOWN not in other.action + other.resource and len(wider[other.principal, other.effect]) < MOST_WIDER:
            wider[other.principal, other.effect].append(other)
    for reason, grant, key in told:
        if not any(_covers(other, grant) for other in wider[grant.principal, grant.effect]):
            yield reason, grant, key


def _covers(wide: Grant, narrow: Grant) -> bool:
    return (
        wide.condition in ("", narrow.condition)
        and _matches(narrow.action.lower(), wide.action)
        and _matches(narrow.resource, wide.resource)
    )


def _matches(text: str, pattern: str) -> bool:
    """As IAM reads `*` and `?`; brackets mean nothing to it."""
    return text == pattern or fnmatchcase(text, pattern.replace("[", "[[]"))


# --- reading ---------------------------------------------------------------------------------------------------------


def _rights(system: System, called: Mapping[Key, str]) -> dict[Grant, Key]:
    found = dict[Grant, Key]()
    for grant, key in _all_rights(system, called):
        found.setdefault(grant, key)
    return found


def _all_rights(system: System, called: Mapping[Key, str]) -> Iterator[tuple[Grant, Key]]:
    for key, resource in system.by_key.items():
        if resource.type in PRINCIPALS:
            yield from _of_principal(system, resource, key, called)
        if resource.type in POLICIES:
            for holder, its_key in _holders(system, resource, key, called):
                for statement in statements(resource.get("PolicyDocument"), called):
                    yield from ((grant, its_key) for grant in _grants(statement, [holder], [], called))
        if resource.type in RESOURCE_POLICIES:
            yield from _of_resource_policy(system, resource, key, called)
        if resource.type in ONE_STATEMENT:
            yield from _of_one_statement(system, resource, key, called)


def _of_principal(
    system: System, principal: Resource, key: Key, called: Mapping[Key, str]
) -> Iterator[tuple[Grant, Key]]:
    name = called[key]
    for document in inline(principal):
        for statement in statements(document, called):
            yield from ((grant, key) for grant in _grants(statement, [name], [], called))
    for attached in several(principal.get("ManagedPolicyArns")):
        if system.target(attached, MANAGED_POLICY) is None:
            policy = written(attached, called).rpartition("/")[2]
            yield Grant(name, ALLOW, ALL_OF + policy, ANYTHING), key
    for boundary in several(principal.get("PermissionsBoundary")):
        yield Grant(name, LIMIT, "more than its boundary allows", written(boundary, called)), key
    for statement in statements(principal.get("AssumeRolePolicyDocument"), called):
        yield from ((grant, key) for grant in _grants(statement, _principals(statement, called), [name], called))


def _holders(system: System, policy: Resource, key: Key, called: Mapping[Key, str]) -> Iterator[tuple[str, Key]]:
    found = [_key(holder) for holder in holders(system, policy)]
    if policy.type == MANAGED_POLICY:
        found += [
            _key(principal)
            for principal in system.of_type(*PRINCIPALS)
            if policy in system.targets(principal.get("ManagedPolicyArns"))
        ]
    yield from ((called[holder], holder) for holder in dict.fromkeys(found))
    if not found:
        limits = any(policy in system.targets(one.get("PermissionsBoundary")) for one in system.of_type(*PRINCIPALS))
        yield f"{LIMITED if limits else 'whoever has '}{called[key]}", key


def _of_resource_policy(
    system: System, resource: Resource, key: Key, called: Mapping[Key, str]
) -> Iterator[tuple[Grant, Key]]:
    policy = RESOURCE_POLICIES[resource.type]
    protected = several(resource.get(policy.protects)) if policy.protects else []
    target = system.target(protected)
    its_key = key if target is None else _key(target)
    its_names = [written(one, called) for one in protected] or [called[key]]
    for statement in statements(resource.get(policy.document), called):
        yield from ((grant, its_key) for grant in _grants(statement, _principals(statement, called), its_names, called))


def _of_one_statement(
    system: System, resource: Resource, key: Key, called: Mapping[Key, str]
) -> Iterator[tuple[Grant, Key]]:
    opened = resource.get(ONE_STATEMENT[resource.type])
    target = system.target(opened)
    given = [resource.properties] if resource.get("Action") else several(resource.get("Statement"))
    for statement in given:
        if isinstance(statement, Mapping):
            conditions = {name: statement[short] for short, name in ITS_CONDITIONS.items() if short in statement}
            whole = {"Effect": ALLOW, "Condition": {"StringLike": conditions} if conditions else None, **statement}
            its_names = ["the default event bus" if opened is None else written(opened, called)]
            for grant in _grants(whole, _principals(statement, called), its_names, called):
                yield grant, key if target is None else _key(target)


def _grants(
    statement: Mapping[str, Any], principals: list[str], own: list[str], called: Mapping[Key, str]
) -> Iterator[Grant]:
    actions = _texts(statement, "Action", called)
    resources = _texts(statement, "Resource", called)
    if own:  # a policy of one resource can speak of nothing else
        resources = list(dict.fromkeys(name for text in resources or [ANYTHING] for name in _own(text, own)))
    if len(principals) * len(actions) * len(resources) > MOST_RIGHTS:
        resources = [", ".join(sorted(resources))]
    if len(principals) * len(actions) > MOST_RIGHTS:
        actions = [", ".join(sorted(actions))]
    effect, condition = written(statement.get("Effect"), called), _condition(statement.get("Condition"), called)
    for principal, action, resource in product(principals, actions, resources):
        yield Grant(principal, effect, action, resource, condition)


def _own(text: str, own: list[str]) -> list[str]:
    return own if text == ANYTHING else [text]


def _texts(statement: Mapping[str, Any], name: str, called: Mapping[Key, str]) -> list[str]:
    """Actions or resources; what is written as an exception stays one."""
    if f"Not{name}" in statement:
        return [BUT + ", ".join(sorted({written(one, called) for one in several(statement[f"Not{name}"])}))]
    return list(dict.fromkeys(written(one, called) for one in several(statement.get(name))))


def _principals(statement: Mapping[str, Any], called: Mapping[Key, str]) -> list[str]:
    if "NotPrincipal" in statement:
        return ["everybody but " + ", ".join(sorted(_people(statement["NotPrincipal"], called)))]
    return list(dict.fromkeys(_people(statement.get("Principal"), called)))


def _people(value: Any, called: Mapping[Key, str]) -> Iterator[str]:
    for one in several(value):
        if isinstance(one, Mapping) and not any(str(name).startswith(("Fn::", "Ref")) for name in one):
            yield from (
                _person(str(kind), person, called) for kind, people in one.items() for person in several(people)
            )
        else:
            yield _person("AWS", one, called)


def _person(kind: str, value: Any, called: Mapping[Key, str]) -> str:
    text = written(value, called)
    if text == ANYTHING:
        return EVERYBODY
    if kind == "AWS" and (account := _ACCOUNT.fullmatch(text)):
        return OWN_ACCOUNT if account[1] == "<AccountId>" else f"account {account[1]}"
    return f"canonical user {text}" if kind == "CanonicalUser" else text


def _condition(value: Any, called: Mapping[Key, str]) -> str:
    if not value:
        return ""
    found = []
    for operator, keys in value.items() if isinstance(value, Mapping) else ():
        for name, values in keys.items() if isinstance(keys, Mapping) else ():
            found.append(f"{name} {operator} {' or '.join(sorted(written(one, called) for one in several(values)))}")
    return " and ".join(sorted(found)) or written(value, called)


def _key(resource: Resource) -> Key:
    return resource.stack.role, resource.id


# --- judging ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reason:
    """Why somebody must look at a right, and how it is said."""

    risk: Risk
    text: str


PUBLIC = Reason(Risk.DANGER, "Everybody may now {actions} on {resources}.")
PUBLIC_IF = Reason(Risk.NOTICE, "Everybody may now {actions} on {resources}{where}.")
PUBLIC_BUT = Reason(Risk.DANGER, "{principal} may now {actions} on {resources}{where}.")
FOREIGN = Reason(Risk.NOTICE, "Another account may now {actions} on {resources}{where}: {principal}.")
SOMEBODYS = Reason(Risk.NOTICE, "{principal} may now {actions} on {resources}{where}; no template says whose it is.")
ALMIGHTY = Reason(Risk.DANGER, "{principal} may now do everything: {actions} on {resources}{where}.")
WIDE = Reason(Risk.NOTICE, "{principal} may now use every action there is: {actions} on {resources}{where}.")
ALMIGHTY_BY_POLICY = Reason(Risk.DANGER, "{principal} may now do everything: it gets the {actions}.")
WIDE_BY_POLICY = Reason(Risk.NOTICE, "{principal} gets the {actions}.")
PASSES = Reason(Risk.NOTICE, "{principal} may now hand over {resources} to a service (iam:PassRole){where}.")
ASSUMES = Reason(Risk.NOTICE, "{principal} may now take on {resources} ({actions}){where}.")
ANY_TOKEN = Reason(Risk.DANGER, "Everybody with a token of {principal} may now take on {resources}.")
ANYWHERE = Reason(Risk.NOTICE, "{principal} may now {actions} on any resource{where}.")
DENIAL_GONE = Reason(Risk.NOTICE, "A denial is gone: {actions} on {resources} for {principal}{where}.")
BOUNDARY_GONE = Reason(Risk.NOTICE, "{principal} has no longer {resources} as its permissions boundary.")


def _reason(grant: Grant, ours: set[str]) -> Reason | None:
    """Why a new right matters; None for the many that are as they should be."""
    action, principal = grant.action.lower(), grant.principal
    if grant.effect != ALLOW or principal.startswith(LIMITED):
        return None
    if principal == EVERYBODY:
        return PUBLIC_IF if grant.condition else PUBLIC
    if principal.startswith("everybody but "):
        return PUBLIC_BUT
    if _is_foreign(principal, ours):
        return FOREIGN if ours else SOMEBODYS
    is_service = principal.endswith((".amazonaws.com", ".amazonaws.com.cn"))
    if grant.action.startswith(ALL_OF):
        almighty, wide = ALMIGHTY_MANAGED.search(grant.action), WIDE_MANAGED.search(grant.action)
        return ALMIGHTY_BY_POLICY if almighty else WIDE_BY_POLICY if wide else None
    if principal not in (OWN_ACCOUNT, *ours):
        if EVERY_RIGHT.match(action):
            return ALMIGHTY
        if action.endswith(":*"):
            return WIDE
    if action == "iam:passrole":
        return PASSES
    if action == "sts:assumerolewithwebidentity" and not grant.condition:
        return ANY_TOKEN
    if action.startswith("sts:assumerole"):
        return None if is_service and action == "sts:assumerole" else ASSUMES
    writes = not action.partition(":")[2].startswith(READING) and not WITHOUT_RESOURCE.match(action)
    return ANYWHERE if grant.resource == ANYTHING and writes else None


def _is_foreign(principal: str, ours: set[str]) -> bool:
    in_arn = _IN_ARN.match(principal)
    account = f"account {in_arn[1]}" if in_arn else principal
    return account.startswith("account ") and account not in ours


def _findings(told: Iterable[tuple[Reason, Grant, Key]]) -> list[Finding]:
    """One sentence for all actions, and all resources, of which the same is to be said."""
    actions = defaultdict[tuple[Any, ...], list[str]](list)
    about = dict[tuple[Any, ...], Key]()
    for reason, grant, key in told:
        group = (reason, grant.principal, grant.condition, grant.resource)
        actions[group].append(grant.action)
        about.setdefault(group, key)
    resources = defaultdict[tuple[Any, ...], list[str]](list)
    for group, done in actions.items():
        together = (*group[:-1], tuple(sorted(set(done))))
        resources[together].append(group[-1])
        about.setdefault(together, about[group])
    return [
        Finding(
            reason.risk,
            Kind.GRANT,
            _sentence(
                reason.text.format(
                    principal=principal,
                    actions=listed(list(done)),
                    resources=listed(["any resource" if name == ANYTHING else name for name in sorted(on)]),
                    where=f", where {condition}" if condition else "",
                )
            ),
            about[reason, principal, condition, done],
        )
        for (reason, principal, condition, done), on in resources.items()
    ]


def _sentence(text: str) -> str:
    """Names keep their case; words of ours begin a sentence."""
    ours = text.startswith((EVERYBODY, OWN_ACCOUNT, "account ", "whoever ", "canonical user "))
    return text[:1].upper() + text[1:] if ours else text
