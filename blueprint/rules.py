"""What one value of an environment must satisfy: a check that explains itself, and the same for editors."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from blueprint.mistakes import did_you_mean
from blueprint.stages import STAGES


class Broken(ValueError):
    """A rule is broken by a value."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what, self.fix = what, fix


@dataclass(frozen=True, eq=False)
class Rule:
    """A check that raises Broken, and what JSON schema can say of it."""

    check: Callable[[Any], None]
    schema: dict[str, Any]


def text(
    means: str, pattern: str, example: str, *, longest: int, shortest: int = 1, reserved: tuple[str, ...] = ()
) -> Rule:
    """Text of one shape."""

    def check(value: object) -> None:
        fits = isinstance(value, str) and shortest <= len(value) <= longest
        if not fits or re.fullmatch(pattern, str(value), re.ASCII) is None:
            raise Broken(f"must be {means}", f'write it like "{example}"')
        if str(value).startswith(reserved):
            raise Broken(f"must not begin with {' or '.join(reserved)}, which AWS keeps for itself", "choose another")

    schema: dict[str, Any] = {"pattern": f"^(?:{pattern})$", "maxLength": longest, "examples": [example]}
    if shortest > 1:
        schema["minLength"] = shortest
    if reserved:
        schema["not"] = {"pattern": f"^(?:{'|'.join(reserved)})"}
    return Rule(check, schema)


def one_of(means: str, choices: list[str], hint: str) -> Rule:
    """One of many names."""

    def check(value: str) -> None:
        if value not in choices:
            raise Broken(f"must be {means}", f"{did_you_mean(value, choices)}{hint}")

    return Rule(check, {"enum": choices})


def whole(lowest: int, highest: int, because: str = "") -> Rule:
    """A whole number in a range, both ends included."""

    def check(value: int) -> None:
        if not lowest <= value <= highest:
            fix = f"write a whole number from {lowest} to {highest}"
            raise Broken("is out of range", f"{fix}: {because}" if because else fix)

    return Rule(check, {"minimum": lowest, "maximum": highest})


def _check_stage(value: object) -> None:
    if type(value) not in (int, str) or value not in {*_NUMBERS, *_NAMES, *map(str, _NUMBERS)}:
        choices = f"write {_NUMBERS[0]} to {_NUMBERS[-1]}, or one of {', '.join(_NAMES)}"
        raise Broken("is no stage", did_you_mean(value, _NAMES) + choices)


def _check_range(value: str) -> None:
    try:
        if re.fullmatch(r"[0-9.]+/[0-9]{1,2}", value) is None:
            raise ValueError(value)
        network = ipaddress.IPv4Network(value, strict=False)
    except ValueError:
        fix = 'write an address and its length, such as "203.0.113.10/32" for one address'
        raise Broken("must be a range of IPv4 addresses", fix) from None
    if str(network) != value:
        raise Broken("has bits set past its length", f'write "{network}", or end it in /32 for this one address')


def _tag(*, shortest: int, longest: int, reserved: tuple[str, ...]) -> Rule:
    def check(value: str) -> None:
        if not shortest <= len(value) <= longest or re.fullmatch(r"[\w .:/=+@-]*", value) is None:
            fix = "use letters, digits, spaces and _ . : / = + - @"
            raise Broken(f"must have {shortest} to {longest} characters that AWS takes in tags", fix)
        if value != value.strip():
            raise Broken("begins or ends with a space", "remove it: nobody would find the tag again")
        if value.lower().startswith(reserved):
            raise Broken(f"must not begin with {' or '.join(reserved)}, which is taken", "choose another")

    return Rule(check, {"maxLength": longest})


_NAMES = [stage.name for stage in STAGES]
_NUMBERS = [stage.number for stage in STAGES]
JOBS = [job.name for stage in STAGES if stage.workers is not None for job in stage.workers.jobs]

# Commercial regions. China and GovCloud are other partitions, with other services, names and prices.
REGIONS = [
    *("af-south-1", "ap-east-1", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3"),
    *("ap-south-1", "ap-south-2", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4"),
    *("ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "ca-central-1", "ca-west-1", "eu-central-1"),
    *("eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3"),
    *("il-central-1", "me-central-1", "me-south-1", "mx-central-1", "sa-east-1"),
    *("us-east-1", "us-east-2", "us-west-1", "us-west-2"),
]


def _offered(families: str, sizes: str, prefix: str = "") -> list[str]:
    return [f"{prefix}{family}.{size}" for family in families.split() for size in sizes.split()]


# Graviton only: the image, the wheels and the functions are arm64. Each service offers its own choice of it. A host
# below 2 GiB of memory has no room for the system, its agents and the application together.
_LARGE = "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge"
HOST_TYPES = _offered("t4g", "small medium large xlarge 2xlarge")
HOST_TYPES += _offered("c6g c7g c8g m6g m7g m8g r6g r7g r8g", "medium " + _LARGE)
DATABASE_TYPES = _offered("t4g", "micro small medium large xlarge 2xlarge")
DATABASE_TYPES += _offered("m6g m7g m8g r6g r7g r8g", _LARGE)
CACHE_TYPES = _offered("t4g", "micro small medium", "cache.") + _offered("m6g m7g r6g r7g", _LARGE, "cache.")

NAME = text(
    "2 to 20 lower-case letters, digits and single hyphens, beginning with a letter",
    r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*",
    "shop",
    shortest=2,
    longest=20,
    # First part of the path of SSM parameters and of security groups' names; /cdk-bootstrap/ is the CDK's own.
    reserved=("aws", "ssm", "sg-", "cdk-"),
)
STAGE = Rule(
    _check_stage,
    {
        "anyOf": [
            {"type": "integer", "enum": _NUMBERS},
            {"type": "string", "enum": [*_NAMES, *map(str, _NUMBERS)]},
        ]
    },
)
ACCOUNT = text("the 12 digits of an AWS account", "[0-9]{12}", "123456789012", longest=12)
REGION = one_of("a commercial AWS region", REGIONS, "aws ec2 describe-regions lists them")
ZONE = text(
    "an availability zone: its region and one letter", "[a-z]{2}(?:-[a-z]+)+-[0-9][a-z]", "us-east-1a", longest=20
)
ADDRESS_RANGE = Rule(_check_range, {"examples": ["203.0.113.10/32"]})
LONGEST_DOMAIN = 57  # a certificate's first name may have 64 characters, and ours adds "origin."
DOMAIN = text(
    f"a domain of at most {LONGEST_DOMAIN} characters, in lower case, without https:// or a dot at its end",
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])",
    "shop.example.com",
    longest=LONGEST_DOMAIN,
)
HOSTED_ZONE = text("the id of a Route 53 hosted zone", "Z[A-Z0-9]{1,31}", "Z0123456789ABCDEFGHIJ", longest=32)
EMAIL = text(
    "one e-mail address",
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}",
    "oncall@example.com",
    longest=254,
)
TAG = _tag(shortest=1, longest=128, reserved=("aws:", "shop:"))  # the stacks and the hosts' rights use shop:
TAG_VALUE = _tag(shortest=0, longest=256, reserved=("aws:",))
IMAGE = text("the id of a machine image", "ami-[0-9a-f]{8}(?:[0-9a-f]{9})?", "ami-0123456789abcdef0", longest=21)
RELEASE = text("the 64 hexadecimal digits that name a release", "[0-9a-f]{64}", "5f2c" * 16, longest=64)
PREFIX_LIST = text("the id of a prefix list", "pl-[0-9a-f]{8}(?:[0-9a-f]{9})?", "pl-3b927c52", longest=20)
HOST_TYPE = one_of(
    "an arm64 (Graviton) EC2 instance type", HOST_TYPES, "the families are t4g, c6g to c8g, m6g to m8g and r6g to r8g"
)
DATABASE_TYPE = one_of(
    'an arm64 (Graviton) RDS instance type, without its "db."',
    DATABASE_TYPES,
    "the families are t4g, m6g to m8g and r6g to r8g",
)
CACHE_TYPE = one_of(
    'an arm64 (Graviton) ElastiCache node type, with its "cache."',
    CACHE_TYPES,
    "the families are cache.t4g, cache.m6g, cache.m7g, cache.r6g and cache.r7g",
)
JOB = one_of("the name of a job", JOBS, f"the jobs are {', '.join(JOBS)}")
