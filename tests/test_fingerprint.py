"""Digests that do not depend on key order, platform or Python version."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrate.fingerprint import (
    canonical_bytes,
    digest,
    digest_of_rows,
    json_problem,
    seeded_order_key,
)

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)

ORDER_OF_SEED_7 = [f"case-{number}" for number in (4, 1, 6, 7, 0, 3, 2, 5)]


def test_the_canonical_bytes_of_a_value_never_change() -> None:
    value = {"b": [1, 1.0, 2.5, True, None], "a": {"ä": 'quote " and \n'}, "c": Decimal("0.10")}
    assert canonical_bytes(value) == (
        '{"a":{"ä":"quote \\" and \\n"},"b":[1,1,2.5,true,null],"c":"0.1"}'.encode()
    )


def test_the_digest_of_a_value_never_changes() -> None:
    assert digest({"a": 1}) == (
        "sha256:015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
    )


def test_key_order_and_the_spelling_of_a_number_do_not_matter() -> None:
    assert digest({"a": 1, "b": 2.0}) == digest({"b": 2, "a": 1.0})
    assert digest([Decimal("1E+2")]) == digest([Decimal("100.00")])
    assert digest([-0.0]) == digest([0])


def test_text_and_number_truth_and_one_are_different() -> None:
    assert len({digest(value) for value in (1, "1", True, [1], None, {}, [])}) == 7


def test_nan_has_no_canonical_bytes() -> None:
    with pytest.raises(ValueError, match="Out of range float values"):
        canonical_bytes(float("nan"))


def test_the_seeded_order_of_some_ids_never_changes() -> None:
    identifiers = [f"case-{number}" for number in range(8)]
    assert sorted(identifiers, key=lambda name: seeded_order_key(7, name)) == ORDER_OF_SEED_7
    assert sorted(identifiers, key=lambda name: seeded_order_key(8, name)) != ORDER_OF_SEED_7


@settings(deadline=None)
@given(TREES)
def test_what_has_no_problem_has_canonical_bytes(tree: object) -> None:
    if json_problem(tree) is None:
        assert canonical_bytes(tree) == canonical_bytes(tree)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"a": [1, "x", None, True, 0.5]}, None),
        ({"a": [0, float("nan")]}, "a[1]: not a finite number"),
        ({"a": {"b": float("inf")}}, "a.b: not a finite number"),
        ({"a": {1: "x"}}, "a: a key must be a text; put it in quotes"),
        ("\ud800", "not Unicode text: it holds half of a surrogate pair"),
        ({"\ud800": 1}, "a key: not Unicode text: it holds half of a surrogate pair"),
        ([b"x"], "[0]: a bytes is not plain JSON; put it in quotes"),
    ],
)
def test_json_problem_says_where_and_why(value: object, problem: str | None) -> None:
    assert json_problem(value) == problem


def test_deep_nesting_is_a_problem_and_not_a_crash() -> None:
    value: list[object] = []
    for _ in range(50_000):
        value = [value]
    assert json_problem(value) == "nested more than 100 levels deep"


@pytest.mark.parametrize("rows", [[], [{"b": 1.0, "a": "é"}], [1, None, [2.5, {}]]])
def test_the_digest_of_rows_is_that_of_their_list(rows: list[Any]) -> None:
    assert digest_of_rows(iter(rows)) == digest(rows)
