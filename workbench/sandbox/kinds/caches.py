"""ElastiCache. Moto has groups without clusters, no parameter groups and user groups, and changes nearly nothing."""

from __future__ import annotations

from collections.abc import Mapping

from workbench.sandbox.kinds.calls import Kept, arn, call, inside, snapshot_name, tag, without, written_again
from workbench.sandbox.kinds.kind import Aws, Kind, Made, Refused, Wanted


class CacheSubnets:
    """AWS::ElastiCache::SubnetGroup; moto makes and shows them, and has no call that changes or deletes one."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        name = str(wanted.properties.get("CacheSubnetGroupName") or wanted.name(255)).lower()
        return self._put(aws, name, None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        with written_again(inside(aws, "elasticache").cache_subnet_groups, made.id):
            self._put(aws, made.id, before, after)
        return made

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        groups = inside(aws, "elasticache").replication_groups.values()
        users = sorted(group.replication_group_id for group in groups if group.cache_subnet_group_name == made.id)
        if users:
            raise Refused(f"Cache subnet group {made.id} is currently in use by {', '.join(users)}")
        inside(aws, "elasticache").cache_subnet_groups.pop(made.id, None)

    def _put(self, aws: Aws, name: str, before: Wanted | None, after: Wanted) -> Made:
        rename = {"Description": "CacheSubnetGroupDescription"}
        properties = without(after.properties, "CacheSubnetGroupName")
        call(aws, "elasticache", "create_cache_subnet_group", properties, rename, CacheSubnetGroupName=name)
        tag(aws, arn(aws, "elasticache", f"subnetgroup:{name}"), before, after)
        return Made(name, {})


class CacheUser:
    """AWS::ElastiCache::User; moto has no ModifyUser, so a changed user is written again under its id."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        return self._put(aws, None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        with written_again(inside(aws, "elasticache").users, made.id):
            self._put(aws, before, after)
        return made

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        inside(aws, "elasticache").users.pop(made.id, None)

    def _put(self, aws: Aws, before: Wanted | None, after: Wanted) -> Made:
        call(aws, "elasticache", "create_user", without(after.properties), {})
        name = after.properties["UserId"]
        its_arn = arn(aws, "elasticache", f"user:{name}")
        tag(aws, its_arn, before, after)
        return Made(name, {"Arn": its_arn, "Status": "active"})


class CacheGroup:
    """AWS::ElastiCache::ReplicationGroup; moto changes seven of its members, so a changed group is built again."""

    # What moto stores and shows nowhere: it belongs to the group's cache clusters, and moto makes none.
    _OF_CLUSTERS = (
        "CacheParameterGroupName",
        "CacheSubnetGroupName",
        "EngineVersion",
        "PreferredMaintenanceWindow",
        "SecurityGroupIds",
    )
    forgets: Mapping[str, str] = dict.fromkeys(_OF_CLUSTERS, "moto's replication groups have no clusters to show it")

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        name = str(wanted.properties.get("ReplicationGroupId") or wanted.name(40)).lower()
        return self._put(aws, name, None, wanted)

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        groups = inside(aws, "elasticache").replication_groups
        with written_again(groups, made.id) as old:
            self._put(aws, made.id, before, after)
        if hasattr(old, "configuration_endpoint"):  # a group keeps its address for life
            groups[made.id].configuration_endpoint["address"] = old.configuration_endpoint["address"]
        for new_shard, old_shard in zip(groups[made.id].node_groups, old.node_groups, strict=False):
            for endpoint in ("primary_endpoint", "primary_endpoint_address", "reader_endpoint_address"):
                if endpoint in old_shard:
                    new_shard[endpoint] = old_shard[endpoint]
        return self._made(aws, made.id)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        # After moto's DeleteReplicationGroup the group stays for ever, as one that is being deleted.
        inside(aws, "elasticache").replication_groups.pop(made.id, None)

    def snapshot(self, aws: Aws, made: Made, wanted: Wanted) -> str:
        """What DeletionPolicy Snapshot leaves behind."""
        name = snapshot_name(wanted, 50)
        call(aws, "elasticache", "create_snapshot", ReplicationGroupId=made.id, SnapshotName=name)
        return name

    def _put(self, aws: Aws, name: str, before: Wanted | None, after: Wanted) -> Made:
        properties = without(after.properties, "ReplicationGroupId")
        call(aws, "elasticache", "create_replication_group", properties, {}, ReplicationGroupId=name)
        tag(aws, arn(aws, "elasticache", f"replicationgroup:{name}"), before, after)
        return self._made(aws, name)

    def _made(self, aws: Aws, name: str) -> Made:
        answer = call(aws, "elasticache", "describe_replication_groups", ReplicationGroupId=name)
        group = answer["ReplicationGroups"][0]
        ends = {"ConfigurationEndPoint": group.get("ConfigurationEndpoint", {})}
        ends["PrimaryEndPoint"] = group["NodeGroups"][0].get("PrimaryEndpoint", {})
        ends["ReaderEndPoint"] = group["NodeGroups"][0].get("ReaderEndpoint", {})
        return Made(
            name,
            {
                f"{end}.{part}": str(values[part])
                for end, values in ends.items()
                for part in ("Address", "Port")
                if part in values
            },
        )


def _cache_parameters(aws: Aws, wanted: Wanted) -> Made:  # noqa: ARG001
    name = wanted.name(255, lower=True)
    return Made(name, {"CacheParameterGroupName": name})


def _user_group(aws: Aws, wanted: Wanted) -> Made:
    name = wanted.properties["UserGroupId"]
    return Made(name, {"Arn": arn(aws, "elasticache", f"usergroup:{name}"), "Status": "active"})


CACHES: dict[str, Kind] = {
    "AWS::ElastiCache::ParameterGroup": Kept(
        "elasticache", "moto has no parameter groups of caches", _cache_parameters
    ),
    "AWS::ElastiCache::ReplicationGroup": CacheGroup(),
    "AWS::ElastiCache::SubnetGroup": CacheSubnets(),
    "AWS::ElastiCache::User": CacheUser(),
    "AWS::ElastiCache::UserGroup": Kept("elasticache", "moto has no groups of cache users", _user_group),
}
