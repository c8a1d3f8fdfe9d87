"""Golden cases, few-shot examples, and the seeded order in which cases are asked."""

from __future__ import annotations

from calibrate.dataset.cases import (
    Case,
    Example,
    clusters_of,
    load_cases,
    load_examples,
    seeded_order,
)

__all__ = [
    "Case",
    "Example",
    "clusters_of",
    "load_cases",
    "load_examples",
    "seeded_order",
]
