"""Two policies compared: what moved, in which words, and as Markdown that nothing breaks out of."""

from __future__ import annotations

from dataclasses import replace

import pytest
from policy.sample import POLICY

from calibrate.comparison import (
    COMMENT_LIMIT,
    CasesCompared,
    Comparison,
    Kind,
    Move,
    NotKnown,
    Row,
    WorkflowComparison,
    cases_sentence,
    compare,
    headline,
    inputs_sentence,
    markdown,
    notes,
    printable,
    rows,
    shortened,
    total_sentence,
    warnings,
)
from calibrate.comparison.markdown import quoted
from calibrate.policy import (
    Escalation,
    Override,
    Policy,
    PolicyPrice,
    Scale,
    ServingLimits,
    WorkflowPolicy,
)

ENTRY = POLICY.workflows["triage"]
HOSTILE = "a|b`c`<script>alert(1)</script>\n# x @team [l](http://e.example) \x1b[31m\u202e"


def policy(default: str | None = None, **workflows: WorkflowPolicy) -> Policy:
    return replace(POLICY, default=default, workflows=workflows)


def entry(**changes: object) -> WorkflowPolicy:
    """Return the sample's entry with other parts; those of its evidence by their own names."""
    evidence = {k: changes.pop(k) for k in list(changes) if hasattr(ENTRY.evidence, k)}
    return replace(ENTRY, evidence=replace(ENTRY.evidence, **evidence), **changes)  # type: ignore[arg-type]


def against(new: WorkflowPolicy | None, old: WorkflowPolicy | None = ENTRY) -> WorkflowComparison:
    before = policy() if old is None else policy(triage=old)
    (found,) = compare(before, policy() if new is None else policy(triage=new)).workflows
    return found


def told(found: WorkflowComparison) -> dict[str, tuple[str, str, str]]:
    return {row.label: (row.old, row.new, row.effect) for row in rows(found)}


def body(found: Comparison) -> str:
    return "".join(markdown(found))


def test_equal_policies_have_the_same_routes() -> None:
    found = compare(POLICY, POLICY)
    assert (found.same_routes, found.changed, found.moved) == (True, (), ())
    assert headline(found) == "The same routes for 1 workflow."
    assert body(found) == "**The same routes for 1 workflow.**\n"


def test_workflows_are_new_gone_and_moved_in_the_order_of_their_names() -> None:
    moved = entry(model="large", tier="frontier", fallbacks=())
    found = compare(policy(b=ENTRY, c=ENTRY, d=ENTRY), policy(a=ENTRY, c=moved, d=ENTRY))
    kinds = [(workflow.workflow, workflow.kind) for workflow in found.workflows]
    assert kinds == [("a", Kind.NEW), ("b", Kind.GONE), ("c", Kind.MOVED), ("d", Kind.SAME)]
    assert not found.same_routes
    assert headline(found) == "3 of 4 workflows routed differently: 1 moved, 1 new, 1 gone."


@pytest.mark.parametrize(
    ("changes", "move"),
    [
        ({"status": "unmet"}, Move("status", "certified", "unmet")),
        ({"tier": "tiny"}, Move("tier", "cheap", "tiny")),
        ({"fallbacks": ()}, Move("fallbacks", "large", None)),
        ({"over_context": None}, Move("over_context", "large", None)),
        (
            {"escalation": Escalation("label_margin", 0.6200001, "large")},
            Move("escalation", None, "to large where label_margin < 0.6200001"),
        ),
        (
            {"escalation": Escalation("sure", 0.5, "large", Scale("share", 0.0, 1.0))},
            Move("escalation", None, "to large where sure < 0.5 (share, 0 to 1)"),
        ),
        (
            {"limits": ServingLimits(16, None, 1234567.5)},
            Move("limits", "8 output tokens, 10 s", "16 output tokens, $1,234,567.5 a day"),
        ),
        (
            {"override": Override("large", "frontier", "ana", "an incident", "2030-01-31")},
            Move("override", None, "to large until 2030-01-31 (ana: an incident)"),
        ),
    ],
)
def test_every_part_of_a_route_moves_it(changes: dict[str, object], move: Move) -> None:
    found = against(entry(**changes))
    assert (found.kind, found.moves) == (Kind.MOVED, (move,))


@pytest.mark.parametrize(
    ("changes", "move", "answers"),
    [
        ({"name": "small-2"}, Move("name", "small-1", "small-2", "small"), True),
        (
            {"parameters": {"temperature": 1}},
            Move("parameters", '{"temperature": 0}', '{"temperature": 1}', "small"),
            True,
        ),
        (
            {"base_url": "https://b.example/v1"},
            Move("base_url", "http://127.0.0.1:9/v1", "https://b.example/v1", "small"),
            False,
        ),
    ],
)
def test_a_model_that_is_called_otherwise_moves_the_route(
    changes: dict[str, object], move: Move, answers: bool
) -> None:
    small = replace(POLICY.models["small"], **changes)  # type: ignore[arg-type]
    new = replace(POLICY, models={**POLICY.models, "small": small})
    found = compare(POLICY, new)
    (workflow,) = found.workflows
    assert (found.same_routes, workflow.moves) == (False, (move,))
    assert workflow.may_answer_otherwise is answers
    assert f"- `small`: {move.part.replace('_', ' ')}: `{move.old}` → `{move.new}`" in body(found)


def test_another_price_or_origin_moves_nothing() -> None:
    small = replace(POLICY.models["small"], price=PolicyPrice(input_usd_per_mtok=9.0), origin=None)
    new = replace(POLICY, models={**POLICY.models, "small": small})
    assert compare(POLICY, new).same_routes


def test_a_model_that_only_one_entry_names_is_not_compared() -> None:
    large = replace(POLICY.models["large"], name="large-2")
    new = replace(POLICY, models={**POLICY.models, "large": large})
    new = replace(new, workflows={"triage": entry(fallbacks=(), over_context=None)})
    (found,) = compare(POLICY, new).workflows
    assert [move.part for move in found.moves] == ["fallbacks", "over_context"]


def test_another_default_is_another_route() -> None:
    found = compare(policy(triage=ENTRY), policy("triage", triage=ENTRY))
    assert found.default == Move("default", None, "triage")
    assert not found.same_routes
    assert headline(found) == "0 of 1 workflow routed differently: another default."
    assert "Unknown names are served as: none → `triage`." in body(found)


def test_other_evidence_alone_moves_nothing_and_is_told() -> None:
    found = compare(policy(triage=ENTRY), policy(triage=entry(lower_bound=0.91)))
    assert (found.same_routes, [w.kind for w in found.changed]) == (True, [Kind.EVIDENCE])
    assert headline(found) == (
        "The same routes for 1 workflow. The evidence of 1 changed without moving it."
    )
    assert "| `triage` | evidence only |" in body(found)


def test_evidence_that_differs_in_no_figure_shown_says_so() -> None:
    text = "It differs in what is told of other models, or in how it was decided."
    assert notes(against(entry(rejected=()))) == (text,)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("prompt", "the prompt"),
        ("dataset", "the golden cases"),
        ("graders", "the graders"),
        ("models", "the candidate models"),
        ("prices", "the prices"),
        ("bar", "the bar or the seed"),
        ("procedure", "the procedure"),
    ],
)
def test_each_kind_of_input_is_named(kind: str, words: str) -> None:
    found = against(replace(ENTRY, inputs=replace(ENTRY.inputs, **{kind: "other"})))
    assert (found.kind, found.inputs) == (Kind.EVIDENCE, (kind,))
    assert inputs_sentence(found) == f"Changed: {words}."


def test_only_another_prompt_or_model_makes_cases_newly_fail() -> None:
    def asked(new: WorkflowPolicy) -> bool:
        return against(new).may_answer_otherwise

    assert asked(entry(model="large", fallbacks=()))
    assert asked(entry(escalation=Escalation("label_margin", 0.5, "large")))
    assert asked(replace(ENTRY, inputs=replace(ENTRY.inputs, prompt="other")))
    assert not asked(replace(ENTRY, inputs=replace(ENTRY.inputs, dataset="other")))
    assert not asked(entry(status="unmet"))
    assert not against(None).may_answer_otherwise


def test_figures_stand_beside_what_they_were() -> None:
    new = entry(
        estimate=0.95,
        lower_bound=0.88,
        cases_used=100,
        cost_usd_per_1k_requests=0.03,
        cost_basis="estimated",
        latency_p95_s=1.3,
        status="uncertified",
    )
    found = against(new)
    assert told(found) == {
        "model": ("small", "small", ""),
        "tier": ("cheap", "cheap", ""),
        "status": ("certified", "uncertified", ""),
        "quality": ("97.2 %", "95.0 %", ""),
        "lower bound": ("92.3 %", "88.0 %", "below the bar"),
        "bar": ("90.0 %", "90.0 %", ""),
        "cases used": ("143 of 300", "100 of 300", ""),
        "per 1,000 requests": ("$0.12", "~ $0.03", "75 % less"),
        "p95": ("800 ms", "1.3 s", "500 ms slower"),
    }
    assert notes(found) == ("~ estimated: never asked",)


def test_a_new_and_a_gone_route_have_one_side() -> None:
    assert told(against(ENTRY, None))["model"] == ("–", "small", "")
    assert told(against(ENTRY, None))["per 1,000 requests"] == ("–", "$0.12", "")
    assert told(against(None))["p95"] == ("800 ms", "–", "")
    assert told(against(None))["lower bound"] == ("92.3 %", "–", "")


@pytest.mark.parametrize(
    ("old", "new", "effect"),
    [
        (3.0, 3.3, "10 % more"),
        (3.0, 3.001, "about the same"),
        (0.0, 1.0, ""),
        (1.0, 0.001, "over 99 % less"),
    ],
)
def test_what_a_cost_becomes_is_said_in_a_share(old: float, new: float, effect: str) -> None:
    found = against(entry(cost_usd_per_1k_requests=new), entry(cost_usd_per_1k_requests=old))
    assert told(found)["per 1,000 requests"][2] == effect


def test_the_bound_describes_and_is_not_held_against_a_certified_route() -> None:
    assert told(against(entry(lower_bound=0.95)))["lower bound"][2] == "over the bar"
    assert told(against(entry(lower_bound=0.89)))["lower bound"][2] == ""
    assert told(against(entry(lower_bound=None)))["lower bound"][1:] == ("–", "")


def test_a_p95_of_too_few_calls_is_not_compared() -> None:
    assert told(against(entry(cases_used=19, passed=19, latency_p95_s=9.0)))["p95"] == (
        "800 ms",
        "–",
        "",
    )
    assert told(against(entry(latency_p95_s=0.5)))["p95"][2] == "300 ms quicker"


def test_stated_traffic_makes_it_money_a_day_and_a_month() -> None:
    cheaper = entry(cost_usd_per_1k_requests=0.06)
    found = compare(
        policy(a=ENTRY, b=ENTRY, c=ENTRY),
        policy(a=cheaper, b=ENTRY, d=ENTRY),
        {"a": 100_000, "c": 50_000, "d": 10_000},
    )
    by_name = {workflow.workflow: workflow for workflow in found.workflows}
    assert told(by_name["a"])["a day"] == ("$12.00", "$6.00", "")
    assert told(by_name["a"])["a month"] == ("$360", "$180", "")
    assert told(by_name["d"])["a month"] == ("–", "$36.00", "")
    assert "a day" not in told(by_name["b"])
    assert found.usd_per_day == (12.0, 6.0)
    sentence = "The traffic of 1 workflow costs $180 a month; before $360 (50 % less)."
    assert total_sentence(found) == sentence
    assert sentence in body(found)


def test_without_traffic_nothing_is_said_of_the_month() -> None:
    assert total_sentence(compare(POLICY, POLICY)) is None
    same = compare(POLICY, POLICY, {"triage": 1_000_000})
    assert total_sentence(same) == "The traffic of 1 workflow costs $3,600 a month, as before."


def test_a_certification_that_is_lost_is_a_warning() -> None:
    found = compare(policy(a=ENTRY, b=ENTRY), policy(a=entry(status="unmet"), b=ENTRY, c=ENTRY))
    assert warnings(found) == ["a"]
    assert "⚠️ No longer certified: `a`." in body(found)


def test_an_override_is_noted_beside_figures_that_are_not_its_own() -> None:
    override = Override("large", "frontier", "ana", "an incident", "2030-01-31")
    found = against(entry(override=override, lower_bound=0.95), entry(override=override))
    assert notes(found) == (
        "The figures are those of the model that was decided for, not the override's.",
    )


def test_newly_failing_cases_are_counted_and_folded() -> None:
    ids = tuple(f"c-{number}" for number in range(52))
    cases = CasesCompared(143, ids, ("c-90",), 2, notes=("OLD was decided on other cases.",))
    found = compare(POLICY, policy(triage=entry(model="large", fallbacks=())))
    text = body(found.with_cases({"triage": cases}))
    assert (
        "- 143 cases compared: 52 newly failing, 1 newly passing. Not compared: 2, without stored "
        "answers of both or not the same in both. OLD was decided on other cases.\n"
    ) in text
    assert "\n<details><summary>Newly failing: 52</summary>\n\n- `c-0`\n" in text
    assert "- `c-49`\n- and 2 more\n\n</details>\n" in text
    assert "\n<details><summary>Newly passing: 1</summary>\n\n- `c-90`\n\n</details>\n" in text


def test_of_a_mean_score_cases_score_lower() -> None:
    cases = CasesCompared(10, ("a",), (), 0, is_graded=True)
    assert cases_sentence(cases) == "10 cases compared: 1 scoring lower, 0 scoring higher."
    found = compare(POLICY, policy(triage=entry(model="large", fallbacks=())))
    text = body(found.with_cases({"triage": cases}))
    assert "<summary>Scoring lower: 1</summary>" in text
    assert "<summary>Scoring higher" not in text


def test_why_newly_failing_cases_are_not_known_is_said() -> None:
    found = compare(POLICY, policy(triage=entry(model="large", fallbacks=())))
    text = body(found.with_cases({"triage": NotKnown("no <answer> is stored")}))
    assert "- Newly failing: not known: `no <answer> is stored`\n" in text


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("gpt-5-mini", "`gpt-5-mini`"),
        ("a_b*c* <b>&", "`a_b*c* <b>&`"),
        ("a|b", "<code>a&#124;b</code>"),
        ("`x`", "<code>&#96;x&#96;</code>"),
        (" x", "<code> x</code>"),
        ("", "<code></code>"),
        ("a\nb\x1b\u202e", "`a?b??`"),
        ("@team|", "<code>&#64;team&#124;</code>"),
        ("x" * 300, f"`{'x' * 199}…`"),
    ],
)
def test_what_others_wrote_is_code(text: str, code: str) -> None:
    assert quoted(text) == code


def test_hostile_names_stay_in_their_cells() -> None:
    models = {**POLICY.models, HOSTILE: POLICY.models["large"]}
    moved = entry(model=HOSTILE, fallbacks=(), tier=HOSTILE)
    old = replace(POLICY, models=models, workflows={HOSTILE: ENTRY})
    new = replace(POLICY, models=models, workflows={HOSTILE: moved}, default=HOSTILE)
    cases = CasesCompared(1, (HOSTILE,), (), 0)
    text = body(compare(old, new).with_cases({HOSTILE: cases}))
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert [line.count("|") for line in table] == [9, 9, 9]
    for part in ("<script", "@team", "\n# ", "\x1b", "\u202e", "http://", "`c`", "[l]"):
        assert part not in text


def test_a_long_text_is_cut_where_it_is_shown() -> None:
    assert printable("é" * 200) == "é" * 200
    assert printable("é" * 201) == "é" * 199 + "…"


def test_a_comment_keeps_to_the_limit_and_says_what_it_lacks() -> None:
    names = [f"workflow-{number:04}" for number in range(1500)]
    found = compare(
        policy(**dict.fromkeys(names, ENTRY)),
        policy(**dict.fromkeys(names, entry(status="unmet"))),
    )
    whole = body(found)
    text = shortened(markdown(found))
    assert len(whole.encode()) > COMMENT_LIMIT >= len(text.encode()) > COMMENT_LIMIT - 300
    kept, note = text.split("\n\n_Shortened")
    assert whole.startswith(kept)
    assert note.startswith(" to what a comment can hold: ")
    assert note.endswith(" parts are left out; `calibrate diff --json` has all of it._\n")


def test_a_short_comment_is_left_as_it_is() -> None:
    assert shortened(["a\n", "b\n"], limit=4) == "a\nb\n"


def test_the_limit_counts_bytes_and_parts_are_never_split() -> None:
    parts = ["é" * 60, "x" * 30]
    assert shortened(parts, limit=150) == "".join(parts)
    text = shortened(parts, limit=149)
    assert text == (
        "\n\n_Shortened to what a comment can hold: 2 parts are left out; "
        "`calibrate diff --json` has all of it._\n"
    )


def test_a_comparison_is_deterministic() -> None:
    a, b = policy(x=ENTRY, y=ENTRY), policy(y=entry(status="unmet"), x=ENTRY)
    assert body(compare(a, b)) == body(compare(policy(y=ENTRY, x=ENTRY), b))


def test_rows_are_values_that_compare() -> None:
    assert rows(against(None))[0] == Row("model", "small", "–", is_quoted=True)
