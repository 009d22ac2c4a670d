"""Two sides of anything that is a template, and what changes between them: pure functions, no AWS, no CDK."""

from workbench.compare.comparison import compare, counted, failed, verdict
from workbench.compare.facts import facts
from workbench.compare.model import Comparison, Facts, Finding, Kind, Risk

__all__ = ["Comparison", "Facts", "Finding", "Kind", "Risk", "compare", "counted", "facts", "failed", "verdict"]
