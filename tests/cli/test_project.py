"""`calibrate project`: traffic times prices, from a scenario or from what was measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from calibrate.cache import Recorded, write_recordings
from calibrate.candidates import chat_form
from calibrate.completion import Completion, Failure, FailureReason, Usage
from calibrate.policy import load_policy
from calibrate.project import load_project
from calibrate.task import load_task

THREE_TIERS = str(Path(__file__).parents[2] / "evals/projections/three-tiers.yaml")
WORKED = """\
three-tiers: 100,000 requests a day
                role         a day a month     a year saves rests on
frontier        baseline    $3,000 $90,000 $1,095,000     – stated sizes
routed                        $660 $19,800   $240,900  78 % stated sizes
  60 % cheap                $60.00  $1,800    $21,900
  30 % balanced               $300  $9,000   $109,500
  10 % frontier               $300  $9,000   $109,500

A month is 30 days, a year 365.
"""
ALL: dict[str, dict[str, str]] = {"small": {}, "medium": {}, "large": {}}


def text(stdout: str) -> str:
    """Return what was printed without the blanks that fill the tables' lines."""
    return "".join(line.rstrip() + "\n" for line in stdout.splitlines())


def record(project, answers: Mapping[str, Mapping[str, str]], name: str = "triage") -> None:
    """Record models' answers to all cases: the right ones but for those given; `!` is a failure.

    The case m-k has 100 + 10 k input tokens, 50 of them cached, and an answer of 2.
    """
    task = load_task(load_project(project.root), name)
    found = []
    for candidate in task.field.candidates:
        for case in task.cases if candidate.alias in answers else ():
            request = chat_form(candidate, task.workflow).request(task.prompt.messages(case))
            answer = answers[candidate.alias].get(case.id, str(case.expected))
            usage = Usage(100 + 10 * int(case.id[-1]), 2, cached_input_tokens=50)
            reply = Completion(usage, "m", 0.5, text=answer)
            failure = Failure(FailureReason.REJECTED, "no", status=400)
            found.append(Recorded(request, failure if answer == "!" else reply))
    write_recordings(project.root / f"datasets/recordings/{name}.jsonl.gz", found)


@pytest.fixture
def measured(calibrate, project):
    """A project that states its traffic, with every answer recorded and a certified route."""
    project.edit("evals/triage.yaml", "seed: 7", "seed: 7\ntraffic: {requests_per_day: 100000}")
    record(project, ALL)
    assert calibrate("run", "--offline").status == 0
    return project


def lines(calibrate, *arguments: str) -> dict[str, Any]:
    status, stdout, stderr = calibrate("project", *arguments, "--json")
    assert (status, stderr) == (0, "")
    (found,) = json.loads(stdout)["projections"]
    return {line["name"]: line for line in found["lines"]}


def notes(calibrate, *arguments: str) -> list[str]:
    (found,) = json.loads(calibrate("project", *arguments, "--json").stdout)["projections"]
    return list(found["notes"])


def test_the_worked_example_is_reproduced(calibrate, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # no project is needed
    status, stdout, stderr = calibrate("project", "--file", THREE_TIERS)
    assert (status, text(stdout), stderr) == (0, WORKED, "")


def test_the_worked_example_is_exact_in_json(calibrate) -> None:
    found = lines(calibrate, "--file", THREE_TIERS)
    baseline, routed = found["frontier"], found["routed"]
    assert (baseline["is_baseline"], baseline["is_route"]) == (True, False)
    money = {period: routed[f"usd_per_{period}"]["usd"] for period in ("day", "month", "year")}
    assert money == {"day": 660, "month": 19_800, "year": 240_900}
    assert (baseline["usd_per_day"]["usd"], baseline["usd_per_month"]["usd"]) == (3000, 90_000)
    assert (routed["saving"], routed["usd_per_1k_requests"]) == (0.78, 6.6)
    assert routed["usd_per_day"] == {"usd": 660, "low": None, "high": None}
    assert [(part["name"], part["share"], part["usd_per_day"]) for part in routed["parts"]] == [
        *(("cheap", 0.6, 60), ("balanced", 0.3, 300), ("frontier", 0.1, 300)),
    ]


def test_markdown_has_the_same_cells(calibrate) -> None:
    assert calibrate("project", "--file", THREE_TIERS, "--format", "markdown").stdout == (
        "**three-tiers: 100,000 requests a day**\n"
        "\n"
        "|  | role | a day | a month | a year | saves | rests on |\n"
        "| :-- | :-- | --: | --: | --: | --: | :-- |\n"
        "| frontier | baseline | $3,000 | $90,000 | $1,095,000 | – | stated sizes |\n"
        "| routed |  | $660 | $19,800 | $240,900 | 78 % | stated sizes |\n"
        "|   60 % cheap |  | $60.00 | $1,800 | $21,900 |  |  |\n"
        "|   30 % balanced |  | $300 | $9,000 | $109,500 |  |  |\n"
        "|   10 % frontier |  | $300 | $9,000 | $109,500 |  |  |\n"
        "\n"
        "A month is 30 days, a year 365.\n"
    )


def test_the_forms_are_named_alike(calibrate) -> None:
    given = ("project", "--file", THREE_TIERS)
    assert calibrate(*given, "--format", "text") == calibrate(*given)
    assert calibrate(*given, "--format", "json") == calibrate(*given, "--json")
    assert calibrate(*given, "--json", "--format", "json").status == 2


def test_a_trillion_requests_are_told_to_the_dollar(calibrate, tmp_path) -> None:
    path = tmp_path / "much.yaml"
    path.write_text(Path(THREE_TIERS).read_text().replace(": 100000", ": 1000000000000"))
    status, stdout, _ = calibrate("project", "--file", str(path))
    assert (status, "$30,000,000,000 $900,000,000,000 $10,950,000,000,000" in stdout) == (0, True)


def test_a_free_baseline_leaves_nothing_to_save(calibrate, tmp_path) -> None:
    path = tmp_path / "free.yaml"
    free = "{input_usd_per_mtok: 0, output_usd_per_mtok: 0}"
    dear = "{input_usd_per_mtok: 30, output_usd_per_mtok: 30}"
    path.write_text(Path(THREE_TIERS).read_text().replace(dear, free))
    assert lines(calibrate, "--file", str(path))["routed"]["saving"] is None
    table = text(calibrate("project", "--file", str(path)).stdout)
    assert "frontier        baseline        $0      $0       $0     – stated sizes\n" in table
    assert "routed                        $360 $10,800 $131,400     – stated sizes\n" in table


def test_a_scenario_and_workflows_are_two_questions(calibrate) -> None:
    assert calibrate("project", "triage", "--file", THREE_TIERS) == (
        *(2, "", "error: give either workflows or --file\n"),
    )


def test_a_missing_scenario_is_no_answer(calibrate, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert calibrate("project", "--file", "gone.yaml") == (
        2,
        "",
        "error: gone.yaml: no such file\n",
    )


@pytest.mark.parametrize("share", ["-0.1", "1.1", "many", "nan"])
def test_what_is_no_share_is_refused(calibrate, share: str) -> None:
    status, stdout, stderr = calibrate("project", f"--batch-share={share}")
    assert (status, stdout) == (2, "")
    assert stderr.endswith(f"argument --batch-share: '{share}' is not a share between 0 and 1\n")


NOTES = """\
A month is 30 days, a year 365.
±: the 95 % interval of the mean cost of a request (Student's t), if the cases are an independent \
sample of the traffic.
"""
ESTIMATE = """\
An estimate: never asked, or not stored here; the rendered prompts and the longest allowed answers \
at the model's price.
"""


def test_the_route_is_measured_and_what_was_never_asked_is_estimated(calibrate, measured) -> None:
    status, stdout, stderr = calibrate("project")
    assert (status, stderr) == (0, "")
    # small: (135 x 0.1 + 2 x 0.2) / 1,000,000 = $0.0000139 a request; its tokens deviate by
    # sqrt(350) = 18.7, so 2.571 x 18.7 x 0.1 / sqrt(6) = 1.96, which is 14.1 % of 13.9
    assert text(stdout) == (
        "triage: 100,000 requests a day\n"
        "       role                 a day a month  a year      ± saves rests on\n"
        "large  baseline, not asked $40.17  $1,205 $14,661            – an estimate\n"
        "small  route, certified     $1.39  $41.70    $507 14.1 %  97 % 6 cases\n"
        "medium not asked            $4.02    $120  $1,466         90 % an estimate\n"
        "\n" + NOTES + ESTIMATE
    )


def test_json_has_the_intervals_in_dollars(calibrate, measured) -> None:
    found = lines(calibrate)["small"]
    assert found["usd_per_day"] == {"usd": 1.39, "low": 1.19367, "high": 1.58633}
    assert found["usd_per_month"] == {"usd": 41.7, "low": 35.8101, "high": 47.5899}
    assert (found["basis"], found["cases"], found["verdict"]) == ("measured", 6, "certified")
    baseline = lines(calibrate)["large"]
    assert baseline["usd_per_day"]["low"] is None
    assert (baseline["basis"], baseline["cases"], baseline["verdict"]) == (
        "estimated",
        0,
        "not asked",
    )


def test_the_figures_are_those_of_the_policy(calibrate, measured) -> None:
    evidence = load_policy(measured.root / "routing-policy.yaml").workflows["triage"].evidence
    found = lines(calibrate)
    assert found["small"]["usd_per_1k_requests"] == evidence.cost_usd_per_1k_requests
    assert found["large"]["usd_per_1k_requests"] == pytest.approx(
        evidence.baseline_cost_usd_per_1k_requests, rel=1e-5
    )
    assert found["small"]["saving"] == pytest.approx(evidence.saving, rel=1e-5)


def test_all_cases_measure_what_a_run_did_not_need(calibrate, measured) -> None:
    record(measured, {**ALL, "medium": {"m-6": "!"}})
    found = lines(calibrate, "--all-cases")
    assert (found["large"]["usd_per_day"]["usd"], found["large"]["cases"]) == (139, 6)
    # a call that failed costs nothing and tells nothing: (130 x 1 + 2 x 2) / 1,000,000
    assert (found["medium"]["usd_per_day"]["usd"], found["medium"]["cases"]) == (13.4, 5)


def test_where_not_all_cases_are_stored_those_of_the_verdict_count(calibrate, measured) -> None:
    new = '{"id": "m-7", "input": {"message": "New."}, "expected": "normal"}\n'
    old = (measured.root / "datasets/triage.jsonl").read_text()
    measured.write("datasets/triage.jsonl", old + new)
    record(measured, ALL)
    measured.write("datasets/triage.jsonl", old + new.replace("New.", "Newer."))
    policy = (measured.root / "routing-policy.yaml").read_text()
    measured.write("few.yaml", policy.replace("cases_used: 6", "cases_used: 2"))
    small = lines(calibrate, "--all-cases", "--policy", "few.yaml")["small"]
    assert (small["basis"], small["cases"]) == ("measured", 2)


def test_without_the_answers_the_policys_figure_is_left(calibrate, measured) -> None:
    record(measured, {})
    found = lines(calibrate)
    assert (found["small"]["usd_per_day"]["usd"], found["small"]["basis"]) == (1.39, "policy")
    assert found["large"]["basis"] == "estimated"
    assert "the policy's figure\n" in text(calibrate("project").stdout)


def test_a_baseline_that_was_measured_has_a_figure_in_the_policy_too(calibrate, measured) -> None:
    wrong = {f"m-{k}": "none" for k in range(1, 7)}
    record(measured, {"small": wrong, "medium": wrong, "large": {}})
    assert calibrate("run", "--offline").status == 0
    record(measured, {"small": wrong})
    found = lines(calibrate)
    assert (found["large"]["basis"], found["large"]["is_route"]) == ("policy", True)
    assert found["medium"]["basis"] == "estimated"
    text_of = (measured.root / "routing-policy.yaml").read_text()
    route, other = "model: large\n    fallbacks:\n    - medium", "model: medium\n    fallbacks:"
    measured.write("edited.yaml", text_of.replace(route, other))
    found = lines(calibrate, "--policy", "edited.yaml")
    assert (found["large"]["basis"], found["medium"]["is_route"]) == ("policy", True)


def test_without_a_policy_there_is_no_route(calibrate, measured) -> None:
    (measured.root / "routing-policy.yaml").unlink()
    found = lines(calibrate)
    assert [line["is_route"] for line in found.values()] == [False] * 3
    assert [line["verdict"] for line in found.values()] == [None] * 3
    assert notes(calibrate) == ["no route yet; `calibrate run triage` decides it"]


def test_batches_take_half_where_the_endpoint_has_them(calibrate, measured) -> None:
    assert notes(calibrate, "--batch-share", "0.4") == [
        "no batch discount is known for small, medium, large"
    ]
    assert lines(calibrate, "--batch-share", "0.4")["small"]["usd_per_day"]["usd"] == 1.39
    measured.edit("evals/tiers.yaml", "http://127.0.0.1:9/v1", "https://api.openai.com/v1")
    assert notes(calibrate, "--batch-share", "0.4") == [
        "the policy is stale; `calibrate check` says why"
    ]
    found = lines(calibrate, "--batch-share", "0.4")["small"]["usd_per_day"]
    assert found["usd"] == pytest.approx(1.39 * 0.8)
    measured.edit("evals/triage.yaml", ": 100000}", ": 100000, batch_share: 1}")
    assert lines(calibrate)["small"]["usd_per_day"]["usd"] == pytest.approx(1.39 / 2)


def test_cached_input_has_its_price(calibrate, measured) -> None:
    assert notes(calibrate, "--cached-share", "0.5") == [
        "no price of cached input is known for small, medium, large"
    ]
    for rate in ("0.1", "1", "10"):
        old = f"{{input_usd_per_mtok: {rate}, "
        measured.edit("evals/tiers.yaml", old, f"{old}cached_input_usd_per_mtok: 0, ")
    assert notes(calibrate, "--cached-share", "0.5") == [
        "the policy is stale; `calibrate check` says why"
    ]
    small = lines(calibrate, "--cached-share", "0.5")["small"]["usd_per_day"]
    assert small["usd"] == pytest.approx((135 / 2 * 0.1 + 0.4) / 10)
    small = lines(calibrate)["small"]["usd_per_day"]  # 50 tokens of each were cached
    assert small["usd"] == pytest.approx((85 * 0.1 + 0.4) / 10)


def test_stated_sizes_stand_in_for_measured_ones(calibrate, measured) -> None:
    measured.edit("evals/triage.yaml", ": 100000}", ": 100000, input_tokens: 1000}")
    found = lines(calibrate)["small"]
    assert (found["usd_per_day"]["usd"], found["basis"]) == (10.04, "measured")
    measured.edit("evals/triage.yaml", ": 1000}", ": 1000, output_tokens: 100}")
    found = lines(calibrate)["small"]
    assert (found["usd_per_day"]["usd"], found["basis"]) == (12, "stated")


def test_an_embeddings_model_reads_no_prompt_of_the_stated_size(calibrate, measured) -> None:
    measured.write(
        "datasets/shots.jsonl",
        """\
{"input": {"message": "Help, now!"}, "expected": "urgent"}
{"input": {"message": "Hello."}, "expected": "normal"}
""",
    )
    measured.edit("evals/triage.yaml", "labels:", "examples: datasets/shots.jsonl\nlabels:")
    measured.edit(
        "evals/tiers.yaml",
        "  small:\n",
        "  mini: {endpoint: local, name: e, method: nearest_example, "
        "price: {input_usd_per_mtok: 1}}\n  small:\n",
    )
    measured.edit("evals/tiers.yaml", "cheap: [small]", "cheap: [mini, small]")
    plain = lines(calibrate)["mini"]
    measured.edit(
        "evals/triage.yaml", ": 100000}", ": 100000, input_tokens: 900, output_tokens: 9}"
    )
    found = lines(calibrate)
    assert found["mini"] == {**plain, "saving": found["mini"]["saving"]}
    assert (found["mini"]["basis"], found["small"]["basis"]) == ("estimated", "stated")


def test_hours_that_were_never_timed_are_a_ceiling(calibrate, measured) -> None:
    tokens = "{input_usd_per_mtok: 10, output_usd_per_mtok: 20}"
    measured.edit("evals/tiers.yaml", tokens, "{usd_per_hour: 3.6}")
    stdout = text(calibrate("project").stdout)
    # ten seconds each, the workflow's time-out, at $0.001 a second
    assert "large  baseline, not asked ≤ $1,000 ≤ $30,000 ≤ $365,000" in stdout
    assert stdout.endswith(
        "≤: by the hour and never timed, so each request counts up to its time-out.\n"
    )
    found = lines(calibrate)
    assert (found["large"]["is_ceiling"], found["small"]["saving"]) == (True, None)
    assert "unknown" in stdout


def test_a_route_may_cost_more_than_the_baseline(calibrate, measured) -> None:
    measured.edit("evals/tiers.yaml", "{input_usd_per_mtok: 0.1,", "{input_usd_per_mtok: 100,")
    assert "3261 % more" in calibrate("project").stdout


def test_who_escalates_pays_for_both(calibrate, measured) -> None:
    measured.edit(
        "routing-policy.yaml",
        "    escalation: null",
        "    escalation: {signal: valid_format, below: 0.5, to: large}",
    )
    record(measured, {"small": {"m-1": "maybe"}, "medium": {}, "large": {}})
    found = lines(calibrate)
    route = found["small, then large"]
    # one in six escalates: its large answer costs (110 x 10 + 2 x 20) / 1,000,000
    assert route["usd_per_day"]["usd"] == pytest.approx(1.39 + 114 / 6)
    assert (route["is_route"], route["verdict"], route["cases"]) == (True, "certified", 6)
    assert (found["small"]["is_route"], found["small"]["verdict"]) == (False, "not asked")
    record(measured, {"small": {}})
    route = lines(calibrate)["small, then large"]
    assert (route["usd_per_day"]["usd"], route["basis"]) == (1.39, "policy")


def test_an_override_is_the_route_while_it_is_in_force(calibrate, measured) -> None:
    measured.edit(
        "routing-policy.yaml",
        "    escalation: null",
        "    override: {model: medium, tier: balanced, owner: a, reason: r, expires: '2999-12-31'}"
        "\n    escalation: null",
    )
    found = lines(calibrate)
    assert (found["medium"]["is_route"], found["medium"]["verdict"]) == (
        *(True, "override until 2999-12-31"),
    )
    assert (found["small"]["is_route"], found["small"]["verdict"]) == (False, "certified")
    measured.edit("routing-policy.yaml", "2999-12-31", "2020-12-31")
    assert lines(calibrate)["small"]["is_route"]


def test_a_route_that_names_no_candidate_is_left_out(calibrate, measured) -> None:
    measured.edit("evals/tiers.yaml", "  cheap: [small]\n", "")
    assert list(lines(calibrate)) == ["large", "medium"]
    assert notes(calibrate) == [
        "the policy is stale; `calibrate check` says why",
        "the policy's route small is left out: it names no candidate",
    ]


def test_a_verdict_at_the_critical_cases_was_measured_on_those(calibrate, measured) -> None:
    measured.edit("evals/triage.yaml", "confidence: 0.9}", "confidence: 0.9, critical: must_pass}")
    measured.edit("datasets/triage.jsonl", 'fire."}, ', 'fire."}, "critical": true, ')
    record(measured, {**ALL, "small": {"m-1": "normal"}})
    assert calibrate("run", "--offline").status == 0
    small = lines(calibrate)["small"]
    assert (small["verdict"], small["cases"]) == ("failed", 1)
    assert small["usd_per_day"] == {"usd": pytest.approx(1.14), "low": None, "high": None}


@pytest.fixture
def two(measured, calibrate):
    """The project with a second workflow, `other`, which states no traffic."""
    workflow = (measured.root / "evals/triage.yaml").read_text()
    measured.write(
        "evals/other.yaml", workflow.replace("traffic: {requests_per_day: 100000}\n", "")
    )
    record(measured, ALL, "other")
    assert calibrate("run", "other", "--offline").status == 0
    return measured


def test_workflows_without_traffic_are_named_and_left_out(calibrate, two) -> None:
    status, stdout, stderr = calibrate("project")
    assert (status, stderr) == (0, "")
    assert text(stdout).endswith(f"{ESTIMATE}Left out, without `traffic`: other.\n")
    assert "total" not in stdout
    document = json.loads(calibrate("project", "--json").stdout)
    assert (document["without_traffic"], document["total"]) == (["other"], None)


def test_a_named_workflow_must_state_its_traffic(calibrate, two) -> None:
    told = "states no traffic; add `traffic: {requests_per_day: …}`\n"
    assert calibrate("project", "other", "triage") == (2, "", f"error: evals/other.yaml: {told}")
    two.edit("evals/triage.yaml", "traffic: {requests_per_day: 100000}\n", "")
    assert calibrate("project") == (
        *(2, "", f"error: evals/other.yaml: {told}error: evals/triage.yaml: {told}"),
    )


def test_several_workflows_have_a_total(calibrate, two) -> None:
    two.edit("evals/other.yaml", "seed: 7", "seed: 7\ntraffic: {requests_per_day: 900000}")
    stdout = text(calibrate("project", "--all-cases").stdout)
    # the half-widths are as 1 to 9: sqrt(1 + 81) / 10 x 14.1 %
    assert stdout.endswith(
        "total: 1,000,000 requests a day\n"
        "          role         a day a month   a year      ± saves\n"
        "baselines baseline    $1,390 $41,700 $507,350 12.8 %     –\n"
        "routes    route       $13.90    $417   $5,074 12.8 %  99 %\n"
        "\n" + NOTES
    )
    document = json.loads(calibrate("project", "--all-cases", "--json").stdout)
    assert [one["name"] for one in document["projections"]] == ["other", "triage"]
    assert document["total"]["lines"][1]["usd_per_month"]["usd"] == 417
    assert (
        "**total: 1,000,000 requests a day**" in calibrate("project", "--format", "markdown").stdout
    )


def test_without_any_route_there_is_no_total(calibrate, two) -> None:
    two.edit("evals/other.yaml", "seed: 7", "seed: 7\ntraffic: {requests_per_day: 0}")
    (two.root / "routing-policy.yaml").unlink()
    stdout = calibrate("project").stdout
    assert "other: 0 requests a day" in stdout
    assert "total" not in stdout


def test_notes_and_names_are_quoted_in_markdown(calibrate, measured) -> None:
    measured.edit("evals/tiers.yaml", "  medium:\n", "  'a|<b>\\e[1m':\n".replace("\\e", "[bold]"))
    measured.edit("evals/tiers.yaml", "balanced: [medium]", "balanced: ['a|<b>[bold][1m']")
    stdout = calibrate("project", "--format", "markdown").stdout
    assert "| a\\|&lt;b>[bold][1m | not asked |" in stdout
    assert "\n- the policy is stale; `calibrate check` says why\n" in stdout
    assert "\na|<b>[bold][1m " in calibrate("project").stdout


def test_nothing_is_written(calibrate, measured) -> None:
    before = measured.files()
    calibrate("project")
    assert measured.files() == before
