"""A policy to its file: the same bytes, and nobody else's entry touched."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy.sample import POLICY, TEXT, parsed

from calibrate.errors import OutputError, PolicyError
from calibrate.policy import (
    Attempt,
    Digests,
    Escalation,
    FallbackEvidence,
    Override,
    Policy,
    PolicyModel,
    PolicyOrigin,
    PolicyPrice,
    PriceStep,
    Rejected,
    Routes,
    Scale,
    ServingLimits,
    WorkflowPolicy,
    dump_policy,
    dump_routes,
    load_policy,
    load_routes,
    update_policy,
    write_policy,
)
from calibrate.policy.locking import locked
from calibrate.pricing import SteppedPrice, TokenPrice, policy_price

OLD = Path(__file__).parent / "old"


def test_the_bytes_of_a_policy_never_change() -> None:
    assert dump_policy(POLICY) == TEXT


def test_the_bytes_of_routes_never_change() -> None:
    assert dump_routes(POLICY) == (
        '{"version":1,"generated_by":"calibrate 0.1.0","models":{"large":{"endpoint":"openai",'
        '"kind":"openai","name":"large-1","method":"chat","context_window":1000},'
        '"small":{"endpoint":"local","kind":"openai","name":"small-1",'
        '"base_url":"http://127.0.0.1:9/v1","api_key_env":"LOCAL_KEY","method":"chat",'
        '"context_window":100,"parameters":{"temperature":0},'
        '"price":{"input_usd_per_mtok":0.1},"origin":{"verified":false,"note":"made at home"}}},'
        '"workflows":{"triage":{"status":"certified","tier":"cheap","model":"small",'
        '"fallbacks":["large"],"escalation":null,"over_context":"large",'
        '"limits":{"max_output_tokens":8,"timeout_s":10.0}}}}\n'
    )


TEXTS = st.text(max_size=12)
NAMES = st.text(min_size=1, max_size=12)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
USD = st.floats(0, 1e9)
RATES = (USD, USD, st.none() | USD, st.none() | USD)
STEPS = st.builds(PriceStep, st.integers(0, 10**7), *RATES)
PRICES = st.builds(PolicyPrice, *RATES, steps=st.lists(STEPS, max_size=2).map(tuple)) | st.builds(
    PolicyPrice, usd_per_hour=USD, concurrency=st.integers(1, 4096)
)
MODELS = st.builds(
    PolicyModel,
    endpoint=NAMES,
    kind=NAMES,
    name=NAMES,
    base_url=st.sampled_from([None, "https://a.example/v1", "http://[::1]:8080"]),
    api_key_env=st.none() | st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True),
    method=st.sampled_from(["chat", "nearest_example"]),
    context_window=st.none() | st.integers(1, 10**7),
    parameters=st.dictionaries(TEXTS, JSON, max_size=3),
    price=st.none() | PRICES,
    origin=st.none() | st.builds(PolicyOrigin, st.booleans(), TEXTS),
)
VERDICTS = st.sampled_from(["certified", "failed", "undecided"])
REJECTED = st.builds(
    Rejected,
    model=TEXTS,
    verdict=VERDICTS,
    reason=TEXTS,
    cases_used=st.integers(),
    estimate=st.none() | NUMBERS,
    lower_bound=st.none() | NUMBERS,
    upper_bound=st.none() | NUMBERS,
)
FALLBACKS = st.builds(
    FallbackEvidence,
    model=TEXTS,
    down=st.lists(TEXTS, max_size=2).map(tuple),
    meets_bar=st.sampled_from(["certified", "undecided", "missed", "not_measured"]),
    cases=st.integers(),
    cost_usd_per_1k_requests=NUMBERS,
    cost_basis=st.sampled_from(["measured", "estimated"]),
    failed_calls=st.integers(),
    estimate=st.none() | NUMBERS,
    lower_bound=st.none() | NUMBERS,
    latency_p95_s=st.none() | NUMBERS,
    misses=st.lists(TEXTS, max_size=2).map(tuple),
)
SCALES = st.builds(Scale, TEXTS, st.none(), st.sampled_from([None, sys.float_info.max]))
ATTEMPTS = st.builds(Attempt, TEXTS, st.integers(), VERDICTS, TEXTS, TEXTS)
DAYS = st.dates().map(lambda day: day.isoformat())


@st.composite
def entries(draw: Any, models: dict[str, PolicyModel]) -> WorkflowPolicy:
    (base,) = POLICY.workflows.values()
    chosen, *others = draw(st.permutations(sorted(models)))
    other = st.sampled_from(others)
    alias = st.sampled_from(sorted(models))
    evidence = replace(
        base.evidence,
        bar=draw(st.dictionaries(TEXTS, JSON, max_size=3)),
        alpha_spent=draw(NUMBERS),
        estimate=draw(st.none() | NUMBERS),
        saving=draw(st.none() | NUMBERS),
        signature=draw(TEXTS),
        rejected=tuple(draw(st.lists(REJECTED, max_size=2))),
        family=draw(st.sampled_from([None, "holm", "bh"])),
        cases_to_settle=draw(st.none() | st.integers()),
        when_down=tuple(draw(st.lists(FALLBACKS, max_size=2))),
    )
    return replace(
        base,
        tier=draw(TEXTS),
        model=chosen,
        fallbacks=tuple(draw(st.lists(other, max_size=2, unique=True))),
        escalation=draw(
            st.none() | st.builds(Escalation, TEXTS, NUMBERS, other, st.none() | SCALES)
        ),
        over_context=draw(st.none() | other),
        limits=ServingLimits(
            draw(st.integers(1)),
            draw(st.none() | st.floats(0.001, 1e6)),
            draw(st.none() | st.floats(0, 1e9)),
        ),
        override=draw(st.none() | st.builds(Override, alias, TEXTS, TEXTS, TEXTS, DAYS)),
        digests=draw(st.none() | st.builds(Digests, TEXTS, TEXTS, TEXTS, TEXTS)),
        evidence=evidence,
        attempts=tuple(draw(st.lists(ATTEMPTS, max_size=2))),
    )


@st.composite
def policies(draw: Any) -> Policy:
    models = draw(st.dictionaries(TEXTS, MODELS, min_size=2, max_size=3))
    names = draw(st.lists(TEXTS, max_size=3, unique_by=str.casefold))
    return Policy(
        1,
        draw(TEXTS),
        default=draw(st.sampled_from([None, *names])),
        models=models,
        workflows={name: draw(entries(models)) for name in names},
    )


@settings(max_examples=40, deadline=None)
@given(policies())
def test_writing_and_reading_are_exact(tmp_path_factory: Any, policy: Policy) -> None:
    text = dump_policy(policy)
    assert parsed(text) == policy
    assert dump_policy(parsed(text)) == text
    folder = tmp_path_factory.getbasetemp()
    write_policy(folder / "exact.json", policy)
    assert load_policy(folder / "exact.json") == policy
    routes = dump_routes(policy)
    (folder / "routes.json").write_bytes(routes.encode())
    assert dump_routes(load_routes(folder / "routes.json")) == routes


@settings(max_examples=20, deadline=None)
@given(policies(), st.data())
def test_an_update_is_exact(tmp_path_factory: Any, policy: Policy, data: st.DataObject) -> None:
    """Splicing the old text of what stays gives the policy that was meant, whatever is in it."""
    path = tmp_path_factory.getbasetemp() / "spliced.yaml"
    write_policy(path, policy)
    changed = {
        name: data.draw(st.just(entry) | entries(policy.models))
        for name, entry in policy.workflows.items()
    }
    after = replace(policy, workflows=changed)
    assert update_policy(path, lambda _: after) == after
    assert load_policy(path) == after


def test_a_policy_file_is_replaced_and_read(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("old")
    write_policy(path, POLICY)
    assert load_policy(path) == POLICY
    assert load_policy(str(path)) == POLICY
    assert path.read_bytes() == TEXT.encode()
    assert [found.name for found in tmp_path.iterdir()] == ["p.yaml"]


def test_a_policy_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").mkdir()
    with pytest.raises(OutputError) as caught:
        write_policy(tmp_path / "p.yaml", POLICY)
    assert caught.value.problems == (f"{tmp_path / 'p.yaml'}: cannot be written: Is a directory",)
    assert [found.name for found in tmp_path.iterdir()] == ["p.yaml"]


def with_entry(name: str, policy: Policy, **changes: Any) -> Policy:
    entry = replace(POLICY.workflows["triage"], **changes)
    models = {**policy.models, **POLICY.models}
    return Policy(1, "test", models=models, workflows={**policy.workflows, name: entry})


@pytest.mark.parametrize("name", ["p.yaml", "p.json"])
def test_the_first_update_makes_the_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / "new" / name
    written = update_policy(path, lambda policy: with_entry("a", policy))
    assert load_policy(path) == written
    update_policy(path, lambda policy: with_entry("b", policy))
    assert list(load_policy(path).workflows) == ["a", "b"]
    assert [found.name for found in path.parent.iterdir()] == [name]


def test_an_update_leaves_the_text_of_other_entries_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    old = (OLD / "procedure-2.yaml").read_text()
    commented = old.replace("  support-complex:\n", "  support-complex:  # the slow queue\n")
    commented = commented.replace("    endpoint: minilm\n", "    endpoint: 'minilm'\n")
    path.write_text(commented)
    update_policy(
        path,
        lambda policy: replace(
            policy,
            generated_by="another",
            workflows={
                **policy.workflows,
                "order-extract": replace(policy.workflows["order-extract"], tier="dear"),
            },
        ),
    )
    expected = commented.replace("generated_by: calibrate 0.1.0", "generated_by: another")
    start, end = expected.index("  order-extract:"), expected.index("  review-sentiment:")
    text = path.read_text()
    assert text[:start] == expected[:start]
    assert text.endswith(expected[end:])
    assert "    tier: dear\n" in text[start : len(text) - len(expected[end:])]


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("over_context: large", "over_context: &it large").replace(
            "generated_by:", "default: triage\ngenerated_by:"
        ),
        "{" + TEXT[: TEXT.index("models:")].replace("\n", ",", 1).replace("\n", "}"),
        "# nothing yet\nversion: 1\ngenerated_by: me\nmodels: {}\nworkflows: {}\n",
    ],
)
def test_an_unusual_layout_is_updated_all_the_same(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    before = load_policy(path)
    after = update_policy(path, lambda policy: with_entry("other", policy, tier="dear"))
    assert load_policy(path) == after
    assert {**before.workflows, "other": after.workflows["other"]} == after.workflows


def test_an_alias_that_loses_its_anchor_is_written_out(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    second = TEXT[TEXT.index("  triage:") :].replace("  triage:", "  urgent:")
    text = TEXT.replace("    limits:\n", "    limits: &limits\n")
    second = second.replace(
        "    limits:\n      max_output_tokens: 8\n      timeout_s: 10.0\n", "    limits: *limits\n"
    )
    path.write_text(text + second)
    update_policy(path, lambda policy: with_entry("triage", policy, tier="dear"))
    policy = load_policy(path)
    assert policy.workflows["triage"].tier == "dear"
    assert policy.workflows["urgent"] == POLICY.workflows["triage"]


def test_a_change_that_fails_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(TEXT)

    def fail(policy: Policy) -> Policy:
        raise PolicyError("no")

    with pytest.raises(PolicyError, match="no"):
        update_policy(path, fail)
    path.write_text("[]")
    with pytest.raises(PolicyError, match="not a routing policy"):
        update_policy(path, lambda policy: policy)
    assert path.read_text() == "[]"
    assert [found.name for found in tmp_path.iterdir()] == ["p.yaml"]


def test_a_folder_that_cannot_hold_a_lock_is_told(tmp_path: Path) -> None:
    (tmp_path / ".p.yaml.lock").mkdir()
    with pytest.raises(OutputError, match=r"\.p\.yaml\.lock: cannot be locked: Is a directory"):
        update_policy(tmp_path / "p.yaml", lambda policy: policy)


WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from calibrate.policy import load_policy, update_policy

path, sample, name = Path(sys.argv[1]), load_policy(sys.argv[2]), sys.argv[3]
entry = sample.workflows["triage"]
print("ready", flush=True)
sys.stdin.readline()
for number in range(6):
    tier = f"{name}-{number}"
    update_policy(path, lambda policy: replace(
        policy,
        generated_by="test",
        models=sample.models,
        workflows={**policy.workflows, tier: replace(entry, tier=tier)},
    ))
"""


@pytest.fixture
def writers(tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Five processes that write six routes each into one policy, once they are told to start."""
    (tmp_path / "sample.yaml").write_text(TEXT)
    arguments = [str(tmp_path / "p.yaml"), str(tmp_path / "sample.yaml")]
    found = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, *arguments, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "abcde"
    ]
    yield found
    for writer in found:
        writer.kill()
        writer.communicate()


def test_processes_that_write_at_once_lose_no_route(
    tmp_path: Path, writers: list[subprocess.Popen[str]]
) -> None:
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    assert [writer.wait(60) for writer in writers] == [0] * 5
    policy = load_policy(tmp_path / "p.yaml")
    assert sorted(policy.workflows) == [f"{name}-{n}" for name in "abcde" for n in range(6)]
    assert all(name == entry.tier for name, entry in policy.workflows.items())
    assert sorted(found.name for found in tmp_path.iterdir()) == ["p.yaml", "sample.yaml"]


HOLDER = """
import sys, time
from pathlib import Path
from calibrate.policy.locking import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_lock_ends_with_the_process_that_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.communicate()
    assert (tmp_path / ".p.yaml.lock").exists()
    update_policy(path, lambda policy: with_entry("a", policy))
    assert [found.name for found in tmp_path.iterdir()] == ["p.yaml"]


WAITER = """
import sys
from pathlib import Path
from calibrate.policy import update_policy
try:
    print("waiting", flush=True)
    update_policy(Path(sys.argv[1]), lambda policy: policy)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such signal")
def test_waiting_for_a_lock_can_be_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    with locked(path):
        waiter = subprocess.Popen(
            [sys.executable, "-c", WAITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert waiter.stdout is not None
        assert waiter.stdout.readline() == "waiting\n"
        time.sleep(0.2)  # so that it waits, as a rule; the fact holds before that, too
        waiter.send_signal(signal.SIGINT)
        assert waiter.communicate(timeout=60) == ("interrupted\n", None)
    assert not path.exists()


def test_the_routes_of_routes_are_the_same() -> None:
    routes = Routes(1, "x", models=POLICY.models, workflows=POLICY.workflows)
    assert dump_routes(routes) == dump_routes(replace(POLICY, generated_by="x"))


def test_a_price_in_steps_is_read_back_as_it_was_written() -> None:
    first = TokenPrice(Decimal(1), Decimal(2))
    price = policy_price(SteppedPrice(first, ((200_000, TokenPrice(Decimal(2), Decimal(4))),)))
    policy = Policy(1, "x", models={"m": PolicyModel("e", "openai", "m", price=price)})
    text = dump_policy(policy)
    assert parsed(text) == policy
