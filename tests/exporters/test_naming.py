"""The names that clients ask for, and names of Kubernetes objects."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrate.exporters.naming import LONGEST, kubernetes_name, public_name, workflow_of


@pytest.mark.parametrize(
    ("workflow", "name"),
    [
        ("support-simple", "support-simple"),
        ("v1.2_A", "v1.2_A"),
        ("draft/reply", "draft%2Freply"),
        ("a::long", "a%3A%3Along"),
        ("*", "%2A"),
        ("a,b", "a%2Cb"),
        ("~x", "%7Ex"),
        ("100%", "100%25"),
        ("priorité", "priorit%C3%A9"),
        (" a\n", "%20a%0A"),
        ("", None),
        ("x" * (LONGEST + 1), None),
        ("é" * 40, None),
        ("\ud800", None),
    ],
)
def test_what_is_no_letter_digit_or_plain_sign_is_encoded(workflow: str, name: str | None) -> None:
    assert public_name(workflow) == name


@given(st.text(max_size=40))
def test_a_public_name_leads_back_to_its_workflow(workflow: str) -> None:
    name = public_name(workflow)
    if name is not None:
        assert re.fullmatch(r"[A-Za-z0-9\-._%]+", name)
        assert workflow_of(name) == workflow


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("support-simple", "support-simple"),
        ("a", "a"),
        ("Draft%2FReply", "draft-2freply-781e994916"),
        ("-", "3973e022e9"),
    ],
)
def test_a_kubernetes_name_is_kept_or_slugged_with_a_digest(text: str, name: str) -> None:
    assert kubernetes_name(text) == name


@given(st.text())
def test_a_kubernetes_name_is_valid_and_stays_apart(text: str) -> None:
    name = kubernetes_name(text)
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", name)
    # Its own name is another's only if that is the text itself.
    assert name == text or kubernetes_name(name) != name
