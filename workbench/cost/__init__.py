"""What a system costs a month: named components, explicit usage, list prices with their source and date.

Prices by the hour are taken 730 times. Nothing is guessed: what has no price is unknown and counted, what is billed by
use and cannot be derived from the workload is named without a figure.
"""

from workbench.cost.estimate import Estimate, Line, Unpriced, estimate, standing_cost
from workbench.cost.prices import HOURS, PRICES, Price, prices

__all__ = ["HOURS", "PRICES", "Estimate", "Line", "Price", "Unpriced", "estimate", "prices", "standing_cost"]
