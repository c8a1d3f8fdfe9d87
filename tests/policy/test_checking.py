"""What is wrong with a policy although each of its values is of the right type."""

from __future__ import annotations

import pytest
from policy.sample import TEXT, changed, parsed

from calibrate.errors import PolicyError

KEY = "sk-proj-abcdefghijklmnopqrstuvwx"
OVERRIDE = (
    "    override: {model: large, tier: frontier, owner: a, reason: b, expires: '2026-01-31'}\n"
)


def problems_of(text: str) -> tuple[str, ...]:
    with pytest.raises(PolicyError) as caught:
        parsed(text)
    return caught.value.problems


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "    model: small\n",
            "    model: smal\n",
            "p.yaml:29: workflows.triage.model: no model is called 'smal'; did you mean 'small'?",
        ),
        (
            "    - large\n",
            "    - larg\n",
            "p.yaml:31: workflows.triage.fallbacks[0]: no model is called 'larg'; "
            "did you mean 'large'?",
        ),
        (
            "over_context: large",
            "over_context: xl",
            "p.yaml:33: workflows.triage.over_context: no model is called 'xl'",
        ),
        (
            "over_context: large",
            "over_context: small",
            "p.yaml:33: workflows.triage.over_context: 'small' is the model whose window is too "
            "small",
        ),
        (
            "escalation: null",
            "escalation: {signal: label_margin, below: 0.6, to: xl}",
            "p.yaml:32: workflows.triage.escalation.to: no model is called 'xl'",
        ),
        (
            "escalation: null",
            "escalation: {signal: label_margin, below: 0.6, to: small}",
            "p.yaml:32: workflows.triage.escalation.to: 'small' escalates to itself",
        ),
        (
            "    - large\n",
            "    - small\n",
            "p.yaml:30: workflows.triage.fallbacks: 'small' falls back to itself",
        ),
        (
            "    - large\n",
            "    - large\n    - large\n",
            "p.yaml:30: workflows.triage.fallbacks: the same model stands there twice",
        ),
        (
            "max_output_tokens: 8",
            "max_output_tokens: -8",
            "p.yaml:35: workflows.triage.limits.max_output_tokens: must be at least 1, got -8",
        ),
        (
            "timeout_s: 10.0",
            "timeout_s: -1",
            "p.yaml:36: workflows.triage.limits.timeout_s: must be greater than 0, got -1",
        ),
        (
            "timeout_s: 10.0",
            "budget_usd_per_day: -0.5",
            "p.yaml:36: workflows.triage.limits.budget_usd_per_day: must not be negative, got -0.5",
        ),
        (
            "context_window: 1000",
            "context_window: 0",
            "p.yaml:9: models.large.context_window: must be at least 1",
        ),
        (
            "input_usd_per_mtok: 0.1",
            "input_usd_per_mtok: -0.1",
            "p.yaml:21: models.small.price.input_usd_per_mtok: must not be negative, got -0.1",
        ),
        (
            "input_usd_per_mtok: 0.1",
            "steps: [{above_input_tokens: 9, input_usd_per_mtok: -1, output_usd_per_mtok: 1}]",
            "p.yaml:21: models.small.price.steps[0].input_usd_per_mtok: must not be negative, "
            "got -1",
        ),
        (
            "input_usd_per_mtok: 0.1",
            "input_usd_per_mtok: cheap",
            "p.yaml:21: models.small.price.input_usd_per_mtok: expected a number, got 'cheap'",
        ),
        ("name: small-1", "name: ''", "p.yaml:13: models.small.name: is empty"),
        ("endpoint: local", "endpoint: ''", "p.yaml:11: models.small.endpoint: is empty"),
        (
            "api_key_env: LOCAL_KEY",
            f"api_key_env: {KEY}",
            "p.yaml:15: models.small.api_key_env: expected the name of an environment variable, "
            "never the key itself",
        ),
        (
            "api_key_env: LOCAL_KEY",
            "api_key_env: 0123 secret",
            "p.yaml:15: models.small.api_key_env: expected the name of an environment variable, "
            "never the key itself",
        ),
        (
            "api_key_env: LOCAL_KEY",
            "api_key_env: AKIAABCDEFGHIJKLMNOP",  # a name, but for what it is
            "p.yaml:15: models.small.api_key_env: expected the name of an environment variable, "
            "never the key itself",
        ),
        (
            "temperature: 0",
            f"api_key: {KEY}",
            "p.yaml:18: models.small.parameters: hold what looks like a key; keys stay in the "
            "environment",
        ),
        (
            "temperature: 0",
            "since: 2026-01-31",
            "p.yaml:18: models.small.parameters: since: a date is not plain JSON; put it in quotes",
        ),
        (
            "base_url: http://127.0.0.1:9/v1",
            "base_url: http://me:pass@127.0.0.1:9/v1",
            "p.yaml:14: models.small.base_url: a URL with credentials is refused; keys stay in the "
            "environment",
        ),
        (
            "base_url: http://127.0.0.1:9/v1",
            "base_url: file:///etc/passwd",
            "p.yaml:14: models.small.base_url: expected an http(s) URL",
        ),
        (
            "base_url: http://127.0.0.1:9/v1",
            "base_url: http://127.0.0.1:99999/v1",
            "p.yaml:14: models.small.base_url: expected an http(s) URL",
        ),
        (
            "generated_by: calibrate 0.1.0\n",
            "generated_by: calibrate 0.1.0\ndefault: triag\n",
            "p.yaml:3: default: no workflow is called 'triag'; did you mean 'triage'?",
        ),
        (
            "    evidence:\n",
            OVERRIDE.replace("large", "xl") + "    evidence:\n",
            "p.yaml:37: workflows.triage.override.model: no model is called 'xl'",
        ),
        *(
            (
                "    evidence:\n",
                OVERRIDE.replace("2026-01-31", day) + "    evidence:\n",
                "p.yaml:37: workflows.triage.override.expires: expected a day as YYYY-MM-DD, "
                f"got {day!r}",
            )
            for day in ("2026-02-30", "20260131", "soon", "2026-01-31T00:00:00")
        ),
    ],
)
def test_a_policy_that_contradicts_itself_is_refused(old: str, new: str, problem: str) -> None:
    assert problems_of(changed(old, new)) == (problem,)


def test_routes_that_differ_by_case_are_refused() -> None:
    entry = TEXT[TEXT.index("  triage:") :]
    text = TEXT + entry.replace("  triage:", "  Triage:")
    line = TEXT.count("\n") + 1
    assert problems_of(text) == (
        f"p.yaml:{line}: workflows.Triage: differs from 'triage' by case only; rename one of them",
    )


def test_an_override_that_can_be_followed_is_read() -> None:
    entry = parsed(changed("    evidence:\n", OVERRIDE + "    evidence:\n")).workflows["triage"]
    assert entry.override is not None
    assert (entry.override.model, entry.override.expires) == ("large", "2026-01-31")
