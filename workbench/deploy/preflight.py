"""What must be true in the account before a deployment can end well: one question each, each answer with a fix."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from blueprint.environment import UNSET_ACCOUNT, Environment
from workbench.deploy.gate import Outlook
from workbench.deploy.guard import Clients
from workbench.facts.limits import Quota, quotas
from workbench.templates import Impact, Resource, resources

# Half a year of security updates that a new host would begin without.
OLDEST_IMAGE_DAYS = 180
EDGE_LIST = "com.amazonaws.global.cloudfront.origin-facing"
UNRESERVED = 100  # Lambda keeps this many for functions that reserve nothing
ZONES = 3
CERTIFICATE, IDENTITY, RECORD_SET = (
    "AWS::CertificateManager::Certificate",
    "AWS::SES::EmailIdentity",
    "AWS::Route53::RecordSet",
)
# Any of these names in a CAA record lets ACM issue (ACM guide, "Configure a CAA record").
ISSUERS = frozenset({"amazon.com", "amazontrust.com", "awstrust.com", "amazonaws.com"})
Records = Mapping[tuple[str, str], Mapping[str, Any]]
"""What a zone holds, by name and type."""


class Answer(StrEnum):
    HOLDS = "holds"
    WARNS = "warns"
    EXPIRED = "expired"  # refused unless there is a reason
    REFUSES = "refuses"


@dataclass(frozen=True)
class Check:
    """One question about the account, answered."""

    name: str
    answer: Answer
    text: str


def checks(environment: Environment, assembly: Path, outlook: Outlook, aws: Clients, *, today: date) -> Iterator[Check]:
    """All questions, in the order in which people can do something about the answers."""
    from botocore.exceptions import BotoCoreError, ClientError

    after = list(resources(outlook.after).values())
    asked: tuple[tuple[str, Callable[[], Iterator[Check]]], ...] = (
        ("bootstrap", lambda: _bootstrap(environment, assembly, aws)),
        ("zones", lambda: _zones(environment, aws)),
        ("image", lambda: _image(environment, aws, today)),
        ("edge addresses", lambda: _edge_list(environment, after, aws)),
        ("hosted zone", lambda: _hosted_zone(environment, outlook, aws)),
        ("mail identity", lambda: _mail_identity(environment, outlook, aws)),
        ("mail", lambda: _mail(environment, aws)),
        ("quotas", lambda: _quotas(outlook, after, aws)),
    )
    for name, ask in asked:
        try:
            yield from ask()
        except (BotoCoreError, ClientError, NotImplementedError) as problem:
            # Not to know is no reason to stop, as what is really missing stops CloudFormation; but not an old image.
            answer = Answer.EXPIRED if name == "image" else Answer.WARNS
            said = " ".join(str(problem).split())
            # A local AWS answers with a page, or not at all, what it does not know.
            unknown = isinstance(problem, NotImplementedError) or "<" in said
            yield Check(name, answer, "not answered by this AWS" if unknown else f"cannot be asked: {said[:120]}")


def _bootstrap(environment: Environment, assembly: Path, aws: Clients) -> Iterator[Check]:
    manifest = json.loads((assembly / "manifest.json").read_text(encoding="utf-8"))
    wanted: dict[tuple[str, str], int] = {}
    for artifact in manifest["artifacts"].values():
        told = artifact.get("properties", {})
        if artifact["type"] == "aws:cloudformation:stack" and "requiresBootstrapStackVersion" in told:
            place = (artifact["environment"].rpartition("/")[2], told["bootstrapStackVersionSsmParameter"])
            wanted[place] = max(wanted.get(place, 0), told["requiresBootstrapStackVersion"])
    for (region, parameter), version in sorted(wanted.items()):
        ssm = aws.client("ssm", region)
        try:
            found = int(ssm.get_parameter(Name=parameter)["Parameter"]["Value"])
        except ssm.exceptions.ParameterNotFound:
            found = 0
        name, command = f"bootstrap in {region}", f"cdk bootstrap aws://{environment.account}/{region}"
        if found >= version:
            yield Check(name, Answer.HOLDS, f"version {found}, {version} is needed")
        else:
            there = f"is at version {found}, and {version} is needed" if found else "was never done"
            yield Check(name, Answer.REFUSES, f"{there}; run: {command}")


def _zones(environment: Environment, aws: Clients) -> Iterator[Check]:
    ordinary = [{"Name": "zone-type", "Values": ["availability-zone"]}]  # not at the edge of some city
    found = aws.client("ec2").describe_availability_zones(Filters=ordinary)["AvailabilityZones"]
    there = sorted(zone["ZoneName"] for zone in found)
    missing = sorted(set(environment.zones) - set(there))
    if missing or len(there) < ZONES:
        lack = f"does not offer {', '.join(missing)} to this account" if missing else f"has fewer than {ZONES} zones"
        yield Check("zones", Answer.REFUSES, f"{environment.region} {lack}; it offers {', '.join(there) or 'none'}")
    else:
        yield Check("zones", Answer.HOLDS, ", ".join(environment.zones or there[:ZONES]))


def _image(environment: Environment, aws: Clients, today: date) -> Iterator[Check]:
    pin = environment.pins.image
    renew = "`blueprint pin` writes the newest"
    if pin is None:
        yield Check("image", Answer.WARNS, f"not pinned, so a newer one may replace hosts at any deployment; {renew}")
        return
    ec2 = aws.client("ec2")
    found = ec2.describe_images(Filters=[{"Name": "image-id", "Values": [pin]}], IncludeDeprecated=True)["Images"]
    if not found or found[0].get("State") != "available" or found[0].get("Architecture") != "arm64":
        what = f"is {found[0].get('State')}, for {found[0].get('Architecture')}" if found else "is not there"
        yield Check("image", Answer.REFUSES, f"{pin} {what} in {environment.region}; {renew}")
        return
    age = (today - datetime.fromisoformat(found[0]["CreationDate"].replace("Z", "+00:00")).date()).days
    if age > OLDEST_IMAGE_DAYS:
        told = f"{pin} is {age} days old, and a pin ends after {OLDEST_IMAGE_DAYS}; {renew}, or say why with --reason"
        yield Check("image", Answer.EXPIRED, told)
    else:
        yield Check("image", Answer.HOLDS, f"{pin}, {age} days old")


def _edge_list(environment: Environment, after: list[Resource], aws: Clients) -> Iterator[Check]:
    pin = environment.pins.edge_prefix_list
    if environment.account == UNSET_ACCOUNT:  # a local AWS makes up its own ids, and takes any
        return
    if not any(resource.type == "AWS::CloudFront::Distribution" for resource in after):
        return
    if pin is None:
        told = "no prefix list is pinned, so everybody reaches the load balancer's port; `blueprint pin` writes it"
        yield Check("edge addresses", Answer.WARNS, told)
        return
    right = edge_list(aws)
    if pin == right:
        yield Check("edge addresses", Answer.HOLDS, pin)
    else:
        told = f"{pin} is not CloudFront's list in {environment.region}; `blueprint pin` writes the right one, {right}"
        yield Check("edge addresses", Answer.REFUSES, told)


def edge_list(aws: Clients) -> str | None:
    """CloudFront's origin-facing prefix list in the region."""
    named = [{"Name": "prefix-list-name", "Values": [EDGE_LIST]}]
    found = aws.client("ec2").describe_managed_prefix_lists(Filters=named)["PrefixLists"]
    return str(found[0]["PrefixListId"]) if found else None


def _hosted_zone(environment: Environment, outlook: Outlook, aws: Clients) -> Iterator[Check]:
    if environment.hosted_zone_id is None:
        return
    route53 = aws.client("route53")
    try:
        found = route53.get_hosted_zone(Id=environment.hosted_zone_id)
    except route53.exceptions.NoSuchHostedZone:
        told = f"{environment.hosted_zone_id} is not in account {environment.account}; put hosted_zone_id right"
        yield Check("hosted zone", Answer.REFUSES, told)
        return
    zone = found["HostedZone"]
    name = zone["Name"].rstrip(".")
    if zone.get("Config", {}).get("PrivateZone"):
        yield Check("hosted zone", Answer.REFUSES, f"{name} is private; certificates and visitors need a public one")
    elif not f".{environment.domain}".endswith(f".{name}"):
        told = f"{environment.hosted_zone_id} is {name}, which cannot hold {environment.domain}; put one of them right"
        yield Check("hosted zone", Answer.REFUSES, told)
    else:
        servers = ", ".join(found["DelegationSet"]["NameServers"])
        told = f"{name} holds {environment.domain}; `dig +short NS {name}` must say {servers}, or certificates wait"
        yield Check("hosted zone", Answer.HOLDS, told)
        pages = route53.get_paginator("list_resource_record_sets").paginate(HostedZoneId=environment.hosted_zone_id)
        rows = [row for page in pages for row in page["ResourceRecordSets"]]
        records = {(row["Name"].rstrip("."), row["Type"]): row for row in rows}
        yield from _records(outlook, records)
        yield from _certificates(outlook, records, aws)


def _records(outlook: Outlook, there: Records) -> Iterator[Check]:
    """Records that a stack would make: CloudFormation takes over none that is there."""
    wanted = [one.properties for one in _new(outlook, RECORD_SET) if isinstance(one.properties["Name"], str)]
    names = [(str(one["Name"]).rstrip("."), kind) for one in wanted for kind in sorted({str(one["Type"]), "CNAME"})]
    taken = [f"{name} ({kind})" for name, kind in names if (name, kind) in there]
    if taken:
        told = (
            f"{', '.join(taken)}: in the zone already, and the stacks would make it; delete it right before deploying"
        )
        yield Check("records", Answer.REFUSES, told)
    elif wanted:
        yield Check("records", Answer.HOLDS, f"{', '.join(dict(names))}: free")


def _certificates(outlook: Outlook, records: Records, aws: Clients) -> Iterator[Check]:
    """Stacks make certificates and the records that prove them; a CAA record of somebody's may be in the way."""
    regions, before = {stack.role: stack.region for stack in outlook.after.stacks}, resources(outlook.before)
    for one in resources(outlook.after).values():
        if one.type != CERTIFICATE:
            continue
        name, region, new = f"certificate of {one.stack}", regions[one.stack], one.key not in before
        domains = [str(one.properties["DomainName"]), *map(str, one.properties.get("SubjectAlternativeNames", []))]
        if shut := next(filter(None, (_shut_out(domain, records) for domain in domains)), None):
            told = f'CAA of {shut} names other authorities than Amazon, so ACM issues none; add: 0 issue "amazon.com"'
            yield Check(name, Answer.REFUSES if new else Answer.WARNS, told)
        elif new:
            yield Check(name, Answer.HOLDS, f"is made in {region}, and proven by records in the zone")
        else:
            rows = _all(aws, "acm", "list_certificates", "CertificateSummaryList", region)
            bad = [row for row in rows if row["DomainName"] == domains[0] and row["Status"] != "ISSUED"]
            told = ", ".join(f"{row['CertificateArn']} is {row['Status']}" for row in bad)
            look = f"; look: aws acm describe-certificate --region {region} --certificate-arn ..."
            yield Check(name, *((Answer.WARNS, told + look) if bad else (Answer.HOLDS, "issued")))


def _shut_out(domain: str, records: Records) -> str | None:
    """Whose CAA record keeps ACM from this domain: the nearest one counts, of the domain or above it in the zone."""
    while "." in domain and (domain, "CAA") not in records:
        domain = domain.partition(".")[2]
    values = [row["Value"].split(None, 2) for row in records.get((domain, "CAA"), {}).get("ResourceRecords", [])]
    issuers = {value.strip('"').partition(";")[0].strip() for _, tag, value in values if tag == "issue"}
    return domain if issuers and not issuers & ISSUERS else None


def _mail_identity(environment: Environment, outlook: Outlook, aws: Clients) -> Iterator[Check]:
    """A domain's identity is made by a stack; that of a single address is a person's who clicks."""
    name = environment.domain or environment.alarm_email
    if name is None:
        return
    ses = aws.client("sesv2")
    try:
        found = ses.get_email_identity(EmailIdentity=name)
    except ses.exceptions.NotFoundException:
        found = None
    new, command = bool(_new(outlook, IDENTITY)), f"email-identity --email-identity {name}"
    if new and found:
        told = f"{name} is there, and a stack would make it; if nobody else sends as it: aws sesv2 delete-{command}"
        yield Check("mail identity", Answer.REFUSES, told)
    elif new:
        yield Check("mail identity", Answer.HOLDS, f"{name} is made, and proven by records in the zone")
    elif found and found.get("VerifiedForSendingStatus"):
        yield Check("mail identity", Answer.HOLDS, f"{name} is verified")
    else:
        state = "is not verified" if found else "is not there"
        way = f"look at its records: aws sesv2 get-{command}"
        if environment.domain is None:
            way = f"aws sesv2 create-{command}, then follow the link in the mail to it"
        yield Check("mail identity", Answer.WARNS, f"{name} {state}, so no customer gets mail; {way}")


def _new(outlook: Outlook, kind: str) -> list[Resource]:
    """What is made, of one type."""
    there = resources(outlook.before)
    return [one for key, one in resources(outlook.after).items() if one.type == kind and key not in there]


def _mail(environment: Environment, aws: Clients) -> Iterator[Check]:
    if environment.domain is None and environment.alarm_email is None:
        return
    if aws.client("sesv2").get_account().get("ProductionAccessEnabled"):
        yield Check("mail", Answer.HOLDS, "SES sends to everybody")
    else:
        told = "SES is in its sandbox, so mail reaches verified addresses alone; ask AWS for production access"
        yield Check("mail", Answer.WARNS, told)


def _quotas(outlook: Outlook, after: list[Resource], aws: Clients) -> Iterator[Check]:
    from botocore.exceptions import BotoCoreError, ClientError

    new = [change.type for change in outlook.changes.values() if change.impact is Impact.CREATE]
    reserved = [
        int(one.properties.get("ReservedConcurrentExecutions", 0))
        for one in after
        if one.type == "AWS::Lambda::Function"
    ]
    needs: dict[str, tuple[int, Callable[[], int]]] = {
        "VPCs": (new.count("AWS::EC2::VPC"), lambda: len(_all(aws, "ec2", "describe_vpcs", "Vpcs"))),
        "elastic addresses": (
            new.count("AWS::EC2::EIP"),
            lambda: len(aws.client("ec2").describe_addresses()["Addresses"]),
        ),
        "database instances": (
            new.count("AWS::RDS::DBInstance"),
            lambda: len(_all(aws, "rds", "describe_db_instances", "DBInstances")),
        ),
        "functions at once": (sum(reserved) + UNRESERVED if sum(reserved) else 0, lambda: 0),
    }
    for quota in quotas():
        need, used = needs[quota.name]
        if not need:
            continue
        try:
            found = aws.client("service-quotas").get_service_quota(ServiceCode=quota.service, QuotaCode=quota.code)
            limit, known = int(found["Quota"]["Value"]), True
        except (BotoCoreError, ClientError):
            limit, known = quota.value, False
        yield _quota(quota, need, used(), limit, known)


def _quota(quota: Quota, need: int, used: int, limit: int, known: bool) -> Check:
    most = f"the quota is {limit}" if known else f"the quota is not told, and {limit} in a new account"
    told = f"{used} in use, {need} more are needed, {most}"
    if used + need > limit:
        told += f"; ask for more in the Service Quotas console: service {quota.service}, quota {quota.code}"
    answer = Answer.WARNS if not known else Answer.HOLDS if used + need <= limit else Answer.REFUSES
    return Check(f"quota: {quota.name}", answer, told)


def _all(aws: Clients, service: str, operation: str, key: str, region: str | None = None) -> list[Any]:
    pages = aws.client(service, region).get_paginator(operation).paginate()
    return [row for page in pages for row in page[key]]
