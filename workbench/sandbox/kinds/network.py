"""Networks of EC2: addresses, ways in and out. Moto lets things go while others use them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from workbench.sandbox.kinds.calls import call, inside, remove
from workbench.sandbox.kinds.kind import Aws, Kind, Made, NotInPlace, Refused, Wanted
from workbench.sandbox.kinds.row import Row, Setting, Tagging

EC2_TAGS = Tagging(
    "create_tags",
    "delete_tags",
    key="Resources",
    many=True,
    gone=lambda keys: {"Tags": [{"Key": key} for key in keys]},
)


def _interfaces(aws: Aws) -> Iterator[tuple[str, set[str]]]:
    """Who has network interfaces, and the subnets and security groups that these are in."""
    for one in call(aws, "ec2", "describe_network_interfaces")["NetworkInterfaces"]:
        yield one["NetworkInterfaceId"], {one.get("SubnetId"), *(group["GroupId"] for group in one["Groups"])}
    for one in call(aws, "elbv2", "describe_load_balancers")["LoadBalancers"]:
        subnets = {zone["SubnetId"] for zone in one["AvailabilityZones"]}
        yield one["LoadBalancerName"], subnets | set(one.get("SecurityGroups", []))
    for one in call(aws, "rds", "describe_db_instances")["DBInstances"]:
        subnets = {subnet["SubnetIdentifier"] for subnet in one.get("DBSubnetGroup", {}).get("Subnets", [])}
        groups = {group["VpcSecurityGroupId"] for group in one["VpcSecurityGroups"]}
        yield one["DBInstanceIdentifier"], subnets | groups
    for one in call(aws, "lambda", "list_functions")["Functions"]:
        network = one.get("VpcConfig", {})
        yield one["FunctionName"], {*network.get("SubnetIds", []), *network.get("SecurityGroupIds", [])}


def with_interfaces(aws: Aws, id_: str) -> list[str]:
    return [user for user, places in _interfaces(aws) if id_ in places]


def _in_vpc(aws: Aws, vpc: str, operation: str, answer: str, id_: str, by: str = "vpc-id") -> list[dict[str, Any]]:
    found = call(aws, "ec2", operation, Filters=[{"Name": by, "Values": [vpc]}])[answer]
    return [{**one, "id": one[id_]} for one in found]


def _in_use_vpc(aws: Aws, vpc: str) -> list[str]:
    """All that AWS does not delete together with a VPC."""
    found = [
        *_in_vpc(aws, vpc, "describe_subnets", "Subnets", "SubnetId"),
        *_in_vpc(aws, vpc, "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
        *_in_vpc(aws, vpc, "describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"),
        *_in_vpc(aws, vpc, "describe_internet_gateways", "InternetGateways", "InternetGatewayId", "attachment.vpc-id"),
    ]
    groups = _in_vpc(aws, vpc, "describe_security_groups", "SecurityGroups", "GroupId")
    tables = _in_vpc(aws, vpc, "describe_route_tables", "RouteTables", "RouteTableId")
    found += [group for group in groups if group["GroupName"] != "default"]
    found += [table for table in tables if not any(use.get("Main") for use in table["Associations"])]
    return [one["id"] for one in found]


def _in_use_address(aws: Aws, address: str) -> list[str]:
    found = inside(aws, "ec2").address_by_ip([address], fail_if_not_found=False)
    return [each.association_id for each in found if each.association_id]


class Vpc(Row):
    """AWS::EC2::VPC, with what AWS makes and deletes together with it."""

    def attributes_of(self, aws: Aws, id_: str, answer: Mapping[str, Any]) -> dict[str, Any]:
        found = super().attributes_of(aws, id_, answer)
        own = {"Name": "vpc-id", "Values": [id_]}
        acls = call(aws, "ec2", "describe_network_acls", Filters=[own])["NetworkAcls"]
        named = [own, {"Name": "group-name", "Values": ["default"]}]
        groups = call(aws, "ec2", "describe_security_groups", Filters=named)["SecurityGroups"]
        return found | {
            "DefaultNetworkAcl": acls[0]["NetworkAclId"],
            "DefaultSecurityGroup": groups[0]["GroupId"],
        }

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:
        super().delete(aws, made, wanted)
        acls = inside(aws, "ec2").network_acls  # moto leaves them behind
        for id_ in [acl.id for acl in acls.values() if acl.vpc_id == made.id]:
            del acls[id_]


class Attachment:
    """AWS::EC2::VPCGatewayAttachment of an internet gateway."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        if "InternetGatewayId" not in wanted.properties:
            raise Refused("The local AWS attaches internet gateways only")
        call(aws, "ec2", "attach_internet_gateway", wanted.properties)
        return Made(f"IGW|{wanted.properties['VpcId']}", {"AttachmentType": "IGW"})

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        if before.properties["InternetGatewayId"] != after.properties["InternetGatewayId"]:
            self.delete(aws, made, before)
            return self.create(aws, after)
        return made

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        vpc = wanted.properties["VpcId"]
        mapped = [
            address.public_ip for address in inside(aws, "ec2").addresses if address.eni and address.eni.vpc_id == vpc
        ]
        if mapped:
            text = f"Network {vpc} has some mapped public address(es). Please unmap those before detaching the gateway"
            raise Refused(f"{text}: {', '.join(sorted(mapped))}")
        gateways = inside(aws, "ec2").internet_gateways
        gateway = gateways.get(wanted.properties["InternetGatewayId"])
        if gateway is not None and gateway.vpc is not None:
            remove(aws, "ec2", "detach_internet_gateway", **wanted.properties)


class Route:
    """AWS::EC2::Route; its target may change, its destination not."""

    _DESTINATIONS = ("DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId")

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        table, where = wanted.properties["RouteTableId"], self._destination(wanted)
        routes = inside(aws, "ec2").get_route_table(table).routes
        if any(where in (route.destination_cidr_block, route.destination_ipv6_cidr_block) for route in routes):
            raise Refused(f"The route identified by {where} already exists.")
        call(aws, "ec2", "create_route", wanted.properties)
        return Made(f"{table}|{where}", {"CidrBlock": where})

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:  # noqa: ARG002
        call(aws, "ec2", "replace_route", after.properties)
        return made

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        named = {
            name: value for name, value in wanted.properties.items() if name in (*self._DESTINATIONS, "RouteTableId")
        }
        remove(aws, "ec2", "delete_route", **named)

    def _destination(self, wanted: Wanted) -> str:
        return next(str(wanted.properties[name]) for name in self._DESTINATIONS if name in wanted.properties)


class TableOfSubnet:
    """AWS::EC2::SubnetRouteTableAssociation."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        subnet = wanted.properties["SubnetId"]
        tables = inside(aws, "ec2").route_tables.values()
        if any(subnet in table._associations.values() for table in tables):  # moto would keep to the old table
            raise Refused(f"Resource.AlreadyAssociated: the subnet {subnet} already has a route table")
        return self._made(call(aws, "ec2", "associate_route_table", wanted.properties)["AssociationId"])

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        if before.properties["SubnetId"] != after.properties["SubnetId"]:
            raise NotInPlace("SubnetId")
        members = {"AssociationId": made.id, "RouteTableId": after.properties["RouteTableId"]}
        return self._made(call(aws, "ec2", "replace_route_table_association", **members)["NewAssociationId"])

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "ec2", "disassociate_route_table", AssociationId=made.id)

    @staticmethod
    def _made(id_: str) -> Made:
        return Made(id_, {"Id": id_})


class Nat(Row):
    """AWS::EC2::NatGateway; gone means that its address is free again."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        backend = inside(aws, "ec2")
        vpc = backend.get_subnet(wanted.properties["SubnetId"]).vpc_id
        attached = [gateway for gateway in backend.internet_gateways.values() if gateway.vpc and gateway.vpc.id == vpc]
        if not attached and wanted.properties.get("ConnectivityType", "public") == "public":
            raise Refused(f"Network {vpc} has no Internet gateway attached: let the gateway depend on the attachment")
        return super().create(aws, wanted)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:
        backend = inside(aws, "ec2")
        gateway = backend.nat_gateways.get(made.id)
        if gateway is None or gateway.state == "deleted":
            return
        super().delete(aws, made, wanted)
        for address in gateway.address_set:
            if address.get("associationId"):
                remove(aws, "ec2", "disassociate_address", AssociationId=address["associationId"])
            backend.enis.pop(address["networkInterfaceId"], None)


class AddressInUse:
    """AWS::EC2::EIPAssociation; an address moves to another host without being free in between."""

    def create(self, aws: Aws, wanted: Wanted) -> Made:
        members = {**wanted.properties, "AllowReassociation": True}
        id_ = call(aws, "ec2", "associate_address", members)["AssociationId"]
        return Made(id_, {"Id": id_})

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:  # noqa: ARG002
        return self.create(aws, after)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:  # noqa: ARG002
        remove(aws, "ec2", "disassociate_address", AssociationId=made.id)


ENDPOINT_LISTS = ("RouteTableIds", "SecurityGroupIds", "SubnetIds")


class Endpoint(Row):
    """AWS::EC2::VPCEndpoint, of both types."""

    def update(self, aws: Aws, made: Made, before: Wanted, after: Wanted) -> Made:
        old, new = before.properties, after.properties
        changes: dict[str, Any] = {}
        for name in ENDPOINT_LISTS:
            had, wants = old.get(name, []), new.get(name, [])
            changes[f"Add{name}"] = [id_ for id_ in wants if id_ not in had]
            changes[f"Remove{name}"] = [id_ for id_ in had if id_ not in wants]
        changes = {name: ids for name, ids in changes.items() if ids}
        if changes:
            call(aws, "ec2", "modify_vpc_endpoint", VpcEndpointId=made.id, **changes)
            self._route(aws, made.id, changes)
        return super().update(aws, made, before, after)

    def _route(self, aws: Aws, id_: str, changes: Mapping[str, Any]) -> None:
        """Moto makes the routes to an endpoint when that is made, and never again."""
        backend = inside(aws, "ec2")
        prefixes = backend.vpc_end_points[id_].destination_prefix_list_id
        if prefixes:
            for table in changes.get("AddRouteTableIds", []):
                backend.create_route(table, None, gateway_id=id_, destination_prefix_list_id=prefixes)
            for table in changes.get("RemoveRouteTableIds", []):
                backend.delete_route(table, None, destination_prefix_list_id=prefixes)

    def delete(self, aws: Aws, made: Made, wanted: Wanted) -> None:
        endpoints = inside(aws, "ec2").vpc_end_points
        if made.id in endpoints:
            super().delete(aws, made, wanted)
            del endpoints[made.id]  # moto keeps it as deleted


def _attribute(name: str, of: str) -> Setting:
    """One of the attributes that EC2 sets one by one, each wrapped."""
    return Setting(f"modify_{of}_attribute", (name,), lambda values: {name: {"Value": values[name]}})


NETWORK: dict[str, Kind] = {
    "AWS::EC2::EIP": Row(
        "ec2",
        "allocate_address",
        id="PublicIp",
        delete_with="release_address",
        key="PublicIp",
        in_use=_in_use_address,
        attributes={"AllocationId": "AllocationId", "PublicIp": "PublicIp"},
        tagging=Tagging(EC2_TAGS.add, EC2_TAGS.remove, EC2_TAGS.key, by="AllocationId", many=True, gone=EC2_TAGS.gone),
    ),
    "AWS::EC2::EIPAssociation": AddressInUse(),
    "AWS::EC2::FlowLog": Row(
        "ec2",
        "create_flow_logs",
        id="FlowLogIds[0]",
        delete_with="delete_flow_logs",
        key="FlowLogId",
        delete_list="FlowLogIds",
        rename={"ResourceId": "ResourceIds"},
        arguments=lambda properties: {**properties, "ResourceId": [properties["ResourceId"]]},
        attributes={"Id": "FlowLogIds[0]"},
        tagging=EC2_TAGS,
    ),
    "AWS::EC2::InternetGateway": Row(
        "ec2",
        "create_internet_gateway",
        id="InternetGateway.InternetGatewayId",
        delete_with="delete_internet_gateway",
        key="InternetGatewayId",
        attributes={"InternetGatewayId": "InternetGateway.InternetGatewayId"},
        tagging=EC2_TAGS,
    ),
    "AWS::EC2::NatGateway": Nat(
        "ec2",
        "create_nat_gateway",
        id="NatGateway.NatGatewayId",
        delete_with="delete_nat_gateway",
        key="NatGatewayId",
        attributes={
            "NatGatewayId": "NatGateway.NatGatewayId",
            "EniId": "NatGateway.NatGatewayAddresses[0].NetworkInterfaceId",
        },
        tagging=EC2_TAGS,
    ),
    "AWS::EC2::Route": Route(),
    "AWS::EC2::RouteTable": Row(
        "ec2",
        "create_route_table",
        id="RouteTable.RouteTableId",
        delete_with="delete_route_table",
        key="RouteTableId",
        attributes={"RouteTableId": "RouteTable.RouteTableId"},
        tagging=EC2_TAGS,
    ),
    "AWS::EC2::Subnet": Row(
        "ec2",
        "create_subnet",
        id="Subnet.SubnetId",
        delete_with="delete_subnet",
        key="SubnetId",
        in_use=with_interfaces,
        describe_with="describe_subnets",
        describe_by="SubnetIds",
        attributes={
            name: f"Subnets[0].{name}"
            for name in ("AvailabilityZone", "AvailabilityZoneId", "CidrBlock", "SubnetId", "VpcId")
        },
        settings=(_attribute("MapPublicIpOnLaunch", "subnet"),),
        defaults={"MapPublicIpOnLaunch": False},
        tagging=EC2_TAGS,
    ),
    "AWS::EC2::SubnetRouteTableAssociation": TableOfSubnet(),
    "AWS::EC2::VPC": Vpc(
        "ec2",
        "create_vpc",
        id="Vpc.VpcId",
        delete_with="delete_vpc",
        key="VpcId",
        in_use=_in_use_vpc,
        describe_with="describe_vpcs",
        describe_by="VpcIds",
        attributes={
            "CidrBlock": "Vpcs[0].CidrBlock",
            "CidrBlockAssociations": "Vpcs[0].CidrBlockAssociationSet[].AssociationId",
            "VpcId": "Vpcs[0].VpcId",
        },
        settings=(_attribute("EnableDnsHostnames", "vpc"), _attribute("EnableDnsSupport", "vpc")),
        defaults={"EnableDnsHostnames": False, "EnableDnsSupport": True},
        tagging=EC2_TAGS,
    ),
    "AWS::EC2::VPCEndpoint": Endpoint(
        "ec2",
        "create_vpc_endpoint",
        id="VpcEndpoint.VpcEndpointId",
        delete_with="delete_vpc_endpoints",
        key="VpcEndpointId",
        delete_list="VpcEndpointIds",
        describe_with="describe_vpc_endpoints",
        describe_by="VpcEndpointIds",
        attributes={
            "CreationTimestamp": "VpcEndpoints[0].CreationTimestamp",
            "DnsEntries": "VpcEndpoints[0].DnsEntries[].join(':', [HostedZoneId, DnsName])",
            "Id": "VpcEndpoints[0].VpcEndpointId",
            "NetworkInterfaceIds": "VpcEndpoints[0].NetworkInterfaceIds",
        },
        settings=(Setting("modify_vpc_endpoint", ("PolicyDocument", "PrivateDnsEnabled")),),
        elsewhere=ENDPOINT_LISTS,
        tagging=EC2_TAGS,
    ),
    "AWS::EC2::VPCGatewayAttachment": Attachment(),
}
