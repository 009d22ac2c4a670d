"""Security groups of EC2 and their rules. Moto has no identity of a rule, and forgets most descriptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.sandbox.kinds.calls import call, inside
from workbench.sandbox.kinds.kind import Aws, Kind, Made, NotInPlace, Refused, Wanted
from workbench.sandbox.kinds.network import EC2_TAGS, with_interfaces
from workbench.sandbox.kinds.row import Row

INGRESS, EGRESS = "ingress", "egress"


_PEERS = {
    "CidrIp": ("IpRanges", "CidrIp"),
    "CidrIpv6": ("Ipv6Ranges", "CidrIpv6"),
    "SourceSecurityGroupId": ("UserIdGroupPairs", "GroupId"),
    "DestinationSecurityGroupId": ("UserIdGroupPairs", "GroupId"),
    "SourcePrefixListId": ("PrefixListIds", "PrefixListId"),
    "DestinationPrefixListId": ("PrefixListIds", "PrefixListId"),
}


_NO_PEERS = ("IpProtocol", "FromPort", "ToPort", "Description", "GroupId")


_DEFAULT_EGRESS = {"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}


def _in_use_group(aws: Aws, group: str) -> list[str]:
    rules = call(aws, "ec2", "describe_security_group_rules")["SecurityGroupRules"]
    others = {
        f"{rule['SecurityGroupRuleId']} of {rule['GroupId']}"
        for rule in rules
        if rule.get("ReferencedGroupInfo", {}).get("GroupId") == group and rule["GroupId"] != group
    }
    return [*with_interfaces(aws, group), *others]


def _open(aws: Aws, group: str, direction: str, rule: Mapping[str, Any]) -> str:
    """Add a rule to a group, and return its id."""
    if unknown := sorted(rule.keys() - {*_PEERS, *_NO_PEERS}):
        raise Refused(f"The local AWS does not know the property {unknown[0]} of a security group rule")
    _, peer = _identity(rule)
    if any(_identity(present) == _identity(rule) for present in _rules(aws, group, direction).values()):
        raise Refused(f"InvalidPermission.Duplicate: the rule for {peer} already exists in {group} ({direction})")
    kind, member = next(_PEERS[name] for name in _PEERS if name in rule)
    text = {"Description": rule["Description"]} if "Description" in rule else {}
    ports = {name: int(rule[name]) for name in ("FromPort", "ToPort") if name in rule}
    permission = {"IpProtocol": str(rule["IpProtocol"]), **ports, kind: [{member: peer, **text}]}
    operation = f"authorize_security_group_{direction}"
    answer = call(aws, "ec2", operation, GroupId=group, IpPermissions=[permission])
    id_ = str(answer["SecurityGroupRules"][0]["SecurityGroupRuleId"])
    _describe(aws, group, id_, rule.get("Description"))
    return id_


def _close(aws: Aws, group: str, direction: str, id_: str) -> None:
    if id_ in _rules(aws, group, direction):
        call(aws, "ec2", f"revoke_security_group_{direction}", GroupId=group, SecurityGroupRuleIds=[id_])


def _describe(aws: Aws, group: str, id_: str, text: str | None) -> None:
    """Moto has descriptions of rules for addresses only, and forgets those for groups and prefix lists."""
    rule = inside(aws, "ec2").get_security_group_from_id(group).get_rule(id_)
    rule.ip_range = {key: value for key, value in rule.ip_range.items() if key != "Description"}
    rule.ip_range |= {"Description": text} if text is not None else {}
    if rule.source_group:
        rule.source_group = {**rule.source_group, "Description": text}


def _rules(aws: Aws, group: str, direction: str) -> dict[str, dict[str, Any]]:
    """The rules of a group as a template writes them, by id."""
    found = inside(aws, "ec2").get_security_group_from_id(group)
    if found is None:
        return {}
    return {rule.id: _written(rule) for rule in (found.ingress_rules if direction == INGRESS else found.egress_rules)}


def _written(rule: Any) -> dict[str, Any]:
    source = {
        "SourceSecurityGroupId": (rule.source_group or {}).get("GroupId"),
        "SourcePrefixListId": rule.prefix_list_id,
    }
    ports = {"FromPort": rule.from_port, "ToPort": rule.to_port}
    all_of_it = {"IpProtocol": rule.ip_protocol, **ports, **rule.ip_range, **source}
    return {name: value for name, value in all_of_it.items() if value}


def _identity(rule: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    """What makes two rules the same one, whatever their descriptions."""
    peer = next((str(rule[name]) for name in _PEERS if name in rule), "")
    if not peer:
        raise Refused("A security group rule needs addresses, a group or a prefix list")
    protocol = str(rule["IpProtocol"])
    ports = () if protocol == "-1" else (str(rule.get("FromPort")), str(rule.get("ToPort")))
    return (protocol, *ports), peer


class Group(Row):
    """AWS::EC2::SecurityGroup with the rules that are written inside it."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        made = super().create(aws, wanted)
        self._inline(aws, made.id, {}, wanted.properties)
        return made

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        updated = super().update(aws, made, before, after)
        self._inline(aws, made.id, before.properties, after.properties)
        return updated

    def _inline(self, aws: Aws, group: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        for direction, name in ((INGRESS, "SecurityGroupIngress"), (EGRESS, "SecurityGroupEgress")):
            had, wants = old.get(name) or [], new.get(name) or []
            if not had and wants and direction == EGRESS:
                _close_default(aws, group)
            for rule in [rule for rule in had if rule not in wants]:
                for id_, present in _rules(aws, group, direction).items():
                    if _identity(present) == _identity(rule):
                        _close(aws, group, direction, id_)
            for rule in [rule for rule in wants if rule not in had]:
                _open(aws, group, direction, rule)


def _close_default(aws: Aws, group: str) -> None:
    """The rule that lets everything out stays only for as long as no other one lets anything out."""
    for id_, rule in _rules(aws, group, EGRESS).items():
        if rule == _DEFAULT_EGRESS:
            _close(aws, group, EGRESS, id_)


class GroupRule:
    """AWS::EC2::SecurityGroupIngress and AWS::EC2::SecurityGroupEgress; only the description changes in place."""

    def __init__(self, direction: str) -> None:
        self._direction = direction

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        group = wanted.properties["GroupId"]
        if self._direction == EGRESS:
            _close_default(aws, group)
        id_ = _open(aws, group, self._direction, wanted.properties)
        return Made(id_, {"Id": id_})

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        for name in sorted({*before.properties, *after.properties} - {"Description"}):
            if str(before.properties.get(name)) != str(after.properties.get(name)):
                raise NotInPlace(name)
        _describe(aws, after.properties["GroupId"], made.id, after.properties.get("Description"))
        return made

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:
        _close(aws, wanted.properties["GroupId"], self._direction, made.id)


SECURITY_GROUPS: dict[str, Kind] = {
    "AWS::EC2::SecurityGroup": Group(
        "ec2",
        "create_security_group",
        id="GroupId",
        delete_with="delete_security_group",
        key="GroupId",
        in_use=_in_use_group,
        named="GroupName",
        longest=255,
        rename={"GroupDescription": "Description"},
        describe_with="describe_security_groups",
        describe_by="GroupIds",
        attributes={
            "GroupId": "SecurityGroups[0].GroupId",
            "Id": "SecurityGroups[0].GroupId",
            "VpcId": "SecurityGroups[0].VpcId",
        },
        elsewhere=("SecurityGroupEgress", "SecurityGroupIngress"),
        tagging=EC2_TAGS,
    ),
    "AWS::EC2::SecurityGroupEgress": GroupRule(EGRESS),
    "AWS::EC2::SecurityGroupIngress": GroupRule(INGRESS),
}
