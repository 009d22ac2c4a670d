"""CloudFront, WAF, Certificate Manager and Route 53. Moto has none of the policies that caches and headers follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.sandbox.kinds.calls import Kept, call, inside, made_up_id, refuse_change, remove, tag, without
from workbench.sandbox.kinds.kind import Aws, Kind, Made, Refused, Wanted, absent_is_fine
from workbench.sandbox.kinds.row import Tagging


class Distribution:
    """AWS::CloudFront::Distribution; CloudFormation turns it off before it deletes it."""

    _RENAMED: Mapping[str, str] = {
        "IPV6Enabled": "IsIPV6Enabled",
        "Locations": "Items",
        "OriginCustomHeaders": "CustomHeaders",
    }

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        config = {"CallerReference": made_up_id(wanted), **self._config(wanted)}
        answer = call(aws, "cloudfront", "create_distribution", {"DistributionConfig": config}, self._RENAMED)
        return self._made(aws, answer["Distribution"], None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        now = call(aws, "cloudfront", "get_distribution", Id=made.id)
        config = {
            "CallerReference": now["Distribution"]["DistributionConfig"]["CallerReference"],
            **self._config(after),
        }
        members = {"Id": made.id, "IfMatch": now["ETag"]}
        answer = call(
            aws, "cloudfront", "update_distribution", {"DistributionConfig": config}, self._RENAMED, **members
        )
        return self._made(aws, answer["Distribution"], before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        if made.id not in inside(aws, "cloudfront").distributions:
            return
        now = call(aws, "cloudfront", "get_distribution_config", Id=made.id)
        config = {**now["DistributionConfig"], "Enabled": False}
        members = {"Id": made.id, "IfMatch": now["ETag"]}
        disabled = call(aws, "cloudfront", "update_distribution", DistributionConfig=config, **members)
        remove(aws, "cloudfront", "delete_distribution", Id=made.id, IfMatch=disabled["ETag"])

    def _config(self, wanted: Wanted) -> dict[str, Any]:
        """The template's form, without what only it has: methods side by side, ports left out, logs not turned on."""
        config = {"Comment": "", **wanted.properties["DistributionConfig"]}
        config["DefaultCacheBehavior"] = _methods_together(config["DefaultCacheBehavior"])
        if "CacheBehaviors" in config:
            config["CacheBehaviors"] = [_methods_together(behavior) for behavior in config["CacheBehaviors"]]
        if "Logging" in config:
            config["Logging"] = {"Enabled": True, "IncludeCookies": False, "Prefix": "", **config["Logging"]}
        config["Origins"] = [_with_ports(origin) for origin in config["Origins"]]
        return config

    def _made(self, aws: Aws, found: Mapping[str, Any], before: Wanted | None, after: Wanted) -> Made:
        tag(aws, found["ARN"], before, after)
        # What moto does not read of an origin, and shows when its model has it.
        origins = inside(aws, "cloudfront").distributions[found["Id"]].distribution_config.Origins["Items"]
        for origin, wish in zip(origins, after.properties["DistributionConfig"]["Origins"], strict=True):
            origin.origin_access_control_id = wish.get("OriginAccessControlId", "")
            if "S3OriginConfig" in wish:
                origin.s3_origin_config = {"OriginAccessIdentity": "", **wish["S3OriginConfig"]}
        return Made(found["Id"], {"DomainName": found["DomainName"], "Id": found["Id"]})


def _methods_together(behavior: Mapping[str, Any]) -> dict[str, Any]:
    """The API has the methods that are cached inside those that are allowed."""
    if "FunctionAssociations" in behavior:
        raise Refused("The local AWS does not know the property FunctionAssociations: nothing runs at its edge")
    made = {key: value for key, value in behavior.items() if key not in ("AllowedMethods", "CachedMethods")}
    allowed = behavior.get("AllowedMethods", ["GET", "HEAD"])
    made["AllowedMethods"] = {"Quantity": len(allowed), "Items": allowed}
    made["AllowedMethods"]["CachedMethods"] = behavior.get("CachedMethods", ["GET", "HEAD"])
    return made


def _with_ports(origin: Mapping[str, Any]) -> dict[str, Any]:
    if "CustomOriginConfig" not in origin:
        return dict(origin)
    return {**origin, "CustomOriginConfig": {"HTTPPort": 80, "HTTPSPort": 443, **origin["CustomOriginConfig"]}}


class OriginAccess:
    """AWS::CloudFront::OriginAccessControl."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        answer = call(aws, "cloudfront", "create_origin_access_control", wanted.properties)
        made_id = answer["OriginAccessControl"]["Id"]
        return Made(made_id, {"Id": made_id})

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:  # noqa: ARG002
        members = {"Id": made.id, "IfMatch": self._etag(aws, made)}
        call(aws, "cloudfront", "update_origin_access_control", after.properties, **members)
        return made

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        if made.id in inside(aws, "cloudfront").origin_access_controls:
            members = {"Id": made.id, "IfMatch": self._etag(aws, made)}
            remove(aws, "cloudfront", "delete_origin_access_control", **members)

    def _etag(self, aws: Aws, made: Made) -> str:
        return str(call(aws, "cloudfront", "get_origin_access_control", Id=made.id)["ETag"])


def _policy(aws: Aws, wanted: Wanted) -> Made:  # noqa: ARG001
    made_id = made_up_id(wanted)
    return Made(made_id, {"Id": made_id})


def _subscription(aws: Aws, wanted: Wanted) -> Made:
    distribution = wanted.properties["DistributionId"]
    call(aws, "cloudfront", "get_distribution", Id=distribution)  # refuses where there is no such distribution
    return Made(distribution, {})


_FIREWALL_TAGS = Tagging(key="ResourceARN", by="Arn")


class Firewall:
    """AWS::WAFv2::WebACL and AWS::WAFv2::IPSet: both are found by name, scope and id, and changed with a lock token."""

    def __init__(self, thing: str, member: str, forgets: Mapping[str, str]) -> None:
        self._thing, self._member, self.forgets = thing, member, forgets

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        name = wanted.properties.get("Name") or wanted.name(128)
        answer = call(aws, "wafv2", f"create_{self._thing}", without(wanted.properties, "Name"), Name=name)
        scope = wanted.properties["Scope"]
        return self._made(aws, f"{name}|{answer['Summary']['Id']}|{scope}", None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        if before.properties != after.properties:
            # An IP set's version is its own for life, and no member of the call that changes it.
            properties = without(after.properties, "Name", "Scope", "IPAddressVersion")
            members = self._named(made.id)
            token = self._find(aws, made.id)["LockToken"]
            call(aws, "wafv2", f"update_{self._thing}", properties, **members, LockToken=token)
        return self._made(aws, made.id, before, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        with absent_is_fine():
            found = self._find(aws, made.id)
            its_arn = found[self._member]["ARN"]
            if users := _protected_by(aws, its_arn):  # moto would delete it from under them
                raise Refused(f"WAFAssociatedItemException: {its_arn} still protects {', '.join(users)}")
            call(aws, "wafv2", f"delete_{self._thing}", **self._named(made.id), LockToken=found["LockToken"])

    def _made(self, aws: Aws, made_id: str, before: Wanted | None, after: Wanted) -> Made:
        found = self._find(aws, made_id)[self._member]
        attributes = {"Arn": found["ARN"], "Id": found["Id"]}
        attributes.update({name: found[name] for name in ("Capacity", "LabelNamespace") if name in found})
        made = Made(made_id, attributes)
        _FIREWALL_TAGS.change(aws, "wafv2", made, before, after)
        return made

    def _find(self, aws: Aws, made_id: str) -> Any:
        return call(aws, "wafv2", f"get_{self._thing}", **self._named(made_id))

    @staticmethod
    def _named(made_id: str) -> dict[str, str]:
        return dict(zip(("Name", "Id", "Scope"), made_id.split("|"), strict=True))


def _protected_by(aws: Aws, its_arn: str) -> list[str]:
    """What a firewall stands before: load balancers by association, distributions by their own setting."""
    regional = inside(aws, "wafv2").wacls.get(its_arn)
    behind = list(regional.associated_resources) if regional is not None else []
    distributions = inside(aws, "cloudfront").distributions.values()
    return behind + [one.arn for one in distributions if one.distribution_config.WebACLId == its_arn]


class FirewallLogs:
    """AWS::WAFv2::LoggingConfiguration."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        call(aws, "wafv2", "put_logging_configuration", {"LoggingConfiguration": wanted.properties})
        return Made(wanted.properties["ResourceArn"], {"ManagedByFirewallManager": False})

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:  # noqa: ARG002
        return self.create(aws, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "wafv2", "delete_logging_configuration", ResourceArn=made.id)


class FirewallAssociation:
    """AWS::WAFv2::WebACLAssociation."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        call(aws, "wafv2", "associate_web_acl", wanted.properties)
        return Made(f"{wanted.properties['ResourceArn']}|{wanted.properties['WebACLArn']}", {})

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:  # noqa: ARG002
        return made  # both properties are create-only

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "wafv2", "disassociate_web_acl", ResourceArn=made.id.split("|")[0])


class Certificate:
    """AWS::CertificateManager::Certificate; a validation by DNS answers at once, where AWS waits for the record."""

    forgets: Mapping[str, str] = {"DomainValidationOptions.HostedZoneId": "no record is written, as none is waited for"}

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        options = [
            {
                "DomainName": option["DomainName"],
                "ValidationDomain": option.get("ValidationDomain", option["DomainName"]),
            }
            for option in wanted.properties.get("DomainValidationOptions", [])
        ]
        properties = without(wanted.properties, "DomainValidationOptions")
        members = {"DomainValidationOptions": options} if options else {}
        its_arn = call(aws, "acm", "request_certificate", properties, **members)["CertificateArn"]
        if wanted.properties.get("ValidationMethod") == "DNS":
            inside(aws, "acm")._certificates[its_arn].status = "ISSUED"
        return self.update(aws, Made(its_arn, {}), wanted, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        refuse_change(before, after, "DomainValidationOptions")
        # moto refuses the tags that CloudFormation adds from everybody.
        tags = inside(aws, "acm")._certificates[made.id].tags
        tags.clear()
        tags.update(after.all_tags())
        return Made(made.id, {"CertificateArn": made.id})

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "acm", "delete_certificate", CertificateArn=made.id)


class RecordSet:
    """AWS::Route53::RecordSet; its zone is outside of all templates, and must be there."""

    forgets: Mapping[str, str] = {"Comment": "Route 53 shows it in the history of changes only"}

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        if any(self._is(wanted, record) for record in self._records(aws, wanted)):
            name, kind = wanted.properties["Name"], wanted.properties["Type"]
            raise Refused(f"Tried to create resource record set [name='{name}', type='{kind}'] but it already exists")
        self._change(aws, "UPSERT", wanted)
        return Made(wanted.properties["Name"], {})

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:  # noqa: ARG002
        self._change(aws, "UPSERT", after)
        return made

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        if any(self._is(wanted, record) for record in self._records(aws, wanted)):
            self._change(aws, "DELETE", wanted)

    def _change(self, aws: Aws, action: str, wanted: Wanted) -> None:
        record = without(wanted.properties, "Comment", "HostedZoneId", "ResourceRecords")
        if "ResourceRecords" in wanted.properties:
            record["ResourceRecords"] = [{"Value": value} for value in wanted.properties["ResourceRecords"]]
        if "AliasTarget" in record:
            record["AliasTarget"] = {"EvaluateTargetHealth": False, **record["AliasTarget"]}
        batch = {"Comment": wanted.properties.get("Comment", ""), "Changes": []}
        batch["Changes"] = [{"Action": action, "ResourceRecordSet": record}]
        zone = {"HostedZoneId": wanted.properties["HostedZoneId"]}
        call(aws, "route53", "change_resource_record_sets", {"ChangeBatch": batch}, **zone)

    def _records(self, aws: Aws, wanted: Wanted) -> list[Any]:
        pages = aws.client("route53").get_paginator("list_resource_record_sets")
        return list(pages.paginate(HostedZoneId=wanted.properties["HostedZoneId"]).search("ResourceRecordSets[]"))

    @staticmethod
    def _is(wanted: Wanted, record: Mapping[str, Any]) -> bool:
        name = wanted.properties["Name"].rstrip(".") + "."
        same_name = (record["Name"], record["Type"]) == (name, wanted.properties["Type"])
        return same_name and record.get("SetIdentifier") == wanted.properties.get("SetIdentifier")


EDGE: dict[str, Kind] = {
    "AWS::CertificateManager::Certificate": Certificate(),
    "AWS::CloudFront::CachePolicy": Kept("cloudfront", "moto has no cache policies", _policy),
    "AWS::CloudFront::Distribution": Distribution(),
    "AWS::CloudFront::MonitoringSubscription": Kept(
        "cloudfront", "moto has no additional metrics of distributions", _subscription
    ),
    "AWS::CloudFront::OriginAccessControl": OriginAccess(),
    "AWS::CloudFront::ResponseHeadersPolicy": Kept("cloudfront", "moto has no policies for response headers", _policy),
    "AWS::Route53::RecordSet": RecordSet(),
    "AWS::WAFv2::IPSet": Firewall("ip_set", "IPSet", {}),
    "AWS::WAFv2::LoggingConfiguration": FirewallLogs(),
    "AWS::WAFv2::WebACL": Firewall("web_acl", "WebACL", {"DataProtectionConfig": "moto has no place for it"}),
    "AWS::WAFv2::WebACLAssociation": FirewallAssociation(),
}
