"""The price list says where it comes from, bills tier by tier, and is read again from AWS without losing a row."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import NoCredentialsError, ProfileNotFound
from botocore.stub import Stubber

from workbench.cost import PRICES, Price, prices
from workbench.cost.offers import OFFERS, Offer, filters, offer
from workbench.cost.prices import every, tiers
from workbench.cost.refresh import CannotRefresh, pricing_client, refresh, write
from workbench.report.cost import refreshed

# --- The list ---------------------------------------------------------------------------------------------------------


def test_every_row_says_where_and_when_it_was_read() -> None:
    for price in every():
        assert price.source
        assert re.fullmatch(r"20\d\d(-\d\d(-\d\d)?)?", price.as_of), price
        assert price.confidence in {"high", "medium", "derived-medium", "derived-low"}


def test_no_two_rows_are_the_same_and_they_stand_in_order() -> None:
    order = [(price.service, price.region, price.item, price.above) for price in every()]
    assert order == sorted(order)
    assert len(order) == len(set(order))


def test_only_allowances_cost_nothing_and_say_so() -> None:
    free = [price for price in every() if price.usd == 0]
    assert {price.service for price in free} == {"CloudFront", "Data transfer"}
    assert all(price.note.startswith("free allowance") for price in free)


def test_the_tiers_of_an_item_share_a_unit_and_the_first_begins_at_nothing() -> None:
    for place, rows in prices().items():
        assert rows[0].above == 0, place
        assert len({price.unit for price in rows}) == 1, place


def row(usd: float, above: float = 0, unit: str = "GB") -> Price:
    return Price("S", "i", "r", unit, usd, "2026", "high", "somewhere", above=above)


@pytest.mark.parametrize(
    ("amount", "billed"),
    [(0, []), (50, [(0.0, 50)]), (100, [(0.0, 100)]), (300, [(0.0, 100), (0.09, 200)])],
)
def test_an_amount_is_billed_tier_by_tier(amount: float, billed: list[tuple[float, float]]) -> None:
    rows = (row(0.0), row(0.09, above=100), row(0.085, above=10_240))
    assert [(price.usd, quantity) for price, quantity in tiers(rows, amount)] == billed


def test_an_item_without_a_price_is_billed_in_no_tier() -> None:
    assert list(tiers((), 10)) == []


@pytest.mark.parametrize(
    ("unit", "amount", "quantity"),
    [
        ("hour", 3, 2190),
        ("LCU-hour", 0.5, 365),
        ("GB-month", 20, 20),
        ("1M requests", 3e6, 3),
        ("10k requests", 5_000, 0.5),
        ("1k requests", 2_000, 2),
        ("1000 emails", 500, 0.5),
        ("1M WRU", 1e6, 1),
        ("month", 1, 1),
    ],
)
def test_an_amount_becomes_a_quantity_of_the_unit_that_is_priced(unit: str, amount: float, quantity: float) -> None:
    assert row(1, unit=unit).quantity(amount) == pytest.approx(quantity)


def test_all_units_of_the_list_are_understood() -> None:
    counted = {price.unit.partition(" ")[0] for price in every() if price.unit[0].isdigit()}
    assert counted == {"1k", "1000", "10k", "1M"}
    assert all(price.size > 1 for price in every() if price.unit[0].isdigit())


# --- Reading it again -------------------------------------------------------------------------------------------------

NAT = Price("VPC", "NAT gateway", "us-east-1", "hour", 0.045, "2026-01-01", "medium", "a friend", note="old")
KEYS = Price("KMS", "requests", "us-east-1", "10k requests", 0.03, "2026-01-01", "high", "a friend")
OUT = Price("Data transfer", "out to the internet", "us-east-1", "GB", 0.09, "2026", "high", "a friend", above=100)
MAIL = Price("SES", "mail, Essentials plan", "us-east-1", "1000 emails", 0.16, "2026", "high", "a friend")


def product(usage_type: str, *dimensions: tuple[float, float], sku: str = "ABC", day: str = "2026-11-20") -> str:
    """One product as the API tells it: where each tier begins and what it costs."""
    return json.dumps(
        {
            "product": {"sku": sku, "attributes": {"usagetype": usage_type}},
            "publicationDate": f"{day}T00:00:00Z",
            "terms": {
                "OnDemand": {
                    f"{sku}.X": {
                        "effectiveDate": "2026-11-01T00:00:00Z",
                        "priceDimensions": {
                            f"{sku}.X.{number}": {
                                "beginRange": str(begin),
                                "pricePerUnit": {"USD": f"{usd:.10f}"},
                            }
                            for number, (begin, usd) in enumerate(dimensions)
                        },
                    }
                }
            },
        }
    )


class Pricing:
    """The Price List API with answers that a test gives it; an unexpected question is an error."""

    def __init__(self) -> None:
        self.client: Any = boto3.client(
            "pricing", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none"
        )
        self._stub = Stubber(self.client)
        self._stub.activate()

    def answers(self, asked: Price, *products: str, more: bool = False, token: str | None = None) -> None:
        place = offer(asked)
        assert place is not None
        request: dict[str, Any] = {
            "ServiceCode": place.code,
            "Filters": [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in filters(asked, place)],
            "FormatVersion": "aws_v1",
        }
        answer: dict[str, Any] = {"FormatVersion": "aws_v1", "PriceList": list(products)}
        self._stub.add_response(
            "get_products",
            answer | ({"NextToken": "more"} if more else {}),
            request | ({"NextToken": token} if token else {}),
        )

    def refuses(self) -> None:
        self._stub.add_client_error("get_products", "AccessDeniedException", "not allowed")

    def done(self) -> None:
        self._stub.assert_no_pending_responses()


@pytest.fixture
def pricing() -> Iterator[Pricing]:
    api = Pricing()
    yield api
    api.done()


def test_a_price_that_changed_is_taken_with_its_day_and_its_number(pricing: Pricing) -> None:
    pricing.answers(NAT, product("NatGateway-Hours", (0, 0.05)), product("NatGateway-Bytes", (0, 0.045)))
    result = refresh(pricing.client, [NAT])
    [(old, new)] = result.changed
    assert (old, new.usd, new.as_of, new.confidence, new.note) == (NAT, 0.05, "2026-11-20", "high", "")
    assert new.source == "AWS Price List API, AmazonEC2, SKU ABC"
    assert result.prices == (new,)


def test_a_price_that_stayed_is_dated_anew(pricing: Pricing) -> None:
    pricing.answers(NAT, product("USE1-NatGateway-Hours", (0, 0.045)))
    result = refresh(pricing.client, [NAT])
    assert (result.changed, result.confirmed) == ((), 1)
    assert result.prices[0].as_of == "2026-11-20"


def test_a_price_of_one_request_becomes_a_price_of_ten_thousand(pricing: Pricing) -> None:
    pricing.answers(KEYS, product("us-east-1-KMS-Requests", (0, 0), (20_000, 0.000003)))
    result = refresh(pricing.client, [KEYS])
    assert result.confirmed == 1


def test_the_tier_that_holds_above_the_amount_is_taken(pricing: Pricing) -> None:
    later = Price(*OUT.place, "GB", 0.085, "2026", "high", "a friend", above=10_240)
    tiers = ((0, 0.09), (10_240, 0.08), (51_200, 0.07))
    pricing.answers(OUT, product("DataTransfer-Out-Bytes", *tiers))  # asked once for both
    result = refresh(pricing.client, [OUT, later])
    assert {price.above: price.usd for price in result.prices} == {100: 0.09, 10_240: 0.08}


def test_an_answer_of_several_pages_is_read_to_its_end(pricing: Pricing) -> None:
    pricing.answers(NAT, product("NatGateway-Bytes", (0, 0.01)), more=True)
    pricing.answers(NAT, product("NatGateway-Hours", (0, 0.045)), token="more")
    assert refresh(pricing.client, [NAT]).confirmed == 1


@pytest.mark.parametrize(
    ("products", "why"),
    [
        ([], "AWS lists none"),
        ([product("Outposts-NatGateway-Hours", (0, 0.9))], "AWS lists none"),
        (
            [product("NatGateway-Hours", (0, 0.04)), product("NatGateway-Hours", (0, 0.05), sku="DEF")],
            "AWS lists 2 different ones",
        ),
    ],
)
def test_a_price_without_a_single_answer_stays_as_it_was_and_is_named(
    pricing: Pricing, products: list[str], why: str
) -> None:
    pricing.answers(NAT, *products)
    result = refresh(pricing.client, [NAT])
    assert result.prices == (NAT,)
    assert result.missing == ((NAT, why),)


def test_a_price_that_aws_does_not_list_in_this_form_stays_and_nobody_is_asked(pricing: Pricing) -> None:
    result = refresh(pricing.client, [MAIL])
    assert result.missing == ((MAIL, "nobody has said where AWS lists it"),)


def test_allowances_stay_and_nobody_is_asked(pricing: Pricing) -> None:
    free = Price(*OUT.place, "GB", 0.0, "2026", "high", "a friend")
    assert refresh(pricing.client, [free]).prices == (free,)


def test_a_new_region_gets_the_items_of_the_old_one(pricing: Pricing) -> None:
    asked = Price(*NAT.place[:2], "eu-central-1", "hour", 0.045, "2026", "medium", "a friend")
    pricing.answers(asked, product("EUC1-NatGateway-Hours", (0, 0.052)))
    result = refresh(pricing.client, [NAT], region="eu-central-1")
    assert [(price.region, price.usd) for price in result.added] == [("eu-central-1", 0.052)]
    assert NAT in result.prices


def test_a_new_region_without_an_answer_gets_no_price_of_another(pricing: Pricing) -> None:
    asked = Price(*NAT.place[:2], "eu-central-1", "hour", 0.045, "2026", "medium", "a friend")
    pricing.answers(asked)
    result = refresh(pricing.client, [NAT], region="eu-central-1")
    assert result.prices == (NAT,)
    assert [(price.region, why) for price, why in result.missing] == [("eu-central-1", "AWS lists none")]


def test_who_is_not_allowed_to_ask_is_told_so(pricing: Pricing) -> None:
    pricing.refuses()
    with pytest.raises(CannotRefresh, match=r"AccessDenied.*Sign in first; .*pricing:GetProducts"):
        refresh(pricing.client, [NAT])


def test_without_credentials_nothing_is_asked() -> None:
    class Nobody:
        def get_products(self, **_: object) -> None:
            raise NoCredentialsError

    with pytest.raises(CannotRefresh, match="Unable to locate credentials"):
        refresh(Nobody(), [NAT])


def test_a_profile_that_does_not_exist_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def client(*_: object, **__: object) -> None:
        raise ProfileNotFound(profile="work")

    monkeypatch.setattr(boto3, "client", client)
    with pytest.raises(CannotRefresh, match="work"):
        pricing_client()


def test_the_report_says_old_and_new_what_is_missing_and_whether_it_was_written(pricing: Pricing) -> None:
    pricing.answers(NAT, product("NatGateway-Hours", (0, 0.05)))
    text = refreshed(refresh(pricing.client, [NAT, MAIL]), dry_run=True)
    assert text.splitlines() == [
        "VPC, NAT gateway, us-east-1: 0.045 -> 0.05 USD a hour",
        "SES, mail, Essentials plan, us-east-1: not found, nobody has said where AWS lists it",
        "1 price changed, 0 new, 0 confirmed, 1 not found; nothing written",
    ]


# --- The file ---------------------------------------------------------------------------------------------------------


def test_writing_what_was_read_changes_no_byte(tmp_path: Path) -> None:
    copy = tmp_path / "prices.json"
    copy.write_bytes(PRICES.read_bytes())
    write(every(), copy)
    assert copy.read_bytes() == PRICES.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["prices.json"]


def test_a_write_that_fails_leaves_the_old_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "prices.json"
    copy.write_bytes(PRICES.read_bytes())

    def fails(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fails)
    with pytest.raises(OSError, match="disk full"):
        write([NAT], copy)
    assert copy.read_bytes() == PRICES.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["prices.json"]


# --- Where AWS lists what ---------------------------------------------------------------------------------------------


def test_aws_lists_every_item_but_one() -> None:
    assert {price.item for price in every() if price.usd and offer(price) is None} == {"mail, Essentials plan"}


def test_every_entry_of_the_table_is_an_item_of_the_list() -> None:
    assert set(OFFERS) <= {(price.service, price.item) for price in every()}


@pytest.mark.parametrize(
    ("usage_type", "matches"),
    [
        ("LCUUsage", True),
        ("USE1-LCUUsage", True),
        ("EU-LCUUsage", True),
        ("eu-west-1-LCUUsage", True),
        ("TS-USE1-LCUUsage", False),
        ("USE1-ReservedLCUUsage", False),
        ("USE1-Outposts-LCUUsage", False),
    ],
)
def test_a_usage_type_is_known_by_its_end_after_the_region(usage_type: str, matches: bool) -> None:
    assert Offer("AWSELB", "LCUUsage").matches(usage_type) is matches


def test_a_question_names_the_size_the_engine_and_the_place() -> None:
    database = next(price for price in every() if price.item == "db.m7g.large Multi-AZ (1 standby)")
    place = offer(database)
    assert place is not None
    assert dict(filters(database, place)) == {
        "databaseEngine": "PostgreSQL",
        "deploymentOption": "Multi-AZ",
        "instanceType": "db.m7g.large",
        "regionCode": "us-east-1",
    }
