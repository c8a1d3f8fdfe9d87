"""Whatever a policy holds: a valid file, no crash, and every workflow in it or told of."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from exporters.golden import golden_file
from exporters.sample import chat_model, policy_of, workflow
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrate.errors import PolicyError
from calibrate.exporters import EXPORTERS, export_policy
from calibrate.exporters.naming import public_name, workflow_of
from calibrate.policy import Escalation, Policy, PolicyPrice, ServingLimits

TEXT = st.text(max_size=12) | st.sampled_from(
    ["a/b", "1e3", "null", "$HOME ${X}", "{{ env }}", "'\"\\]]--", "x: 1\n- y", "\u2028", "*"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-10, 10) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
USD = st.floats(0, 1000)
PRICES = st.one_of(
    st.none(),
    st.builds(PolicyPrice, input_usd_per_mtok=USD, output_usd_per_mtok=USD),
    st.builds(PolicyPrice, input_usd_per_mtok=USD, cached_input_usd_per_mtok=st.none() | USD),
    st.builds(PolicyPrice, usd_per_hour=USD, concurrency=st.just(4)),
)
MODELS = st.builds(
    chat_model,
    kind=st.sampled_from(["openai", "openai", "anthropic", "smoke"]),
    name=TEXT,
    base_url=st.sampled_from([None, "http://127.0.0.1:1/v1", "https://openrouter.ai/api/v1"]),
    api_key_env=st.sampled_from([None, "OPENAI_API_KEY", "_k9"]),
    method=st.sampled_from(["chat", "chat", "chat", "nearest_example"]),
    context_window=st.none() | st.integers(1, 10**7),
    parameters=st.dictionaries(TEXT, JSON, max_size=3),
    price=PRICES,
)
LIMITS = st.builds(
    ServingLimits,
    max_output_tokens=st.integers(1, 10**6),
    timeout_s=st.none() | st.floats(1e-6, 1e6),
    budget_usd_per_day=st.none() | st.floats(0, 1e6),
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    models = draw(st.dictionaries(TEXT, MODELS, min_size=1, max_size=4))
    alias = st.sampled_from(sorted(models))

    def routes() -> st.SearchStrategy[Any]:
        signals = st.sampled_from(["answer_logprob", "label_margin"])
        escalation = st.builds(Escalation, signal=signals, below=st.floats(-9, 9), to=alias)
        return st.builds(
            workflow,
            alias,
            fallbacks=st.lists(alias, unique=True, max_size=3).map(tuple),
            escalation=st.none() | escalation,
            over_context=st.none() | alias,
            limits=LIMITS,
        )

    workflows = draw(st.dictionaries(TEXT, routes(), min_size=1, max_size=4))
    return policy_of(models, workflows)


def documents(gateway: str, text: str) -> list[Any]:
    if golden_file(gateway).suffix == ".json":
        return [json.loads(text)]
    return list(yaml.load_all(text, Loader=yaml.CSafeLoader))


@pytest.mark.parametrize("gateway", EXPORTERS)
@settings(max_examples=25, deadline=None)
@given(policy=policies())
def test_any_policy_gives_a_valid_file_or_a_reason(gateway: str, policy: Policy) -> None:
    try:
        exported = export_policy(gateway, policy)
    except PolicyError:
        with pytest.raises(PolicyError) as caught:
            export_policy(gateway, policy)
        assert all(problem.isprintable() for problem in caught.value.problems)
        return
    assert all(documents(gateway, exported.text))
    assert exported.text.encode().decode() == exported.text
    assert all(str(note).isprintable() for note in exported.notes)
    assert export_policy(gateway, policy).text == exported.text
    for name in policy.workflows:
        if name not in exported.left_out:
            assert carries(gateway, exported.text, name)


def carries(gateway: str, text: str, name: str) -> bool:
    """Return whether a file has the route that clients ask for as this workflow."""
    public = public_name(name)
    if gateway == "json":
        return name in json.loads(text)["workflows"]
    assert public is not None
    assert workflow_of(public) == name
    quoted = rf"(?<![A-Za-z0-9\-._%]){re.escape(public)}(?![A-Za-z0-9\-._%])"
    body = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return re.search(quoted, body) is not None
