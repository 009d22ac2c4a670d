"""A comparison in every form that it is read in."""

from __future__ import annotations

import json

from workbench.compare.model import Comparison
from workbench.compare.scene import Scene, scene


def render(form: str, comparison: Comparison, *, longest: int) -> str:
    """The whole report in one of the forms that are not for the terminal. Each imports only what it needs."""
    match form:
        case "json":
            from workbench.report.compare.data import as_data

            return json.dumps(as_data(comparison), indent=2, ensure_ascii=False) + "\n"
        case "markdown":
            from workbench.report.compare.markdown import markdown
            from workbench.report.picture import mermaid

            return markdown(comparison, picture=mermaid(drawn(comparison)), longest=longest)
        case "mermaid":
            from workbench.report.picture import mermaid

            return mermaid(drawn(comparison))
        case "svg":
            from workbench.report.picture import standalone

            return standalone(drawn(comparison), title=title(comparison))
        case "html":
            from workbench.report.page import comparison_page

            return comparison_page(comparison)
    raise ValueError(form)


def drawn(comparison: Comparison) -> Scene:
    """The side after, with what is new, changed, replaced and removed since the side before."""
    changes = {change.key: change for change in comparison.resources}
    return scene(comparison.after.system, comparison.before.system, changes)


def title(comparison: Comparison) -> str:
    return f"From {comparison.before.label} to {comparison.after.label}"
