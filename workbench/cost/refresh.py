"""The price list read again from AWS's Price List API, with the credentials of whoever asks."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from workbench.cost.offers import EDGES, filters, offer
from workbench.cost.prices import GLOBAL, PRICES, Price

API_REGION = "us-east-1"  # the list of all regions is served from here
MODEL_REGION = "us-east-1"  # a new region gets the items that this one has
Asked = tuple[str, tuple[tuple[str, str], ...]]


class CannotRefresh(Exception):
    """The price list cannot be asked at all; nothing was changed."""


@dataclass(frozen=True)
class Refreshed:
    """What became of the list."""

    prices: tuple[Price, ...]
    changed: tuple[tuple[Price, Price], ...]  # old, new
    added: tuple[Price, ...]
    confirmed: int
    missing: tuple[tuple[Price, str], ...]  # left as they were, and why


class _NotFound(Exception):
    """AWS's list has no single answer for an item."""


def pricing_client() -> Any:
    """A client of the Price List API; CannotRefresh without one."""
    try:
        import boto3
        from botocore.exceptions import BotoCoreError
    except ImportError:
        raise CannotRefresh("boto3 is missing, which asks AWS for prices: pip install boto3") from None
    try:
        return boto3.client("pricing", region_name=API_REGION)
    except BotoCoreError as problem:
        raise CannotRefresh(_refused(problem)) from None


def _refused(problem: Exception) -> str:
    return f"AWS tells no prices: {problem}. Sign in first; the right to call pricing:GetProducts is enough."


def refresh(client: Any, prices: Iterable[Price], region: str | None = None) -> Refreshed:
    """Every price asked again; with `region` only those of one region, also such as it does not have yet."""
    from botocore.exceptions import BotoCoreError, ClientError

    prices = tuple(prices)
    known = {_identity(price): price for price in prices}
    answers: dict[Asked, list[Mapping[str, Any]]] = {}
    changed, added, missing, confirmed = [], [], [], 0
    for wanted in _wanted(prices, region):
        old = known.get(_identity(wanted))
        try:
            new = _found(client, wanted, answers)
        except _NotFound as problem:
            missing.append((wanted, str(problem)))
            continue
        except (BotoCoreError, ClientError) as problem:
            raise CannotRefresh(_refused(problem)) from None
        known[_identity(wanted)] = new
        if old is None:
            added.append(new)
        elif old.usd != new.usd:
            changed.append((old, new))
        else:
            confirmed += 1
    in_order = tuple(sorted(known.values(), key=lambda price: (price.service, price.region, price.item, price.above)))
    return Refreshed(in_order, tuple(changed), tuple(added), confirmed, tuple(missing))


def _identity(price: Price) -> tuple[str, str, str, float]:
    return (*price.place, price.above)


def _wanted(prices: tuple[Price, ...], region: str | None) -> Iterator[Price]:
    """What to ask for. Free allowances are not in AWS's list; they stay."""
    for price in prices:
        if price.usd and region in (None, price.region):
            yield price
    if region is not None and region not in (GLOBAL, *EDGES):
        there = {_identity(price) for price in prices}
        for price in prices:
            asked = replace(price, region=region)
            if price.usd and price.region == MODEL_REGION and _identity(asked) not in there:
                yield asked


def _found(client: Any, wanted: Price, answers: dict[Asked, list[Mapping[str, Any]]]) -> Price:
    place = offer(wanted)
    if place is None:
        raise _NotFound("nobody has said where AWS lists it")
    asked = place.code, filters(wanted, place)
    if asked not in answers:
        answers[asked] = list(_products(client, *asked))
    matching = [each for each in answers[asked] if place.matches(_attribute(each, "usagetype"))]
    tiers = {(usd, day): sku for each in matching for usd, day, sku in _tier(each, wanted.above)}
    amounts = {usd for usd, _ in tiers}
    if len(amounts) != 1:
        raise _NotFound("AWS lists none" if not amounts else f"AWS lists {len(amounts)} different ones")
    usd, day = max(tiers, key=lambda tier: tier[1])
    source = f"AWS Price List API, {place.code}, SKU {tiers[usd, day]}"
    amount = float(f"{usd * wanted.size * place.units:.10g}")  # as many digits as the API means
    return replace(wanted, usd=amount, as_of=day, confidence="high", source=source, note="")


def _products(client: Any, code: str, wanted: tuple[tuple[str, str], ...]) -> Iterator[Mapping[str, Any]]:
    conditions = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in wanted]
    request = {"ServiceCode": code, "Filters": conditions, "FormatVersion": "aws_v1"}
    while True:
        answer = client.get_products(**request)
        yield from (json.loads(product) for product in answer["PriceList"])
        if not answer.get("NextToken"):
            return
        request["NextToken"] = answer["NextToken"]


def _attribute(product: Mapping[str, Any], name: str) -> str:
    return str(product.get("product", {}).get("attributes", {}).get(name, ""))


def _tier(product: Mapping[str, Any], above: float) -> Iterator[tuple[float, str, str]]:
    """The price that holds above an amount, its day and the SKU; a tier without charge is an allowance, and skipped."""
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        tiers = sorted(
            (float(each.get("beginRange") or 0), float(each["pricePerUnit"]["USD"]))
            for each in term.get("priceDimensions", {}).values()
            if "USD" in each.get("pricePerUnit", {})
        )
        charged = [(begin, usd) for begin, usd in tiers if usd]
        reached = [usd for begin, usd in charged if begin <= above] or [usd for _, usd in charged[:1]]
        if reached:
            day = str(product.get("publicationDate") or term.get("effectiveDate") or "")[:10]
            yield reached[-1], day, str(product.get("product", {}).get("sku", "unknown"))


# --- The file ---------------------------------------------------------------------------------------------------------


def write(prices: Iterable[Price], path: Path = PRICES) -> None:
    """The list with these prices, one row a line, put in place of the old one in one step."""
    facts = json.loads(path.read_text(encoding="utf-8"))
    rows = ",\n".join(json.dumps(_row(price), ensure_ascii=False) for price in prices)
    text = (
        f'{{\n"about": {json.dumps(facts["about"])},\n"rows": [\n{rows}\n],\n'
        f'"by_use": {json.dumps(facts["by_use"], indent=1)},\n"free": {json.dumps(facts["free"], indent=1)}\n}}\n'
    )
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, path.stat().st_mode)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _row(price: Price) -> dict[str, Any]:
    """Without what is as it is anyway."""
    row = {each.name: getattr(price, each.name) for each in fields(price)}
    return {name: value for name, value in row.items() if value or name not in ("note", "above")}
