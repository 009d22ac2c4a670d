"""How far a workload goes towards each limit: by hand for parts, and for the five stages."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blueprint.parts import Fleet
from blueprint.stages import STAGES
from shop import cache as shop_cache
from shop import catalogue as shop_catalogue
from shop import settings as shop_settings
from tests.workbench.handmade import lone, resource
from tests.workbench.test_compare_availability import JUNK
from workbench.compare.aspects import demand
from workbench.compare.aspects.capacity import capacity, compare, full_at
from workbench.compare.model import Availability, Capacity, Ceiling, Facts, Finding, Risk
from workbench.cost import Estimate
from workbench.facts.limits import LIMITS, cache_bytes, limit, machine
from workbench.synth import ROOT
from workbench.templates import Assembly, StackTemplate, read_assembly
from workbench.templates.reading import System
from workbench.usage import USAGES, Usage, named

MODERATE = named("moderate")
PEAK = 50_000 * 50 / 86_400 * 3  # requests a second that reach the application


@cache
def system(folder: Path) -> System:
    return System(read_assembly(folder))


def by_name(found: Capacity) -> dict[str, Ceiling]:
    return {ceiling.name: ceiling for ceiling in found.ceilings}


def of(resources: dict[str, Any], usage: Usage = MODERATE) -> dict[str, Ceiling]:
    return by_name(capacity(System(lone(resources)), usage))


def side(ceilings: list[Ceiling], usage: Usage | None = MODERATE) -> Facts:
    """Facts with nothing but a capacity."""
    assembly = Assembly(())
    return Facts(
        label="a side",
        assembly=assembly,
        system=System(assembly),
        grants=frozenset(),
        openings=frozenset(),
        entrances=(),
        guards={},
        cost=Estimate((), (), (), usage),
        availability=Availability((), ()),
        capacity=Capacity(tuple(ceilings)),
    )


# --- What the shop does -----------------------------------------------------------------------------------------------


def test_the_assumptions_about_the_shop_are_its_own_defaults() -> None:
    settings = shop_settings.load({"DATABASE_URL": "postgresql://shop@localhost/shop"})
    assert settings.pool_max == demand.POOL
    assert shop_cache.AT_ONCE == demand.CACHE_POOL
    assert max(shop_catalogue.PRODUCT_SECONDS, shop_catalogue.LIST_SECONDS) == demand.CACHE_SECONDS
    told = re.search(r"^max_connections = (\d+)$", (ROOT / "shop/host/postgresql.conf").read_text("utf-8"), re.M)
    assert told is not None
    assert int(told[1]) == limit("connections of PostgreSQL as it comes").value


def test_the_time_of_a_request_follows_from_the_policies_of_every_fleet() -> None:
    for fleet in (stage.fleet for stage in STAGES if stage.fleet is not None):
        has = machine(fleet.instance_type)
        assert has is not None
        busy = has.cpus * fleet.cpu_target_percent / 100
        assert busy * 60 / fleet.requests_per_target == demand.CPU_SECONDS
    assert Fleet.requests_per_target == 1_000


# --- By hand ----------------------------------------------------------------------------------------------------------

OURS = resource("AWS::CloudWatch::Alarm", Namespace="Shop", MetricName="Errors")
DATABASE = resource(
    "AWS::RDS::DBInstance",
    Engine="postgres",
    DBInstanceClass="db.m7g.large",
    AllocatedStorage="100",
    MaxAllocatedStorage=1000,
    StorageType="gp3",
)
COPY = resource(
    "AWS::RDS::DBInstance",
    SourceDBInstanceIdentifier={"Ref": "Database"},
    DBInstanceClass="db.m7g.large",
    StorageType="gp3",
)
CACHE = resource(
    "AWS::ElastiCache::ReplicationGroup", CacheNodeType="cache.t4g.medium", NumNodeGroups=3, ReplicasPerNodeGroup=1
)
HOST = resource("AWS::EC2::Instance", InstanceType="t4g.medium")


def fleet(most: Any, size: str = "m7g.large", cpu: int = 50) -> dict[str, Any]:
    def policy(metric: str, target: int) -> dict[str, Any]:
        specification = {"PredefinedMetricSpecification": {"PredefinedMetricType": metric}, "TargetValue": target}
        name = {"Ref": "Group"}
        return resource(
            "AWS::AutoScaling::ScalingPolicy", AutoScalingGroupName=name, TargetTrackingConfiguration=specification
        )

    return {
        "Group": resource(
            "AWS::AutoScaling::AutoScalingGroup",
            MinSize=2,
            MaxSize=most,
            LaunchTemplate={"LaunchTemplateId": {"Ref": "Start"}},
        ),
        "Start": resource("AWS::EC2::LaunchTemplate", LaunchTemplateData={"InstanceType": size}),
        "Cpu": policy("ASGAverageCPUUtilization", cpu),
        "Requests": policy("ALBRequestCountPerTarget", 1_000),
    }


@pytest.mark.parametrize(
    ("size", "allowed"),
    [("db.t4g.medium", 405), ("db.m7g.large", 811), ("db.r7g.16xlarge", 5_000), ("db.x9.large", None), ({}, None)],
)
def test_a_managed_postgresql_allows_connections_by_its_memory(size: Any, allowed: int | None) -> None:
    database = resource("AWS::RDS::DBInstance", Engine="postgres", DBInstanceClass=size)
    assert of({"Database": database})["connections of Database"].limit == allowed


def test_a_parameter_group_has_the_last_word_about_connections() -> None:
    group = resource("AWS::RDS::DBParameterGroup", Parameters={"max_connections": "120"})
    database = resource("AWS::RDS::DBInstance", Engine="postgres", DBParameterGroupName={"Ref": "Group"})
    assert of({"Database": database, "Group": group})["connections of Database"].limit == 120


def test_a_fleet_carries_what_its_policy_gives_each_of_its_hosts() -> None:
    found = of(fleet(12))
    requests, processors = found["requests of Group"], found["processors of Group"]
    static = 90 / 50  # without a CDN the files of a page come from the hosts too
    assert (requests.limit, requests.used) == pytest.approx((200, PEAK * static))
    assert (processors.limit, processors.used) == pytest.approx((24, PEAK * static * 0.06))


def test_a_policy_that_keeps_hosts_busier_implies_that_requests_take_longer() -> None:
    slow, fast = (of(fleet(12, cpu=busy))["processors of Group"].used for busy in (80, 40))
    assert slow is not None
    assert fast is not None
    assert slow == pytest.approx(2 * fast)


def test_hosts_that_burst_are_held_to_their_baseline_on_average() -> None:
    found = of(fleet(6, "t4g.medium"))["processors of Group without credits"]
    assert (found.limit, found.used) == pytest.approx((6 * 2 * 0.2, PEAK * 1.8 / 3 * 0.06))
    assert "processors of Group without credits" not in of(fleet(6))


def test_connections_come_from_the_processes_that_the_load_keeps_busy() -> None:
    found = of({**fleet(12), "Alarm": OURS, "Database": DATABASE})["connections of Database"]
    processes = PEAK * 1.8 * 0.06 / 0.5
    assert found.used == pytest.approx(processes * 8)
    assert "192 with every host" in found.source  # 12 hosts, 2 processes each, 8 connections each


@pytest.mark.parametrize(
    ("beside", "primary", "copy"),
    [
        ({}, 1, None),
        ({"Cache": CACHE}, 0.05 + 0.95 * 0.15, None),
        ({"Copy": COPY}, 0.05, 1),
        ({"Copy": COPY, "Other": COPY, "Cache": CACHE}, 0.05, 0.05 + 0.95 * 0.15 / 2),
    ],
)
def test_caches_and_replicas_take_reads_from_the_primary(
    beside: dict[str, Any], primary: float, copy: float | None
) -> None:
    found = of({"Database": DATABASE, **beside})
    assert found["disk operations of Database"].used == pytest.approx(2 * PEAK * primary)
    assert found["disk throughput of Database"].used == pytest.approx(PEAK * primary * 10 / 1024)
    name = "disk operations of each replica of Database"
    if copy is None:
        assert name not in found
    else:
        assert found[name].used == pytest.approx(2 * PEAK * copy)


@pytest.mark.parametrize(
    ("properties", "operations", "throughput"),
    [
        ({}, 3_000, 125),
        ({"AllocatedStorage": "400"}, 12_000, 500),
        ({"Iops": 16_000, "StorageThroughput": 700}, 16_000, 700),
        ({"StorageType": "gp2"}, None, None),
    ],
)
def test_a_disk_gives_its_baseline_or_what_was_bought(
    properties: dict[str, Any], operations: int | None, throughput: int | None
) -> None:
    found = of({"Database": {**DATABASE, "Properties": {**DATABASE["Properties"], **properties}}})
    assert found["disk operations of Database"].limit == operations
    assert found["disk throughput of Database"].limit == throughput


def test_a_cache_holds_what_is_put_in_while_it_stays() -> None:
    found = of({"Alarm": OURS, "Cache": CACHE})["memory of Cache"]
    assert found.limit == pytest.approx(3 * 3_317_862_236 * 0.75 / 2**30)  # the copies of a shard hold the same
    assert found.used == pytest.approx(PEAK * 0.95 * 0.15 * 10 * 300 / 2**20)


def test_a_function_runs_as_often_at_once_as_events_come_while_one_is_worked_on() -> None:
    found = of(
        {
            "Topic": resource("AWS::SNS::Topic"),
            "Queue": resource("AWS::SQS::Queue"),
            "Told": resource(
                "AWS::SNS::Subscription",
                TopicArn={"Ref": "Topic"},
                Endpoint={"Fn::GetAtt": ["Queue", "Arn"]},
                FilterPolicy={"type": ["order.placed"]},
            ),
            "Function": resource("AWS::Lambda::Function", ReservedConcurrentExecutions=10),
            "Fed": resource(
                "AWS::Lambda::EventSourceMapping",
                EventSourceArn={"Fn::GetAtt": ["Queue", "Arn"]},
                FunctionName={"Ref": "Function"},
                ScalingConfig={"MaximumConcurrency": 4},
            ),
        }
    )
    orders = 50_000 * 0.05 / 86_400 * 3
    own, account = found["runs at once of Function"], found["functions at once of the account"]
    assert (own.limit, own.used) == pytest.approx((4, orders * 0.2))
    assert (account.limit, account.used) == pytest.approx((1_000, orders * 0.2))
    assert found["messages in flight of Queue"].limit == 120_000


def test_what_only_the_application_knows_is_unknown_for_other_people() -> None:
    found = of({"Host": HOST, "Database": DATABASE, "Cache": CACHE})
    names = ("processors of Host", "connections of Database", "memory of Cache", "connections to a node of Cache")
    assert {found[name].used for name in names} == {None}
    assert all(found[name].limit is not None for name in names)


def test_nobody_can_say_which_of_two_databases_is_asked() -> None:
    found = of({"Database": DATABASE, "Other": DATABASE})
    assert found["disk operations of Database"].used is None
    assert found["disk operations of Database"].share is None


def test_what_aws_sets_for_each_account_has_no_limit_here() -> None:
    found = of({"Mail": resource("AWS::SES::EmailIdentity")})["mails of Mail"]
    assert (found.limit, found.share, full_at(found, MODERATE)) == (None, None, None)
    assert found.used == pytest.approx(50_000 * 0.05 / 86_400 * 3)


# --- Our stages -------------------------------------------------------------------------------------------------------

FULL_FIRST = {
    1: ("processors of Server/Host without credits", 6_400),
    2: ("processors of Server/Host without credits", 6_400),
    3: ("requests of Fleet/Group", 32_000),
    4: ("requests of Fleet/Group", 115_200),
    5: ("runs at once of Analytics/Job/Function", 142_292),
}


@pytest.mark.parametrize("number", FULL_FIRST)
@pytest.mark.parametrize("profile", ["production", "sandbox"])
def test_each_stage_is_full_first_where_its_figures_say(
    profile: str, number: int, production: dict[int, Path], sandbox: dict[int, Path]
) -> None:
    found = capacity(system({"production": production, "sandbox": sandbox}[profile][number]), MODERATE)
    first = found.breaks_first
    assert first is not None
    name, users = FULL_FIRST[number]
    assert first.name == name
    assert full_at(first, MODERATE) == pytest.approx(users, rel=1e-4)
    assert found.ceilings[0] == first


def test_with_every_host_the_pools_of_each_stage_fit_into_its_database(production: dict[int, Path]) -> None:
    expected = {2: 16, 3: 96, 4: 192, 5: 408}  # as docs/shop.md says
    for number, most in expected.items():
        found = by_name(capacity(system(production[number]), MODERATE))["connections of Database/Primary"]
        assert f", {most} with every host that may run" in found.source
        assert found.limit is not None
        assert most * 1.2 < found.limit  # a rolling update adds a fifth


def test_the_cache_spares_the_database_most_of_its_reads(production: dict[int, Path]) -> None:
    name = "disk operations of each replica of Database/Primary"
    before, after = (by_name(capacity(system(production[number]), MODERATE))[name].used for number in (3, 4))
    assert before is not None
    assert after is not None
    assert after < before / 8


@settings(deadline=None)
@given(users=st.integers(1, 10_000_000), times=st.integers(2, 50))
def test_everything_that_is_used_grows_with_the_users(production: dict[int, Path], users: int, times: int) -> None:
    usage = replace(MODERATE, users_a_day=users, uploads_a_day=users // 100)
    more = replace(usage, users_a_day=users * times, uploads_a_day=users // 100 * times)
    few, many = (by_name(capacity(system(production[5]), each)) for each in (usage, more))
    assert {name: each.limit for name, each in few.items()} == {name: each.limit for name, each in many.items()}
    for name, each in few.items():
        used = many[name].used
        assert (used is None) == (each.used is None)
        if each.used is not None:
            assert used == pytest.approx(each.used * times, rel=1e-6)


def test_the_fullest_is_first_and_what_nobody_knows_is_last(production: dict[int, Path]) -> None:
    for folder in production.values():
        for usage in USAGES:
            shares = [each.share for each in capacity(system(folder), usage).ceilings]
            known = [share for share in shares if share is not None]
            assert known == sorted(known, reverse=True)
            assert shares[len(known) :] == [None] * (len(shares) - len(known))


def test_every_ceiling_has_a_name_of_its_own_and_says_where_it_comes_from(production: dict[int, Path]) -> None:
    for folder in production.values():
        found = capacity(system(folder), MODERATE).ceilings
        assert len({each.name for each in found}) == len(found)
        assert all(each.source and each.unit for each in found)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_values_of_any_shape_are_read_without_a_crash(production: dict[int, Path], data: st.DataObject) -> None:
    stacks = []
    for stack in system(production[5]).stacks:
        body = json.loads(json.dumps(stack.template))
        names = sorted(name for name in body.get("Resources", {}) if body["Resources"][name].get("Properties"))
        for name in data.draw(st.lists(st.sampled_from(names), max_size=12, unique=True)) if names else ():
            properties = body["Resources"][name]["Properties"]
            properties[data.draw(st.sampled_from(sorted(properties)))] = data.draw(st.sampled_from(JUNK))
        stacks.append(StackTemplate(stack.name, stack.role, body, region=stack.region))
    for ceiling in capacity(System(Assembly(tuple(stacks))), MODERATE).ceilings:
        assert ceiling.used is None or ceiling.used >= 0
        assert ceiling.limit is None or ceiling.limit >= 0


# --- Both sides -------------------------------------------------------------------------------------------------------


def ceiling(name: str, most: float | None, used: float | None) -> Ceiling:
    return Ceiling(name, most, "things", used, "by hand")


def risks(before: list[Ceiling], after: list[Ceiling]) -> list[Risk]:
    return [finding.risk for finding in compare(side(before), side(after))]


def test_the_same_twice_is_no_finding(production: dict[int, Path]) -> None:
    for folder in production.values():
        found = list(capacity(system(folder), MODERATE).ceilings)
        assert compare(side(found), side(found)) == []


def test_another_first_limit_is_told_with_the_users_at_which_it_is_full() -> None:
    [found] = compare(side([ceiling("a", 100, 50)]), side([ceiling("a", 400, 50), ceiling("b", 100, 25)]))
    assert found == Finding(
        Risk.ROUTINE,
        found.kind,
        "The first limit is b, 25 of 100 things, full at about 200,000 users a day; "
        "before, it was a, 50 of 100 things, full at about 100,000 users a day.",
    )


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([("a", 100, 50)], [("a", 40, 50)], [Risk.DANGER, Risk.ROUTINE]),  # shrinks below what is used
        ([("a", 40, 50)], [("a", 20, 50)], [Risk.NOTICE, Risk.ROUTINE]),  # was too small already
        ([("a", 40, 50)], [("a", 45, 50)], [Risk.ROUTINE]),  # still too small, but no worse
        ([("a", 100, 50)], [("b", 40, 50)], [Risk.NOTICE, Risk.ROUTINE]),  # something new does not carry it
        ([("a", 40, 50)], [("b", 45, 50)], [Risk.ROUTINE]),  # it never fitted
        ([("a", 100, 50)], [("a", 60, 50)], [Risk.ROUTINE]),  # smaller, and enough
        ([("a", 100, 50)], [("a", None, 50)], []),  # nobody knows
        ([], [], []),
    ],
)
def test_what_becomes_too_small_is_dangerous_only_when_it_fitted_before(
    before: list[tuple[str, float, float]], after: list[tuple[str, float, float]], expected: list[Risk]
) -> None:
    assert risks([ceiling(*each) for each in before], [ceiling(*each) for each in after]) == expected


def test_without_a_workload_nobody_says_how_many_users() -> None:
    [found] = compare(side([ceiling("a", 100, 50)], None), side([ceiling("b", 100, 25)], None))
    assert "users" not in found.text


# --- The rows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "cpus", "gib", "baseline"),
    [
        ("t4g.medium", 2, 4, 0.2),
        ("db.t4g.medium", 2, 4, 0.2),
        ("t3.2xlarge", 8, 32, 0.4),
        ("m7g.medium", 1, 4, 1),
        ("m7g.large", 2, 8, 1),
        ("db.r7g.2xlarge", 8, 64, 1),
        ("c7g.16xlarge", 64, 128, 1),
        ("m5.24xlarge", 96, 384, 1),
    ],
)
def test_a_size_has_what_aws_says(size: str, cpus: int, gib: int, baseline: float) -> None:
    has = machine(size)
    assert has is not None
    assert (has.cpus, has.gib, has.baseline) == (cpus, gib, baseline)


@pytest.mark.parametrize("size", ["", "<?>", "m5.medium", "z9.large", "m7g.huge", "m7g", "db.", "m7g.large.extra"])
def test_a_size_that_nobody_listed_is_unknown(size: str) -> None:
    assert machine(size) is None
    assert cache_bytes(size) is None


def test_every_limit_has_a_source_and_a_date() -> None:
    rows = json.loads(LIMITS.read_text(encoding="utf-8"))["limits"]
    for row in rows:
        assert row["value"] > 0
        assert re.match(r"\S+\.\S+/\S+$", row["source"])
        assert re.match(r"20\d\d(-\d\d){0,2}$", row["as_of"])
        assert limit(row["name"]).value == row["value"]
