"""Pictures of systems and of what changes between two of them: SVG for pages and files, Mermaid for pull requests."""

from workbench.report.picture.mermaid import mermaid
from workbench.report.picture.svg import STYLE, standalone, svg
from workbench.report.picture.symbols import symbols

__all__ = ["STYLE", "mermaid", "standalone", "svg", "symbols"]
