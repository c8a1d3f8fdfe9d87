from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from calibrate.certificate import policy_entry
from calibrate.client import Source
from calibrate.completion import Failure
from calibrate.dataset import Case
from calibrate.gate import Outcome, Reason
from calibrate.policy import Policy
from calibrate.report.excerpt import Excerpt, excerpt, one_line, visible
from calibrate.report.index import build_index, page_file
from calibrate.report.view import Page, build_page
from calibrate.words import headline, why

Make = Callable[..., Any]


def page_of(sample: Any) -> Page:
    return build_page(sample.calibration, sample.project)


def case(identifier: str, expected: Any = "billing", **more: Any) -> Case:
    return Case(identifier, {"ticket": f"about {identifier}"}, expected, **more)


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_the_top_of_a_page_is_the_decision_in_words_and_four_figures(certified: Any) -> None:
    page = page_of(certified)
    assert (page.badge.shape, page.badge.text) == ("good", "Certified")
    assert plain(page.headline) == headline(certified.calibration)
    # 41 of the 43 cases used passed; 100 x $1/M + 2 x $2/M = $0.000104 a request
    assert [(f.label, f.value) for f in page.figures] == [
        ("Pass rate", "95.3 %"),
        ("Cost per 1,000 requests", "$0.10"),
        ("Saving", page.figures[2].value),
        ("Latency, p95", "250 ms"),
    ]
    assert plain(page.figures[0].note) == "lower bound 82.9 %, bar 80.0 %; 43 of 60 cases used"
    assert page.figures[2].note.endswith("estimated")
    assert "The saving is against an estimate: the baseline was not asked." in page.doubts


def test_a_line_never_ends_between_a_number_and_its_unit(certified: Any) -> None:
    page = page_of(certified)
    assert " %" not in page.headline + page.promise + "".join(page.bar)


VERDICTS: dict[tuple[Outcome, Reason], dict[str, Any]] = {
    (Outcome.CERTIFIED, Reason.QUALITY): {"answers": {"small": 0}},
    (Outcome.FAILED, Reason.QUALITY): {"answers": {"small": 1}},
    (Outcome.UNDECIDED, Reason.FUTILITY): {"answers": {"small": 8}},
    (Outcome.UNDECIDED, Reason.EXHAUSTED): {"answers": {"small": 0}, "cases": [case("a")]},
    (Outcome.UNDECIDED, Reason.OPEN): {"answers": {"small": 0}, "asked": 9},
    (Outcome.UNDECIDED, Reason.OUTAGE): {"answers": {"small": "outage"}},
    (Outcome.UNDECIDED, Reason.NOT_ASKED): {"answers": {}},
    (Outcome.FAILED, Reason.LATENCY): {
        "answers": {"small": 0},
        "bar": {"pass_rate": 0.8, "latency_p95_s": 0.1},
    },
    (Outcome.FAILED, Reason.SLICE): {
        "answers": {"small": 4},  # every fourth case is German
        "bar": {"pass_rate": 0.7, "slices": {"language": 0.9}},
    },
    (Outcome.UNDECIDED, Reason.SLICE): {
        "answers": {"small": 0},
        "bar": {"pass_rate": 0.8, "slices": {"language": 0.9}},
    },
    (Outcome.FAILED, Reason.CRITICAL): {
        "answers": {"small": "other"},
        "cases": [case(f"c-{i}", critical=True) for i in range(7)],
        "bar": {"pass_rate": 0.8, "critical": "must_pass"},
    },
}


STOPS = {
    (Outcome.CERTIFIED, Reason.QUALITY): ("22 of 60", "certified"),
    (Outcome.FAILED, Reason.QUALITY): ("4 of 60", "below the bar"),
    (Outcome.UNDECIDED, Reason.FUTILITY): ("33 of 60", "futile"),
    (Outcome.UNDECIDED, Reason.EXHAUSTED): ("1 of 1", "cases ran out"),
    (Outcome.UNDECIDED, Reason.OPEN): ("9 of 60", "still open"),
    (Outcome.UNDECIDED, Reason.OUTAGE): ("4 of 60", "failed calls"),
    (Outcome.UNDECIDED, Reason.NOT_ASKED): ("0 of 60", ""),
    (Outcome.FAILED, Reason.LATENCY): ("22 of 60", "too slow"),
    (Outcome.FAILED, Reason.SLICE): ("9 of 60", "slice below floor"),
    (Outcome.UNDECIDED, Reason.SLICE): ("13 of 60", "slice undecided"),
    (Outcome.FAILED, Reason.CRITICAL): ("7 of 7", "critical cases"),
}


@pytest.mark.parametrize("kind", VERDICTS, ids=lambda kind: f"{kind[0]}-{kind[1]}")
def test_every_kind_of_verdict_has_a_row_with_its_reason(
    kind: tuple[Outcome, Reason], calibrated: Make, outage: Failure
) -> None:
    changes = dict(VERDICTS[kind])
    answers = {
        model: outage if given == "outage" else given
        for model, given in changes.pop("answers").items()
    }
    made = calibrated(answers, **changes)
    verdict = made.calibration.verdicts[0]
    assert (verdict.outcome, verdict.reason) == kind
    row = page_of(made).candidates[0]
    assert row.badge.text == ("not asked" if kind[1] is Reason.NOT_ASKED else kind[0].value)
    assert plain(row.why) == why(verdict, made.calibration)
    assert (row.used, row.stopped) == STOPS[kind]


def test_a_plan_may_end_before_the_cases_do(calibrated: Make) -> None:
    made = calibrated({"small": 0}, cases=[case("a")])
    first, *others = made.calibration.verdicts
    verdicts = (replace(first, cases=300), *others)
    row = build_page(replace(made.calibration, verdicts=verdicts), made.project).candidates[0]
    assert (row.used, row.stopped) == ("1 of 300", "plan ended")


def test_what_rests_on_more_cases_than_the_verdicts_says_on_how_many(calibrated: Make) -> None:
    page = page_of(calibrated({"small": 1, "medium": 30, "large": 0}))
    assert page.unused.endswith(
        "every answer: small 60, of which 0 pass (verdict: 4); "
        "medium 60, of which 58 pass (verdict: 43); large 60, of which 60 pass (verdict: 0)."
    )
    assert [(r.passed, r.failed_calls) for r in page.candidates] == [
        ("0/4", "0"),
        ("41/43", "0"),
        ("–", "–"),
    ]
    assert [row.calls for row in page.latency] == ["60", "60", "60"]
    assert [table.cases for table in page.confusions] == ["60", "60", "60"]
    assert page.tags[0].models == (("small", "60"), ("medium", "60"), ("large", "60"))


def test_a_run_that_stops_at_its_verdicts_has_no_other_cases(calibrated: Make) -> None:
    page = page_of(calibrated({"small": 1, "medium": 30, "large": 0}, stops=True))
    assert page.unused == ""
    assert [row.calls for row in page.latency] == ["4", "43"]
    assert page.tags[0].models == (("small", "4"), ("medium", "43"))


def test_a_model_asked_for_the_report_alone_is_not_said_to_be_unasked(calibrated: Make) -> None:
    page = page_of(calibrated({"small": 0, "medium": 0, "large": 0}))
    assert page.candidates[1].badge.text == "not needed"
    assert page.candidates[1].why.startswith("an earlier model is certified")
    assert page.frontier.without == ("medium (not needed)", "large (not needed)")
    assert not any("not asked" in doubt for doubt in page.doubts)
    assert any("no verdict needed the baseline's answers" in doubt for doubt in page.doubts)
    page = page_of(calibrated({"small": 0}))
    assert page.frontier.without == ("medium (not asked)", "large (not asked)")


def test_all_candidates_stand_in_the_order_in_which_they_are_tried(certified: Any) -> None:
    rows = page_of(certified).candidates
    assert [(r.model, r.tier, r.role) for r in rows] == [
        ("small", "cheap", ""),
        ("medium", "balanced", "route"),
        ("large", "frontier", "baseline, fallback"),
    ]
    assert [(r.passed, r.estimate, r.latency, r.failed_calls) for r in rows] == [
        ("1/6", "16.7 %", "–", "0"),
        ("41/43", "95.3 %", "250 ms", "0"),
        ("–", "–", "–", "–"),
    ]
    assert page_of(certified).served == (("small", "small-1"), ("medium", "medium-1"))
    assert [r.cost_basis for r in rows] == ["measured", "measured", "estimated"]
    assert page_of(certified).alpha == "0.015"  # 0.05 / 3


def test_models_that_are_no_candidates_are_listed_with_the_reason(certified: Any) -> None:
    (out,) = page_of(certified).outsiders
    assert out.model == "nearest"
    assert "examples" in out.why


def test_an_unverified_origin_is_a_warning_and_a_verified_one_a_note(calibrated: Make) -> None:
    page = page_of(calibrated({"small": 0}))
    assert [(o.model, o.verified) for o in page.origins] == [("small", False), ("medium", True)]
    assert [r.origin for r in page.candidates] == ["origin not verified", "", ""]
    assert page.doubts[0] == "The origin of the weights of small is not verified: see below."


def test_missed_critical_cases_are_named_up_to_three(calibrated: Make) -> None:
    cases = [case(f"c-{i}", critical=True) for i in range(7)]
    bar = {"pass_rate": 0.8, "critical": "must_pass"}
    page = page_of(calibrated({"small": "other"}, cases=cases, bar=bar))
    assert page.candidates[0].missed == "c-0, c-1, c-2 and 4 more"


@pytest.mark.parametrize("fails", ["other", "outage"])
def test_a_verdict_at_the_critical_cases_has_no_rate_and_says_why(
    fails: str, calibrated: Make, outage: Failure
) -> None:
    cases = [*(case(f"o-{i}") for i in range(30)), *(case(f"c-{i}", critical=True) for i in "ab")]
    answers = {"small": outage if fails == "outage" else fails}
    bar = {"pass_rate": 0.8, "critical": "must_pass"}
    made = calibrated(answers, cases=cases, bar=bar)
    reason = why(made.calibration.verdicts[0], made.calibration)
    page = page_of(made)
    row = page.candidates[0]
    assert (row.passed, row.estimate, row.lower, row.upper, row.latency) == ("0/2", *"––––")
    assert row.failed_calls == ("2 (server error)" if fails == "outage" else "0")
    assert page.frontier.without[0] == "small (critical cases give no rate)"
    assert plain(page.paths[0].words) == reason
    assert page.paths[0].charts == ()
    chosen = replace(
        made.calibration.decision,
        chosen=made.calibration.task.field.candidates[0],
        verdict=made.calibration.verdicts[0],
    )
    figures = build_page(replace(made.calibration, decision=chosen), made.project).figures
    assert (figures[0].value, figures[0].note) == ("–", f"{reason}; critical cases give no rate")


def test_a_p95_of_few_calls_is_a_dash(calibrated: Make) -> None:
    made = calibrated({"small": 0}, cases=[case(f"{i}") for i in range(19)])
    page = page_of(made)
    figure = page.figures[-1]
    assert (figure.value, figure.note) == ("–", "no target; of fewer than 20 calls none is shown")
    assert (page.candidates[0].latency, page.latency[0].p95) == ("–", "–")
    (row,) = build_index(made.policy, made.project, ()).rows
    assert row.latency == "–"
    more = calibrated({"small": 0}, cases=[case(f"{i}") for i in range(20)])
    assert page_of(more).latency[0].p95 == "250 ms"


def test_cases_no_model_passes_come_first_then_those_on_which_models_differ(
    certified: Any,
) -> None:
    groups = page_of(certified).cases[0].groups
    # small fails 0 and 2 to 30, medium 0 and 30: both fail two, one fails 28, none fails 30
    assert [(g.title, g.count) for g in groups] == [
        ("No model passes", "2 cases"),
        ("Models differ", "28 cases"),
        ("Every model passes", "30 cases"),
    ]
    assert [c.id for c in groups[0].cases] == ["t-0000", "t-0030"]
    assert groups[1].cases[0].outcome == "fails: small"
    assert [(a.model, a.badge.text, a.answer.text) for a in groups[1].cases[0].answers] == [
        ("small", "fail", "billing"),
        ("medium", "pass", "other"),
    ]


def test_cases_that_the_route_fails_come_before_others_and_critical_ones_first(
    calibrated: Make,
) -> None:
    cases = [case("a"), case("b"), case("c", critical=True), case("d")]
    good, bad = "billing", "other"
    answers = {"small": [bad, good, good, good], "large": [good, bad, bad, good]}
    made = calibrated(answers, cases=cases)
    assert made.calibration.decision.chosen.alias == "large"
    assert [c.id for c in page_of(made).cases[0].groups[0].cases] == ["c", "b", "a"]


def test_a_page_without_a_failed_case_has_one_group(calibrated: Make) -> None:
    (group,) = page_of(calibrated({"small": 0})).cases[0].groups
    assert (group.title, group.count) == ("Passed", "60 cases")
    (group,) = page_of(calibrated({"small": 0, "medium": 0})).cases[0].groups
    assert group.title == "Every model passes"


def test_one_case_is_one_case(calibrated: Make) -> None:
    (group,) = page_of(calibrated({"small": 1}, cases=[case("a")])).cases[0].groups
    assert (group.title, group.count) == ("Not passed", "1 case")


def test_a_failed_call_shows_the_reason_and_is_never_dropped(
    calibrated: Make, outage: Failure
) -> None:
    page = page_of(calibrated({"small": outage}))
    assert page.candidates[0].failed_calls == "4 (server error)"
    assert page.served == (("small", "–"),)
    answer = page.cases[0].groups[0].cases[0].answers[0]
    assert (answer.badge.text, answer.answer.text) == ("no answer", "the server said 500")
    assert answer.is_failure
    assert page.doubts[0].startswith("small: too many calls failed")
    assert page.confusions[0].answered[-1] == "no answer"


def test_several_kinds_of_failed_calls_and_served_models_are_counted(
    calibrated: Make, outage: Failure
) -> None:
    late = replace(outage, reason=type(outage.reason).TIMEOUT)
    made = calibrated({"small": [outage, late, late, *["other"] * 57]})
    assert page_of(made).candidates[0].failed_calls == "3 (server error 1, timeout 2)"
    made = calibrated({"small": 0}, cases=map(case, "abc"))
    trials = made.calibration.trials["small"]
    other = replace(trials[0], served_model="small-2", usage=replace(trials[0].usage))
    other = replace(other, usage=replace(other.usage, is_estimated=True), finish="length")
    calibration = replace(made.calibration, trials={"small": (other, *trials[1:])})
    page = build_page(calibration, made.project)
    assert page.served == (("small", "small-1 (2), small-2 (1)"),)
    assert "small: its endpoint served 2 different models." in page.doubts
    assert "small: its endpoint did not count tokens; the cost is estimated." in page.doubts
    assert page.cases[0].groups[0].cases[0].answers[0].facts == "250 ms, ended by: length"


def test_the_confusion_counts_what_the_workflows_own_graders_accept(calibrated: Make) -> None:
    cases = [case("a"), case("b"), case("c", "shipping")]
    answers = {"small": ["**Billing**", "shipping", "no idea"], "medium": 0}
    first, second = page_of(calibrated(answers, cases=cases)).confusions
    assert first.answered == ("billing", "shipping", "other", "no label")
    assert [[c.count for c in row.cells] for row in first.rows] == [
        ["1", "1", "0", "0"],
        ["0", "0", "0", "1"],
        ["0", "0", "0", "0"],
    ]
    assert [row.total for row in first.rows] == ["2", "1", "0"]
    assert [c.kind for c in first.rows[0].cells] == ["right", "wrong", "none", "none"]
    assert second.answered == ("billing", "shipping", "other")


def test_a_workflow_without_labels_has_no_confusion(calibrated: Make) -> None:
    page = page_of(calibrated({"small": 2}, labels=None, graders=["exact_match"]))
    assert (page.confusions, page.confusion_note) == ((), "")


def test_too_many_labels_for_a_table_are_said(calibrated: Make) -> None:
    labels = ["billing", "shipping", "other", *(f"label {i}" for i in range(28))]
    page = page_of(calibrated({"small": 2}, labels=labels))
    assert page.confusions == ()
    assert page.confusion_note.startswith("31 labels are too many")


def test_pass_rates_by_tag_stand_beside_each_other(calibrated: Make) -> None:
    made = calibrated(
        {"small": 4, "medium": 0}, bar={"pass_rate": 0.7, "slices": {"language": 0.9}}
    )
    (table,) = page_of(made).tags
    assert (table.tag, table.note) == ("language", "each value must reach 90.0 %")
    assert table.models == (("small", "60"), ("medium", "60"))
    assert [row.value for row in table.rows] == ["de", "en"]
    german = table.rows[0].cells
    assert [(c.rate, c.count) for c in german] == [("0.0 %", "0/15"), ("100.0 %", "15/15")]
    assert german[0].badge is not None
    assert german[0].badge.text == "failed"


def test_a_tag_with_very_many_values_shows_the_most_frequent(
    calibrated: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calibrate.report.breakdown.MOST_VALUES", 2)
    cases = [case(f"c{i}", tags={"shop": "abbcc"[i % 5]}) for i in range(10)]
    (table,) = page_of(calibrated({"small": 0}, cases=cases)).tags
    assert [row.value for row in table.rows] == ["b", "c"]
    assert table.note == "the 2 most frequent of 3 values"


def test_latency_is_held_against_its_target(calibrated: Make) -> None:
    made = calibrated({"small": 0}, bar={"pass_rate": 0.8, "latency_p95_s": 0.2}, latency_s=0.3)
    page = page_of(made)
    assert page.latency_target == "200 ms"
    (row,) = page.latency
    assert (row.p50, row.p95, row.longest, row.late) == ("300 ms", "300 ms", "300 ms", "60 of 60")


def test_the_bar_and_the_promise_are_in_words(calibrated: Make) -> None:
    bar = {
        "pass_rate": 0.9,
        "tolerance": 0.05,
        "critical": "must_pass",
        "slices": {"language": 0.6},
        "latency_p95_s": 2.0,
    }
    page = page_of(calibrated({"small": 0}, bar=bar))
    assert [plain(line) for line in page.bar] == [
        "At least 85.0 % of cases pass: 90.0 % less a tolerance of 5.0 %.",
        "Every critical case passes; there are 0.",
        "For each value of language, at least 60.0 % of its cases pass.",
        "The 95th percentile of latency is at most 2.0 s.",
        "Certified means shown with 95 % confidence.",
    ]
    assert plain(page.promise).startswith(
        "Cases are asked in an order fixed by the seed, critical ones first; the verdict falls at "
        "the first crossing of lines fixed beforehand. To be certified, a model must cross its "
        "line in every slice, too. "
        "A route whose true pass rate is at or below 85.0 % is certified with probability at "
        "most 5 % over all 3 candidates together, however many answers were looked at and however "
        "many attempts were made, assuming that the cases are an independent"
    )
    assert "one-sided at the model's own α, and are not adjusted for stopping" in page.promise
    assert plain(page_of(calibrated({"small": 0})).promise).startswith(
        "Cases are asked in an order fixed by the seed; the verdict falls at the first crossing of "
        "lines fixed beforehand. A route whose true pass rate"
    )


def test_the_promise_about_one_candidate_does_not_speak_of_several(calibrated: Make) -> None:
    page = page_of(calibrated({"large": 0}, tiers=["frontier"]))
    assert "with its one candidate" in page.promise
    assert page.figures[2].note == "this is the baseline"


def test_the_prompt_is_what_was_asked_for_the_first_case(certified: Any) -> None:
    prompt = page_of(certified).prompt
    assert prompt is not None
    assert prompt.case == "t-0000"
    assert [(m.name, m.text.text) for m in prompt.messages] == [
        ("system", "Answer with a queue."),
        ("user", "ticket 0"),
    ]


def test_an_embedded_text_is_shown_where_no_chat_model_was_asked(calibrated: Make) -> None:
    made = calibrated({"small": 0}, cases=[case("a")])
    (trial,) = made.calibration.trials["small"]
    embedded = replace(trial, asked="about a")
    calibration = replace(made.calibration, trials={"small": (embedded,)})
    prompt = build_page(calibration, made.project).prompt
    assert prompt is not None
    assert [(m.name, m.text.text) for m in prompt.messages] == [("text to embed", "about a")]


def test_a_page_of_which_nothing_was_asked_says_so(calibrated: Make) -> None:
    page = page_of(calibrated({}))
    assert (page.prompt, page.cases, page.latency) == (None, (), ())
    assert page.figures[0].note == "not measured"


def test_the_provenance_is_the_policys(certified: Any) -> None:
    page = page_of(certified)
    entry = policy_entry(certified.calibration, certified.project)
    assert page.provenance[0] == ("Signature", entry.evidence.signature)
    assert ("Graders", entry.inputs.graders) in page.provenance
    assert ("Procedure", entry.inputs.procedure) in page.provenance


@pytest.mark.parametrize(
    ("answers", "used", "command"),
    [
        ({"small": 2, "medium": 0}, None, "calibrate run tickets"),
        ({"small": 0, "medium": 0, "large": 0}, None, "calibrate run tickets --cases all"),
        ({"small": 2}, 20, "calibrate run tickets --cases 20"),
    ],
)
def test_the_command_gives_the_same_page_again(
    answers: dict[str, int], used: int | None, command: str, calibrated: Make
) -> None:
    page = page_of(calibrated(answers, used=used))
    assert page.command == command
    limited = "The run was limited to the first 20 of 60 cases."
    assert (limited in page.doubts) is (used is not None)


def test_of_cases_in_groups_the_groups_are_the_sample(calibrated: Make) -> None:
    page = page_of(calibrated({"small": 0}, cases=[case("a", group="g"), case("b", group="g")]))
    assert "assuming that the cases come in groups that are an independent sample" in page.promise


def test_where_an_answer_came_from_changes_nothing(certified: Any) -> None:
    calibration = certified.calibration
    asked = replace(
        calibration,
        trials={
            model: tuple(replace(trial, source=Source.ASKED) for trial in trials)
            for model, trials in calibration.trials.items()
        },
    )
    page, other = page_of(certified), build_page(asked, certified.project)
    assert [cases.groups for cases in other.cases] == [cases.groups for cases in page.cases]
    assert replace(other, cases=()) == replace(page, cases=())


def test_the_description_keeps_its_paragraphs(certified: Any) -> None:
    assert page_of(certified).description == (
        "Sort tickets into queues.",
        "A wrong one costs a minute.",
    )


def test_long_texts_are_cut_and_the_rest_is_counted(calibrated: Make) -> None:
    page = page_of(calibrated({"small": "x" * 1_000_000}, cases=[case("a")]))
    answer = page.cases[0].groups[0].cases[0].answers[0].answer
    assert len(answer.text) == 2_000
    assert answer.note == "the first 2,000 of 1,000,000 characters"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("kurz", Excerpt("kurz")),
        ({"é": [1, None]}, Excerpt('{"é": [1, null]}')),
        ("abcdef", Excerpt("abcd", "the first 4 of 6 characters")),
    ],
)
def test_excerpts(value: Any, expected: Excerpt) -> None:
    assert excerpt(value, 4 if value == "abcdef" else 100) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("a\n b", "a b"), ("abcdef", "abc…"), ({"a": 1}, '{"a…'), (" " * 100 + "a", "…")],
)
def test_one_line(value: Any, expected: str) -> None:
    assert one_line(value, 3) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nb\tc\n", "a\nb\tc\n"),
        ("\x00\x1b[31m\r\x7f", "␀␛[31m␍␡"),
        ("\x85", "⟨U+0085⟩"),
        ("\u202eevil\u2066\u2069", "⟨U+202E⟩evil⟨U+2066⟩⟨U+2069⟩"),
        ("\ud800\udc00", "\ufffd\ufffd"),
        ("שלום\u200f", "שלום\u200f"),
    ],
)
def test_what_cannot_be_seen_is_made_visible(text: str, expected: str) -> None:
    assert visible(text) == expected


def test_an_input_may_be_a_text_and_an_expectation_may_be_missing(calibrated: Make) -> None:
    made = calibrated(
        {"small": "yes"},
        cases=[Case("a", "only a text", None)],
        labels=None,
        graders=[{"contains": {"all": ["yes"]}}],
        prompt=[{"role": "user", "content": "{{ input }}"}],
    )
    shown = page_of(made).cases[0].groups[0].cases[0]
    assert [(f.name, f.text.text) for f in shown.input] == [("", "only a text")]
    assert shown.expected.text == "none is given"
    assert shown.line == "only a text"


def test_the_index_shows_each_route_with_its_evidence(certified: Any) -> None:
    index = build_index(certified.policy, certified.project, {"tickets"})
    (row,) = index.rows
    assert index.summary == "1 of 1 route certified."
    assert (row.name, row.link) == ("tickets", "tickets.html")
    assert (row.badge.text, row.model, row.tier) == ("Certified", "medium", "balanced")
    assert (row.estimate, row.bar, row.cost, row.cost_basis) == (
        "95.3 %",
        "80.0 %",
        "$0.10",
        "measured",
    )
    assert (row.bound, row.used) == ("lower bound 82.9 %", "43 of 60 cases used")
    assert "against large" in row.saving_basis
    assert "(estimated)" in row.saving_basis
    assert row.month == "$3.12"  # $0.104 per 1,000 x 30,000 requests
    assert index.traffic == "At the stated traffic."
    # 1,000 requests a day at $0.104 per 1,000; the baseline's estimate is $0.16 per 1,000
    assert [(f.label, f.value) for f in index.totals] == [
        ("A day", "$0.10"),
        ("A month of 30 days", "$3.12"),
        ("Saving", index.totals[2].value),
    ]
    assert all(f.note.endswith("with the baselines alone") for f in index.totals[:2])


def test_the_index_claims_no_saving_and_no_month_where_there_is_none(calibrated: Make) -> None:
    made = calibrated({"small": 2, "medium": 2, "large": 0}, traffic=None)
    index = build_index(made.policy, made.project, ())
    (row,) = index.rows
    assert (row.link, row.saving, row.saving_basis) == ("", "–", "this is the baseline")
    assert (row.month, row.month_baseline) == ("–", "")
    assert (index.traffic, index.totals) == ("", ())


def test_the_index_says_what_is_gone_and_what_has_no_route(certified: Any) -> None:
    entry = certified.policy.workflows["tickets"]
    policy = replace(certified.policy, workflows={"old": entry, "tickets": entry})
    index = build_index(policy, certified.project, ())
    assert [row.note for row in index.rows] == ["evals/old.yaml is gone", ""]
    assert "the traffic that 1 of 2 workflows state" in index.traffic
    index = build_index(Policy(1, ""), certified.project, ())
    assert (index.rows, index.without_route) == ((), ("tickets",))


def test_a_route_that_is_dearer_or_not_measured_says_so(calibrated: Make) -> None:
    made = calibrated({"small": 0})
    entry = made.policy.workflows["tickets"]
    evidence = replace(entry.evidence, saving=-0.5, lower_bound=None, estimate=None, cases_used=0)
    policy = replace(made.policy, workflows={"tickets": replace(entry, evidence=evidence)})
    (row,) = build_index(policy, made.project, ()).rows
    assert (row.saving, row.estimate, row.bound) == ("50 % dearer", "–", "not measured")


@pytest.mark.parametrize(
    ("workflow", "file"),
    [("tickets", "tickets.html"), ("index", "_index.html"), ("Index", "_index.html")],
)
def test_a_workflow_may_be_called_index(workflow: str, file: str) -> None:
    assert page_file(workflow) == file


def test_an_answer_that_the_graders_cannot_judge_for_a_label_has_none(calibrated: Make) -> None:
    made = calibrated(
        {"small": "7"}, cases=[case("a", "12")], labels=["12", "twelve"], graders=["numeric"]
    )
    (confusion,) = page_of(made).confusions
    assert confusion.answered == ("12", "twelve", "no label")
    assert [c.count for c in confusion.rows[0].cells] == ["0", "0", "1"]


def test_models_may_have_seen_different_prefixes_of_the_cases(calibrated: Make) -> None:
    cases = [case("a", tags={"shop": "x"}), case("b", tags={"shop": "y"}), case("c")]
    made = calibrated({"small": 2, "medium": 0}, cases=cases)
    trials = made.calibration.trials
    shorter = {**trials, "medium": trials["medium"][:1]}
    page = build_page(replace(made.calibration, trials=shorter), made.project)
    assert [(c.id, c.outcome) for group in page.cases[0].groups for c in group.cases] == [
        ("c", "fail"),
        ("a", "fails: small"),
        ("b", "pass"),
    ]
    assert [a.badge.text for a in page.cases[0].groups[0].cases[0].answers] == ["fail", "not asked"]
    assert [cell.rate for cell in page.tags[0].rows[1].cells] == ["100.0 %", "–"]


def test_a_free_baseline_leaves_no_share_to_save(calibrated: Make) -> None:
    made = calibrated({"small": 0}, cases=[case("a")])
    candidates = made.calibration.task.field.candidates
    free = [replace(c, estimated_usd=type(c.estimated_usd)(0)) for c in candidates]
    field = replace(made.calibration.task.field, candidates=tuple(free), baseline=free[2])
    decision = replace(
        made.calibration.decision,
        chosen=free[0],
        verdict=replace(made.calibration.verdicts[0], cost_usd_per_request=None),
    )
    calibration = replace(
        made.calibration, task=replace(made.calibration.task, field=field), decision=decision
    )
    assert "Saving" not in [f.label for f in build_page(calibration, made.project).figures]


@pytest.mark.parametrize(
    ("saving", "status", "label", "value"),
    [
        (0.999, "certified", "Saving", "over 99 %"),
        (1.0, "certified", "Saving", "100 %"),
        (0.5, "unmet", "Saving, not certified", "50 %"),
        (-0.5, "certified", "Dearer by", "50 %"),
    ],
)
def test_a_saving_is_not_rounded_up_nor_claimed_without_a_certificate(
    saving: float,
    status: str,
    label: str,
    value: str,
    certified: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = certified.policy.workflows["tickets"]
    entry = replace(entry, status=status, evidence=replace(entry.evidence, saving=saving))
    monkeypatch.setattr("calibrate.report.view.policy_entry", lambda *_: entry)
    figure = page_of(certified).figures[2]
    assert (figure.label, figure.value) == (label, value)


def test_the_month_names_the_routes_that_are_not_certified(calibrated: Make) -> None:
    made = calibrated({"small": 2, "medium": 2, "large": 2})
    index = build_index(made.policy, made.project, ())
    assert index.traffic == "At the stated traffic, 1 route not certified among them."
    assert index.totals[2].label == "Saving, not all certified"


def test_where_the_baselines_cost_nothing_no_share_is_saved(certified: Any) -> None:
    entry = certified.policy.workflows["tickets"]
    free = replace(entry.evidence, baseline_cost_usd_per_1k_requests=0.0)
    policy = replace(certified.policy, workflows={"tickets": replace(entry, evidence=free)})
    labels = [f.label for f in build_index(policy, certified.project, ()).totals]
    assert labels == ["A day", "A month of 30 days"]


def test_routes_that_are_dearer_than_their_baselines_say_so(certified: Any) -> None:
    entry = certified.policy.workflows["tickets"]
    cheap = replace(entry.evidence, baseline_cost_usd_per_1k_requests=0.052)
    policy = replace(certified.policy, workflows={"tickets": replace(entry, evidence=cheap)})
    figure = build_index(policy, certified.project, ()).totals[2]
    assert (figure.label, figure.value, figure.note) == ("Dearer by", "100 %", "$1.56 a month")


def test_other_bars_are_in_words_too(calibrated: Make) -> None:
    bar = {"mean_score": 0.7, "of_baseline": 0.9}
    page = page_of(calibrated({"small": 0}, bar=bar))
    assert [plain(line) for line in page.bar[:2]] == [
        "The mean score is at least 70.0 %.",
        "It keeps at least 90.0 % of the baseline's quality on the same cases.",
    ]
