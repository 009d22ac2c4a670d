"""What a month may cost, and who hears of it before it does."""

from __future__ import annotations

from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_sns as sns
from constructs import Construct

# Spent: time is left to look. Forecast: at this pace the month will end above its limit.
NOTICES = (("ACTUAL", 80), ("FORECASTED", 100))


class Budget(Construct):
    """A monthly limit on the whole account: costs by tag stay at zero until someone activates the tag for billing."""

    def __init__(self, scope: Construct, construct_id: str, *, name: str, usd: float, alerts: sns.ITopic) -> None:
        super().__init__(scope, construct_id)
        self.budget = budgets.CfnBudget(
            self,
            "Budget",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_name=f"{name}-monthly",
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=usd, unit="USD"),
            ),
            notifications_with_subscribers=[
                budgets.CfnBudget.NotificationWithSubscribersProperty(
                    notification=budgets.CfnBudget.NotificationProperty(
                        notification_type=kind,
                        comparison_operator="GREATER_THAN",
                        threshold=percent,
                        threshold_type="PERCENTAGE",
                    ),
                    subscribers=[
                        budgets.CfnBudget.SubscriberProperty(subscription_type="SNS", address=alerts.topic_arn)
                    ],
                )
                for kind, percent in NOTICES
            ],
        )
