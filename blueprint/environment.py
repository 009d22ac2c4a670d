"""An environment: what the user wants, read strictly from its file, with every mistake explained where it stands.

`EnvironmentFile` is the file as written; `Environment` is what the stacks get, with nothing left to decide.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from blueprint import rules, stages, toml_file
from blueprint.locate import Path as KeyPath
from blueprint.mistakes import BadEnvironment, Problem, did_you_mean, printable, report, shown
from blueprint.neighbours import quarrels
from blueprint.parts import Egress, Stage
from blueprint.rules import Broken, Rule, whole

__all__ = ["ENVIRONMENTS", "UNSET_ACCOUNT", "BadEnvironment", "Environment", "load", "schema"]

ENVIRONMENTS = Path(__file__).resolve().parent.parent / "environments"
UNSET_ACCOUNT = "000000000000"
# Rules that a security group may have, and what CloudFront's prefix list counts as (VPC guide, managed prefix lists).
GROUP_RULES, PREFIX_LIST_RULES = 60, 55
EVERYBODY = "0.0.0.0/0"
SANDBOX_BUDGET_USD = 100


# --- The file as written ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class By:
    """Hands a rule to pydantic."""

    rule: Rule

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def checked(value: Any) -> Any:
            self.rule.check(value)
            return value

        return core_schema.no_info_after_validator_function(checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), **self.rule.schema}


class Table(BaseModel):
    """A table of the file: nothing unknown, nothing converted, nothing changed later."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ServerSizes(Table):
    """The one host of stages 1 and 2."""

    instance_type: Annotated[str, By(rules.HOST_TYPE)] | None = Field(
        default=None, description="EC2 instance type, arm64."
    )
    data_volume_gib: Annotated[int, By(whole(10, 16384))] | None = Field(
        default=None, description="Volume for PostgreSQL's data at stage 1. It can grow later, but never shrink."
    )


class FleetSizes(Table):
    """The hosts behind the load balancer, from stage 3 on."""

    instance_type: Annotated[str, By(rules.HOST_TYPE)] | None = Field(
        default=None, description="EC2 instance type, arm64."
    )
    minimum: Annotated[int, By(whole(2, 100, "one host alone does not survive its zone"))] | None = Field(
        default=None, description="Fewest hosts. Two are needed to survive the loss of a zone."
    )
    maximum: Annotated[int, By(whole(2, 100))] | None = Field(
        default=None, description="Most hosts that load may add up to."
    )
    cpu_target_percent: Annotated[int, By(whole(10, 90))] | None = Field(
        default=None, description="Average CPU use that scaling holds. Above 66, two zones cannot carry what three did."
    )
    requests_per_target: Annotated[int, By(whole(10, 1000000))] | None = Field(
        default=None, description="Requests a minute that scaling holds for each host."
    )


class DatabaseSizes(Table):
    """RDS PostgreSQL, from stage 2 on."""

    instance_type: Annotated[str, By(rules.DATABASE_TYPE)] | None = Field(
        default=None, description='RDS instance class without its "db.", arm64. Replicas have the same.'
    )
    storage_gib: Annotated[int, By(whole(20, 65536))] | None = Field(
        default=None, description="Storage to begin with. It can grow later, but never shrink."
    )
    storage_limit_gib: Annotated[int, By(whole(22, 65536))] | None = Field(
        default=None, description="Storage up to which RDS grows by itself: at least 10 % above storage_gib."
    )
    multi_az: bool | None = Field(
        default=None, description="Keep a standby in another zone. Production cannot turn it off."
    )
    read_replicas: Annotated[int, By(whole(0, 5, "beyond five, a cache costs less than one more copy"))] | None = Field(
        default=None, description="Copies that answer reads. RDS allows 15; each is one more full copy to feed and pay."
    )


class CacheSizes(Table):
    """The ElastiCache cluster, from stage 4 on."""

    node_type: Annotated[str, By(rules.CACHE_TYPE)] | None = Field(
        default=None, description='ElastiCache node type with its "cache.", arm64.'
    )
    shards: Annotated[int, By(whole(1, 15, "15 with 5 replicas are the 90 nodes AWS allows at first"))] | None = Field(
        default=None, description="Shards that the keys are spread over."
    )
    replicas_per_shard: Annotated[int, By(whole(0, 5))] | None = Field(
        default=None, description="Replicas of each shard. With 0, losing a node loses its keys; production needs 1."
    )


class CdnSizes(Table):
    """CloudFront, from stage 4 on."""

    price_class: Literal["PriceClass_100", "PriceClass_200", "PriceClass_All"] | None = Field(
        default=None, description="Edge locations in use: North America and Europe, most of the world, or all of it."
    )
    requests_per_five_minutes: Annotated[int, By(whole(100, 2000000, "a person comes to 300"))] | None = Field(
        default=None, description="Requests from one address within five minutes, after which it is turned away."
    )


class JobSizes(Table):
    """One background job, at stage 5."""

    timeout_seconds: Annotated[int, By(whole(1, 900))] | None = Field(
        default=None, description="Time for one batch. Its queue hides a message for six times as long."
    )
    memory_mib: Annotated[int, By(whole(128, 10240))] | None = Field(
        default=None, description="Memory of the function. CPU grows with it: one whole CPU at 1769."
    )
    concurrency: Annotated[int, By(whole(2, 1000))] | None = Field(
        default=None, description="Most functions at a time: what the slowest thing behind the job can take."
    )


def _spell_out_jobs(schema: JsonSchemaValue) -> None:
    """Editors complete the names of properties, not rules about names."""
    del schema["propertyNames"]
    schema["properties"] = dict.fromkeys(rules.JOBS, schema["additionalProperties"])
    schema["additionalProperties"] = False


class Sizes(Table):
    """Overrides of the sizes that a stage starts with, part by part. Only parts that the stage has."""

    server: ServerSizes | None = None
    fleet: FleetSizes | None = None
    database: DatabaseSizes | None = None
    cache: CacheSizes | None = None
    cdn: CdnSizes | None = None
    workers: dict[Annotated[str, By(rules.JOB)], JobSizes] = Field(
        default={}, description="Background jobs, at stage 5: one table a job.", json_schema_extra=_spell_out_jobs
    )


class Pins(Table):
    """What must not change by itself."""

    image: Annotated[str, By(rules.IMAGE)] | None = Field(
        default=None,
        description="Machine image of the hosts. Without it, each deployment takes the newest Amazon Linux 2023.",
    )
    release: Annotated[str, By(rules.RELEASE)] | None = Field(
        default=None, description="Release that the hosts run: the asset hash of an earlier one rolls back to it."
    )
    edge_prefix_list: Annotated[str, By(rules.PREFIX_LIST)] | None = Field(
        default=None,
        description="CloudFront's origin-facing prefix list in the region; closes the load balancer to all others.",
    )
    origin_key_generation: Annotated[int, By(whole(1, 999))] = Field(
        default=1, description="Generation of the key that CloudFront shows to the load balancer. One more rotates it."
    )


class Transition(Table):
    """Switches for a move between stages in two passes."""

    lock_origin: bool = Field(
        default=True,
        description="From stage 4 on: the load balancer answers CloudFront alone. Moving from stage 3 to 4, it stays "
        "false until the distribution answers; locked in the first pass, the site is down until then.",
    )


class EnvironmentFile(Table):
    """One environment: which stage, where, for whom, how big."""

    name: Annotated[str, By(rules.NAME)] = Field(description="Prefix of every stack, and path of every parameter.")
    stage: Annotated[Any, By(rules.STAGE)] = Field(description="Scaling stage, by number or by name.")
    profile: Literal["sandbox", "production"] = Field(
        description="sandbox is cheap and leaves nothing behind; production protects and keeps data."
    )
    account: Annotated[str, By(rules.ACCOUNT)] = Field(
        default=UNSET_ACCOUNT,
        description="AWS account, the only one that a deployment accepts. Unset: for inspecting only.",
    )
    region: Annotated[str, By(rules.REGION)] = Field(description="AWS region of everything but CloudFront.")
    zones: list[Annotated[str, By(rules.ZONE)]] = Field(
        default=[],
        max_length=3,
        description="Three availability zones of the region, fixed for life. Production must name them.",
    )
    egress: Literal["nat", "nat-per-zone", "endpoints"] | None = Field(
        default=None,
        description="How hosts without a public address reach out: one NAT gateway, one in each zone, or AWS services "
        "alone through endpoints. Default: nat in a sandbox, nat-per-zone in production.",
    )
    open_to: list[Annotated[str, By(rules.ADDRESS_RANGE)]] = Field(
        default=[],
        max_length=25,
        description="IPv4 ranges that may open the site. Needed without a domain; with one, the default is everybody.",
    )
    domain: Annotated[str, By(rules.DOMAIN)] | None = Field(default=None, description="Name of the site. Brings TLS.")
    hosted_zone_id: Annotated[str, By(rules.HOSTED_ZONE)] | None = Field(
        default=None, description="Public Route 53 hosted zone that holds the domain."
    )
    alarm_email: Annotated[str, By(rules.EMAIL)] | None = Field(default=None, description="Who is told of an alarm.")
    budget_usd: Annotated[int, By(whole(1, 10000000))] | None = Field(
        default=None,
        description=f"USD a month after which an alarm is sent. Default in a sandbox: {SANDBOX_BUDGET_USD}.",
    )
    tags: dict[Annotated[str, By(rules.TAG)], Annotated[str, By(rules.TAG_VALUE)]] = Field(
        default={}, max_length=40, description="Tags on everything. AWS allows 50 on a resource; ten are left for ours."
    )
    pins: Pins = Pins()
    transition: Transition = Transition()
    sizes: Sizes = Sizes()


# The tables by where they stand; a job's is the same for all.
TABLES: dict[KeyPath, type[Table]] = {
    (): EnvironmentFile,
    ("pins",): Pins,
    ("transition",): Transition,
    ("sizes",): Sizes,
    ("sizes", "server"): ServerSizes,
    ("sizes", "fleet"): FleetSizes,
    ("sizes", "database"): DatabaseSizes,
    ("sizes", "cache"): CacheSizes,
    ("sizes", "cdn"): CdnSizes,
    **{("sizes", "workers", job): JobSizes for job in rules.JOBS},
}


# --- The environment as the stacks get it -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Environment:
    """One environment with all defaults filled in and sizes applied."""

    name: str
    stage: Stage
    profile: str
    account: str
    region: str
    zones: tuple[str, ...]
    egress: Egress
    open_to: tuple[str, ...]
    domain: str | None
    hosted_zone_id: str | None
    alarm_email: str | None
    budget_usd: int | None
    tags: dict[str, str]
    pins: Pins
    transition: Transition


def load(
    environment: str,
    *,
    stage: str | None = None,
    name: str | None = None,
    release: str | None = None,
    folder: Path = ENVIRONMENTS,
) -> Environment:
    """The environment of this name or file, with what the command line overrides; raises only BadEnvironment."""
    for option, value, rule in (
        ("stage", stage, rules.STAGE),
        ("name", name, rules.NAME),
        ("release", release, rules.RELEASE),
    ):
        try:
            if value is not None:
                rule.check(value)
        except Broken as broken:
            raise BadEnvironment(f"{printable(f'-c {option}={value}')[:80]}: {broken.what}; {broken.fix}") from None
    file, shown_as = toml_file.find(environment, folder)
    given, lines = toml_file.parse(toml_file.read(file, shown_as, folder), shown_as)
    try:
        written = EnvironmentFile.model_validate(given)
    except ValidationError as errors:
        problems = [_explain(error, lines) for error in errors.errors(include_url=False)]
        raise report(problems, shown_as, lines) from None
    own = stages.find(written.stage)
    wanted = own if stage is None else stages.find(stage)
    problems = [*_contradictions(written, own), *_misfits(_sized(own, written.sizes), written.sizes)]
    if written.account != UNSET_ACCOUNT:
        problems += quarrels({**given, "name": name or written.name}, file, folder)
    if wanted != own:
        problems += _misfits(_sized(wanted, written.sizes), written.sizes)
    if problems:
        raise report(problems, shown_as, lines)
    return _complete(written, _sized(wanted, written.sizes), name=name, release=release)


def _complete(written: EnvironmentFile, stage: Stage, *, name: str | None, release: str | None) -> Environment:
    production = written.profile == "production"
    domain = written.domain
    if domain is not None and name is not None and name != written.name:
        domain = f"{name}.{domain}"
        if len(domain) > rules.LONGEST_DOMAIN:
            what = f"makes the domain longer than {rules.LONGEST_DOMAIN} characters"
            raise BadEnvironment(f"-c name={name}: {what}, found {shown(domain)}; choose a shorter name")
    return Environment(
        name=name or written.name,
        stage=stage,
        profile=written.profile,
        account=written.account,
        region=written.region,
        zones=tuple(written.zones),
        egress=Egress(written.egress or (Egress.NAT_PER_ZONE if production else Egress.NAT)),
        open_to=tuple(written.open_to) or (EVERYBODY,),
        domain=domain,
        hosted_zone_id=written.hosted_zone_id,
        alarm_email=written.alarm_email,
        budget_usd=written.budget_usd or SANDBOX_BUDGET_USD,
        tags=dict(written.tags),
        pins=written.pins.model_copy(update={"release": release or written.pins.release}),
        transition=written.transition,
    )


def _sized(stage: Stage, sizes: Sizes) -> Stage:
    """The stage in the wanted sizes. Sizes of parts that it lacks are not used."""
    changes: dict[str, Any] = {}
    for part, given in _given(sizes).items():
        base = getattr(stage, part)
        if base is None:
            continue
        if part == "workers":
            given = {"jobs": tuple(replace(job, **given.get(job.name, {})) for job in base.jobs)}
        changes[part] = replace(base, **given)
    return replace(stage, **changes)


def _given(sizes: Sizes) -> dict[str, dict[str, Any]]:
    """The settings given for each part; a table without any counts as absent."""
    return {part: given for part, given in sizes.model_dump(exclude_unset=True).items() if given}


# --- Settings that are right alone and wrong together -----------------------------------------------------------------

_FIND_IMAGE = (
    "aws ssm get-parameter --name /aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64 "
    "--query Parameter.Value --output text"
)
# Why, and what to add. A budget too: what a month may cost depends on what the shop earns, so there is no default.
_PRODUCTION_NEEDS: dict[KeyPath, tuple[str, str]] = {
    ("zones",): ("subnets stay in their zones for life", 'add zones = ["us-east-1a", ...], three of the region'),
    ("domain",): ("without a name there is no TLS", 'add domain = "shop.example.com" and its hosted_zone_id'),
    ("alarm_email",): ("an alarm that reaches nobody is none", 'add alarm_email = "oncall@example.com"'),
    ("budget_usd",): ("only you know what is too much", "add budget_usd = 1000, or what a month may cost"),
    ("pins", "image"): ("a newer image would replace hosts", f"add image under [pins]; this prints it: {_FIND_IMAGE}"),
}


def _contradictions(written: EnvironmentFile, stage: Stage) -> Iterator[Problem]:
    if written.profile == "production":
        yield from _unfit_for_production(written)
    for one, other in (("domain", "hosted_zone_id"), ("hosted_zone_id", "domain")):
        if getattr(written, one) is not None and getattr(written, other) is None:
            what = f"needs {other} beside it, for the site's record and certificate"
            yield Problem((one,), what, shown(getattr(written, one)), f"add {other}, or remove {one}")
    yield from _unfit_zones(written)
    yield from _unfit_doors(written)
    for tag, twin in _repeated([tag.lower() for tag in written.tags]):
        names = list(written.tags)
        what = f"differs from {shown(names[twin])} only in its case, which IAM refuses"
        yield Problem(("tags", names[tag]), what, shown(names[tag]), "keep one of the two")
    for part, given in _given(written.sizes).items():
        if getattr(stage, part) is None:
            first = next(other for other in stages.STAGES if getattr(other, part) is not None)
            named = part if part.endswith("s") else f"a {part}"
            what = f"{', '.join(given)} without {named}: stage {stage.number} ({stage.name}) has none"
            fix = f"remove it; the first stage with {named} is {first.number} ({first.name})"
            setting, value = next(iter(given.items()))
            yield Problem(("sizes", part, setting), what, shown(value), fix)


def _unfit_for_production(written: EnvironmentFile) -> Iterator[Problem]:
    for key, (why, fix) in _PRODUCTION_NEEDS.items():
        if not (written.pins.image if key == ("pins", "image") else getattr(written, str(key[0]))):
            yield Problem(key, f"is missing, and production needs it: {why}", "nothing", fix)
    if written.sizes.database is not None and written.sizes.database.multi_az is False:
        key = ("sizes", "database", "multi_az")
        yield Problem(key, "leaves production without a standby", "false", "remove it, or use profile sandbox")
    if written.sizes.cache is not None and written.sizes.cache.replicas_per_shard == 0:
        key = ("sizes", "cache", "replicas_per_shard")
        yield Problem(key, "leaves the shards of production without a second node", "0", "write 1 or more")


def _unfit_zones(written: EnvironmentFile) -> Iterator[Problem]:
    if len(written.zones) in (1, 2):
        yield Problem(("zones",), "must name three zones", shown(written.zones), "add the others, or remove all")
    for number, zone in enumerate(written.zones):
        if zone[:-1] != written.region:
            fix = f'write a zone such as "{written.region}a", or change the region'
            yield Problem(("zones", number), f"is not a zone of {written.region}", shown(zone), fix)
    for number, _ in _repeated(written.zones):
        found = shown(written.zones[number])
        yield Problem(("zones", number), "names a zone twice", found, "name three different zones")


def _unfit_doors(written: EnvironmentFile) -> Iterator[Problem]:
    for number, _ in _repeated(written.open_to):
        found = shown(written.open_to[number])
        yield Problem(("open_to", number), "names a range twice, which EC2 refuses", found, "remove one of the two")
    ports, room = (2 if written.domain else 1), GROUP_RULES - PREFIX_LIST_RULES
    if not written.transition.lock_origin and written.pins.edge_prefix_list and len(written.open_to) * ports > room:
        what = f"leaves no room for CloudFront, whose prefix list takes {PREFIX_LIST_RULES} of {GROUP_RULES} rules"
        fix = f"write at most {room // ports} ranges while the load balancer answers both"
        yield Problem(("open_to",), what, f"{len(written.open_to)} ranges", fix)
    if written.domain is not None:
        return
    if not written.open_to and written.profile == "sandbox":
        fix = 'add open_to = ["<your address>/32"] (curl https://checkip.amazonaws.com prints it), or a domain'
        yield Problem(("open_to",), "is missing, and a site without a domain has no TLS", "nothing", fix)
    for number, door in enumerate(written.open_to):
        if ipaddress.IPv4Network(door).prefixlen < 8:
            fix = "write your own address with /32, or set a domain"
            yield Problem(("open_to", number), "opens a site without TLS to the world", shown(door), fix)


def _misfits(stage: Stage, sizes: Sizes) -> Iterator[Problem]:
    """Sizes that cannot be together, whether the file gives both or the stage gives one of them."""
    at = f"at stage {stage.number} ({stage.name})"
    fleet, database, given = stage.fleet, stage.database, _given(sizes)
    if fleet is not None and fleet.minimum > fleet.maximum:
        key = "minimum" if "minimum" in given["fleet"] else "maximum"
        what = f"minimum {fleet.minimum} is above maximum {fleet.maximum} {at}"
        found = shown(getattr(fleet, key))
        yield Problem(("sizes", "fleet", key), what, found, "lower the minimum or raise the maximum")
    if database is not None and database.storage_limit_gib * 10 < database.storage_gib * 11:
        key = "storage_limit_gib" if "storage_limit_gib" in given["database"] else "storage_gib"
        what = f"limit {database.storage_limit_gib} is not 10 % above storage {database.storage_gib} {at}"
        fix = f"write storage_limit_gib = {-(-database.storage_gib * 11 // 10)} or more, or less storage_gib"
        yield Problem(("sizes", "database", key), what, shown(getattr(database, key)), fix)


def _repeated(values: list[str]) -> Iterator[tuple[int, int]]:
    """Each place that repeats an earlier one, and that one."""
    for number, value in enumerate(values):
        if values.index(value) < number:
            yield number, values.index(value)


# --- What pydantic found, in our words --------------------------------------------------------------------------------

_WRONG_TYPES = {
    "string_type": ("must be text", "write one text in double quotes"),
    "int_type": ("must be a whole number", "write digits alone: no quotes, no decimals"),
    "bool_type": ("must be true or false", "write it in lower case and without quotes"),
    "list_type": ("must be a list", 'write it in square brackets: ["...", "..."]'),
    "dict_type": ("must be a table", "write its settings below a line with its name in square brackets"),
    "model_type": ("must be a table", "write its settings below a line with its name in square brackets"),
}


def _explain(error: Mapping[str, Any], lines: dict[KeyPath, int]) -> Problem:
    key: KeyPath = error["loc"]
    kind, context = error["type"], error.get("ctx", {})
    found = shown(error["input"])
    if key[-1] == "[key]" and key not in lines:  # pydantic's word for the name of an entry
        key = key[:-1]
    if kind == "value_error":
        return Problem(key, context["error"].what, found, context["error"].fix)
    if kind == "missing":
        return Problem(key, "is missing", "nothing", f"add {key[-1]} = ..., as in environments/sandbox.toml")
    if kind == "extra_forbidden":
        known = list(TABLES.get(key[:-1], JobSizes).model_fields)  # a job may have a wrong name too
        return Problem(key, "is no setting", found, f"{did_you_mean(key[-1], known)}known here: {', '.join(known)}")
    if kind == "literal_error":
        choices = [choice.strip("'") for choice in context["expected"].replace(" or ", ", ").split(", ")]
        fix = f"{did_you_mean(error['input'], choices)}write one of {', '.join(map(shown, choices))}"
        return Problem(key, "is none of the choices", found, fix)
    if kind == "too_long":
        most = context["max_length"]
        return Problem(key, "has too many entries", str(len(error["input"])), f"keep at most {most}")
    what, fix = _WRONG_TYPES.get(kind, ("is not accepted", "write it as in environments/sandbox.toml"))
    return Problem(key, what, found, fix)


# --- For editors ------------------------------------------------------------------------------------------------------


class _WithoutNull(GenerateJsonSchema):
    """TOML has no null: a setting that may be absent is just not required."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = super().default_schema(schema)  # only of a plain value; an empty table or list says nothing
        return made if isinstance(schema["default"], int | str) else self.generate_inner(schema["schema"])


def schema() -> dict[str, Any]:
    """The JSON schema by which editors complete and check an environment file."""
    made = EnvironmentFile.model_json_schema(schema_generator=_WithoutNull)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **made,
        "dependentRequired": {"domain": ["hosted_zone_id"], "hosted_zone_id": ["domain"]},
        "anyOf": [{"required": ["domain"]}, {"required": ["open_to"]}],
        "if": {"properties": {"profile": {"const": "production"}}},
        "then": {
            "required": [str(key[0]) for key in _PRODUCTION_NEEDS],
            "properties": {"pins": {"required": ["image"]}},
        },
    }
