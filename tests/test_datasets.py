"""The shipped golden data: written one at a time, and true to its own description."""

from __future__ import annotations

import json
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest
from rapidfuzz import fuzz, process

ROOT = Path(__file__).parent.parent
SIZES = {
    "support-simple": (300, 50),
    "order-extract": (200, 3),
    "review-sentiment": (200, 20),
    "support-complex": (120, 4),
}


def rows(name: str) -> list[dict[str, object]]:
    text = (ROOT / "datasets" / f"{name}.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def text_of(row: dict[str, object]) -> str:
    """The input's text as it is compared: lower case, single spaces."""
    assert isinstance(row["input"], dict)
    return " ".join(" ".join(map(str, row["input"].values())).lower().split())


@pytest.mark.parametrize("name", SIZES)
def test_a_shipped_set_has_its_size(name: str) -> None:
    assert (len(rows(name)), len(rows(f"{name}.examples"))) == SIZES[name]


@pytest.mark.parametrize("name", SIZES)
def test_no_two_texts_of_a_shipped_set_are_alike(name: str) -> None:
    texts = [text_of(row) for row in rows(name) + rows(f"{name}.examples")]
    ratios = process.cdist(texts, texts, scorer=fuzz.ratio, score_cutoff=90)
    alike = [(texts[i], texts[j]) for i, j in combinations(range(len(texts)), 2) if ratios[i, j]]
    assert alike == []


def test_the_near_duplicate_check_sees_a_changed_word() -> None:
    one, other = (
        "where is my parcel, it was due on monday",
        "where is my parcel, it was due on friday",
    )
    assert fuzz.ratio(one, other) > 90


def test_tickets_are_spread_over_queues_languages_and_lengths() -> None:
    cases = rows("support-simple")
    queues = Counter(case["expected"] for case in cases)
    assert queues.keys() == {"billing", "shipping", "technical", "account", "other"}
    assert min(queues.values()) >= 50
    assert sum(case["tags"]["language"] != "en" for case in cases) >= 20  # type: ignore[index]
    assert sum(bool(case.get("critical")) for case in cases) == 10
    for case in cases:
        length = len(case["input"]["ticket"])  # type: ignore[index]
        name = "short" if length < 80 else "medium" if length <= 240 else "long"
        assert case["tags"]["length"] == name, case["id"]  # type: ignore[index]


def test_an_order_number_stands_in_its_e_mail() -> None:
    for case in rows("order-extract"):
        assert case["expected"]["order_number"] in case["input"]["email"], case["id"]  # type: ignore[index]
