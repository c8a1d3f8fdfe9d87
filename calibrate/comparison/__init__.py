"""Two policies compared: routes, quality, money, time and cases; as records and as Markdown."""

from calibrate.comparison.markdown import COMMENT_LIMIT, markdown, shortened
from calibrate.comparison.policies import (
    CasesCompared,
    Comparison,
    Kind,
    Move,
    NotKnown,
    WorkflowComparison,
    compare,
)
from calibrate.comparison.wording import (
    Row,
    case_lists,
    cases_sentence,
    headline,
    inputs_sentence,
    notes,
    printable,
    rows,
    total_sentence,
    warnings,
)

__all__ = [
    "COMMENT_LIMIT",
    "CasesCompared",
    "Comparison",
    "Kind",
    "Move",
    "NotKnown",
    "Row",
    "WorkflowComparison",
    "case_lists",
    "cases_sentence",
    "compare",
    "headline",
    "inputs_sentence",
    "markdown",
    "notes",
    "printable",
    "rows",
    "shortened",
    "total_sentence",
    "warnings",
]
