"""The contract: every rule asked about one move."""

from __future__ import annotations

from workbench.templates import Assembly
from workbench.transition import deployment_rules, state_rules
from workbench.transition.allowances import ALLOWANCES
from workbench.transition.rule import Allowance, Direction, Move, Rule, RuleReport, apply

# By number. Rules 13 and 14 are about all moves together, so they are asked where all moves are made.
RULES: tuple[Rule, ...] = tuple(sorted((*state_rules.RULES, *deployment_rules.RULES), key=lambda rule: rule.id))


def contract(
    before: Assembly,
    after: Assembly,
    *,
    direction: Direction,
    protected: bool,
    allowances: tuple[Allowance, ...] = ALLOWANCES,
) -> tuple[RuleReport, ...]:
    """What each rule that applies says about deploying `after` over `before`."""
    move = Move(before, after, direction, protected)
    return tuple(apply(rule, move, allowances) for rule in RULES if rule.applies(move))
