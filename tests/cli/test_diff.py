"""`calibrate diff`: two policies, from files or from git, in text, Markdown and JSON."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from policy.sample import POLICY

from calibrate.cache import Recorded, write_recordings
from calibrate.candidates import chat_form
from calibrate.completion import Completion, Failure, FailureReason, Usage
from calibrate.policy import Escalation, Override, Policy, load_policy, write_policy
from calibrate.project import load_project
from calibrate.task import load_task

RIGHT: dict[str, str] = {}
WRONG = {f"m-{k}": "neither" for k in range(1, 7)}


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "as it is")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a project and outside of any repository, with two policies."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    write_policy(tmp_path / "old.yaml", POLICY)
    entry = POLICY.workflows["triage"]
    moved = replace(
        entry,
        status="uncertified",
        model="large",
        tier="frontier",
        fallbacks=(),
        over_context=None,
        evidence=replace(
            entry.evidence, cost_usd_per_1k_requests=3.1, lower_bound=0.88, latency_p95_s=1.3
        ),
    )
    write_policy(tmp_path / "new.yaml", replace(POLICY, workflows={"triage": moved}))
    return tmp_path


def record(project: Any, answers: Mapping[str, Mapping[str, str]]) -> None:
    """Record models' answers to all cases: right but for those given; `!` fails, `-` is none."""
    task = load_task(load_project(project.root), "triage")
    found = []
    for candidate in task.field.candidates:
        for case in task.cases if candidate.alias in answers else ():
            request = chat_form(candidate, task.workflow).request(task.prompt.messages(case))
            answer = answers[candidate.alias].get(case.id, str(case.expected))
            reply = Completion(Usage(100, 2), "m", 0.5, text=answer)
            failure = Failure(FailureReason.REJECTED, "no", status=400)
            if answer != "-":
                found.append(Recorded(request, failure if answer == "!" else reply))
    path = project.root / "datasets/recordings/triage.jsonl.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_recordings(path, found)


@pytest.fixture
def routed(calibrate: Any, project: Any) -> Any:
    """A project whose policy routes to the small model, with recorded answers.

    The small model is right on every case, the medium one on all but m-2 and m-5.
    """
    record(project, {"small": RIGHT, "medium": {"m-2": "urgent", "m-5": "normal"}, "large": WRONG})
    assert calibrate("run", "--offline").status == 0
    assert load_policy(project.root / "routing-policy.yaml").workflows["triage"].model == "small"
    return project


@pytest.fixture
def revised(routed: Any) -> Any:
    """The same project, committed."""
    git(routed.root, "init", "-q", "-b", "main")
    commit(routed.root)
    return routed


@pytest.fixture
def committed(project: Any) -> Any:
    """A project with a policy that was never decided here, committed."""
    write_policy(project.root / "routing-policy.yaml", POLICY)
    git(project.root, "init", "-q", "-b", "main")
    commit(project.root)
    return project


def rerouted(project: Any, **changes: Any) -> Policy:
    """Write `other.yaml`: the project's policy with another route."""
    policy = load_policy(project.root / "routing-policy.yaml")
    entry = replace(
        policy.workflows["triage"], **{"fallbacks": (), "over_context": None, **changes}
    )
    small, large = policy.models["small"], policy.models["large"]
    medium = replace(large, name="medium-1", context_window=8000)
    models = {"small": small, "medium": medium, "large": large}
    found = replace(policy, models=models, workflows={"triage": entry})
    write_policy(project.root / "other.yaml", found)
    return found


def triage(calibrate: Any, old: str, new: str, *more: str) -> dict[str, Any]:
    status, stdout, stderr = calibrate("diff", old, new, "--json", *more)
    assert stderr == ""
    document = json.loads(stdout)
    assert document["schema"] == 1
    assert status == (0 if document["same_routes"] else 1)
    (found,) = document["workflows"]
    return dict(found)


def stripped(text: str) -> str:
    return "".join(line.rstrip() + "\n" for line in text.splitlines())


@pytest.mark.usefixtures("folder")
def test_the_same_routes_exit_0(calibrate: Any) -> None:
    told = "The same routes for 1 workflow.\n"
    assert calibrate("diff", "old.yaml", "old.yaml") == (0, told, "")


@pytest.mark.usefixtures("folder")
def test_another_route_exits_1_and_is_told(calibrate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    status, stdout, stderr = calibrate("diff", "old.yaml", "new.yaml")
    assert (status, stderr) == (1, "")
    assert stripped(stdout) == (
        """\
1 of 1 workflow routed differently: 1 moved.
No longer certified: triage.

triage: moved
                       before       now
  model                small        large
  tier                 cheap        frontier
  status               certified    uncertified
  fallbacks            large        –
  over context         large        –
  quality              97.2 %       97.2 %
  lower bound          92.3 %       88.0 %        below the bar
  bar                  90.0 %       90.0 %
  cases used           143 of 300   143 of 300
  per 1,000 requests   $0.12        $3.10         2483 % more
  p95                  800 ms       1.3 s         500 ms slower
  Newly failing: not known: the policies alone do not say; give --project
"""
    )


@pytest.mark.usefixtures("folder")
def test_markdown_is_a_comment(calibrate: Any) -> None:
    status, stdout, stderr = calibrate("diff", "old.yaml", "new.yaml", "--format", "markdown")
    assert (status, stderr) == (1, "")
    assert (
        stdout
        == """\
**1 of 1 workflow routed differently: 1 moved.**

⚠️ No longer certified: `triage`.

| workflow |  | model | status | lower bound | bar | per 1,000 requests | p95 |
| --- | --- | --- | --- | --- | --- | --- | --- |
| `triage` | moved | `small` → `large` | certified → uncertified | 92.3 % → 88.0 % (below the bar) \
| 90.0 % | $0.12 → $3.10 (2483 % more) | 800 ms → 1.3 s (500 ms slower) |

`triage`

- tier: `cheap` → `frontier`
- fallbacks: `large` → –
- over context: `large` → –
- Newly failing: not known: `the policies alone do not say; give --project`
"""
    )


@pytest.mark.usefixtures("folder")
def test_json_has_the_same_facts(calibrate: Any) -> None:
    found = triage(calibrate, "old.yaml", "new.yaml")
    assert (found["workflow"], found["kind"]) == ("triage", "moved")
    assert found["moves"][0] == {
        "part": "status",
        "old": "certified",
        "new": "uncertified",
        "model": None,
    }
    assert found["old"]["lower_bound"] == 0.923
    assert found["new"]["cost_usd_per_1k_requests"] == 3.1
    assert found["inputs_changed"] == []
    assert (found["requests_per_day"], found["usd_per_day"], found["cases"]) == (None, None, None)
    assert found["cases_not_known"] == "the policies alone do not say; give --project"


@pytest.mark.usefixtures("folder")
def test_json_is_one_of_the_formats(calibrate: Any) -> None:
    given = ("diff", "old.yaml", "new.yaml")
    assert calibrate(*given, "--format", "json") == calibrate(*given, "--json")
    assert calibrate(*given, "--format", "text") == calibrate(*given)


def test_other_evidence_is_told_without_what_stayed(calibrate: Any, folder: Path) -> None:
    entry = POLICY.workflows["triage"]
    other = replace(entry, evidence=replace(entry.evidence, cases_used=150, lower_bound=0.925))
    other = replace(other, inputs=replace(entry.inputs, prompt="b", prices="c"))
    policy = replace(POLICY, workflows={"triage": other}, default="triage")
    write_policy(folder / "new.yaml", policy)
    status, stdout, stderr = calibrate("diff", "old.yaml", "new.yaml")
    assert (status, stderr) == (1, "")
    assert stripped(stdout) == (
        """\
0 of 1 workflow routed differently: another default. The evidence of 1 changed without moving it.
Unknown names are served as: none before, triage now.

triage: evidence
                before       now
  lower bound   92.3 %       92.5 %       over the bar
  bar           90.0 %       90.0 %
  cases used    143 of 300   150 of 300
  Changed: the prompt, the prices.
  Newly failing: not known: the policies alone do not say; give --project
"""
    )
    document = json.loads(calibrate("diff", "old.yaml", "new.yaml", "--json").stdout)
    assert document["default"] == {"old": None, "new": "triage"}


@pytest.mark.usefixtures("folder")
def test_markdown_and_json_at_once_are_refused(calibrate: Any) -> None:
    found = calibrate("diff", "old.yaml", "new.yaml", "--json", "--format", "markdown")
    assert found.status == 2
    assert "error: argument --format: not allowed with argument --json" in found.stderr


def test_80_columns_are_enough_for_long_and_hostile_names(
    calibrate: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "n" * 200
    tier = "[bold]x[/] :smile: \x1b[31mred\u202e"
    entry = replace(POLICY.workflows["triage"], model=name, tier=tier, status="unmet")
    models = {**POLICY.models, name: POLICY.models["small"]}
    write_policy(folder / "new.yaml", replace(POLICY, models=models, workflows={name: entry}))
    monkeypatch.setenv("COLUMNS", "80")
    # The fixture `calibrate` clears COLUMNS once, before this.
    status, stdout, _ = calibrate("diff", "old.yaml", "new.yaml")
    assert status == 1
    assert max(map(len, stdout.splitlines())) <= 80
    assert stdout.count("n" * 80) == 2  # the name, whole, over three lines
    assert "[bold]x[/] :smile: ?[31mred?" in stdout
    assert stdout.index("\nn") < stdout.index("\ntriage: gone")


def test_stated_traffic_is_told_in_money(calibrate: Any, routed: Any) -> None:
    routed.edit("evals/triage.yaml", "seed: 7", "seed: 7\ntraffic: {requests_per_day: 100000}")
    policy = load_policy(routed.root / "routing-policy.yaml")
    entry = policy.workflows["triage"]
    dearer = replace(entry, evidence=replace(entry.evidence, cost_usd_per_1k_requests=0.5))
    write_policy(routed.root / "other.yaml", replace(policy, workflows={"triage": dearer}))
    found = triage(calibrate, "routing-policy.yaml", "other.yaml")
    before = entry.evidence.cost_usd_per_1k_requests * 100
    assert found["usd_per_day"] == {"old": pytest.approx(before), "new": 50.0}
    assert found["usd_per_month"] == {"old": pytest.approx(30 * before), "new": 1500.0}
    stdout = calibrate("diff", "routing-policy.yaml", "other.yaml").stdout
    assert "The traffic of 1 workflow costs $1,500 a month; before $" in stdout


def test_newly_failing_cases_come_from_recorded_answers(calibrate: Any, routed: Any) -> None:
    rerouted(routed, model="medium", tier="balanced")
    before = routed.files()
    found = triage(calibrate, "routing-policy.yaml", "other.yaml")
    assert sorted(found["cases"]["newly_failing"]) == ["m-2", "m-5"]
    assert found["cases"] | {"newly_failing": []} == {
        "compared": 6,
        "newly_failing": [],
        "newly_passing": [],
        "not_compared": 0,
        "is_graded": False,
        "notes": [],
    }
    back = triage(calibrate, "other.yaml", "routing-policy.yaml")["cases"]
    assert (back["newly_failing"], sorted(back["newly_passing"])) == ([], ["m-2", "m-5"])
    stdout = calibrate("diff", "routing-policy.yaml", "other.yaml").stdout
    assert "  6 cases compared: 2 newly failing, 0 newly passing.\n  Newly failing: m-" in stdout
    assert routed.files() == before


def test_an_override_in_force_is_what_is_replayed(calibrate: Any, routed: Any) -> None:
    override = Override("medium", "balanced", "ana", "an incident", "9999-12-31")
    rerouted(routed, override=override)
    found = triage(calibrate, "routing-policy.yaml", "other.yaml")
    assert sorted(found["cases"]["newly_failing"]) == ["m-2", "m-5"]
    expired = replace(override, expires="2020-01-01")
    rerouted(routed, override=expired)
    found = triage(calibrate, "routing-policy.yaml", "other.yaml")
    assert found["cases"]["newly_failing"] == []


def test_a_case_without_a_stored_answer_ends_what_is_compared(calibrate: Any, routed: Any) -> None:
    last = load_task(load_project(routed.root), "triage").cases[-1].id
    record(routed, {"small": RIGHT, "medium": {last: "-"}})
    rerouted(routed, model="medium", tier="balanced")
    cases = triage(calibrate, "routing-policy.yaml", "other.yaml")["cases"]
    assert (cases["compared"], cases["not_compared"]) == (5, 1)


def test_other_cases_than_those_of_a_decision_are_told(calibrate: Any, routed: Any) -> None:
    rerouted(routed, model="medium", tier="balanced")
    routed.edit(
        "datasets/triage.jsonl",
        '"expected": "normal"}\n{"id": "m-3"',
        '"expected": "urgent"}\n{"id": "m-3"',
    )
    cases = triage(calibrate, "routing-policy.yaml", "other.yaml")["cases"]
    assert cases["newly_failing"] == ["m-5"]
    assert cases["notes"] == [
        "OLD was decided on other cases than these.",
        "NEW was decided on other cases than these.",
    ]


def test_after_other_graders_both_sides_are_graded_alike(calibrate: Any, routed: Any) -> None:
    found = rerouted(routed, model="medium", tier="balanced")
    entry = found.workflows["triage"]
    before = replace(entry, model="small", inputs=replace(entry.inputs, graders="others"))
    write_policy(routed.root / "old.yaml", replace(found, workflows={"triage": before}))
    cases = triage(calibrate, "old.yaml", "other.yaml")["cases"]
    assert cases["notes"] == ["Both are graded as NEW is."]
    assert sorted(cases["newly_failing"]) == ["m-2", "m-5"]


def not_known(calibrate: Any, old: str = "routing-policy.yaml", new: str = "other.yaml") -> str:
    found = triage(calibrate, old, new)
    assert found["cases"] is None
    return str(found["cases_not_known"])


def test_answers_that_are_not_stored_are_not_known(calibrate: Any, routed: Any) -> None:
    record(routed, {"small": RIGHT})
    rerouted(routed, model="medium", tier="balanced")
    assert not_known(calibrate) == "the answers of both routes are not stored here"


def test_failing_calls_say_nothing_of_cases(calibrate: Any, routed: Any) -> None:
    record(routed, {"small": RIGHT, "medium": dict.fromkeys(WRONG, "!")})
    rerouted(routed, model="medium", tier="balanced")
    assert "6 of 6 calls to medium failed" in not_known(calibrate)


def test_another_prompt_than_the_decisions_is_not_replayed(calibrate: Any, routed: Any) -> None:
    rerouted(routed, model="medium", tier="balanced")
    routed.edit("evals/triage.yaml", "Answer with one word", "Answer in one word")
    assert not_known(calibrate) == "OLD was decided with another prompt than the project has"


def test_other_graders_than_the_decisions_are_not_replayed(calibrate: Any, routed: Any) -> None:
    rerouted(routed, model="medium", tier="balanced")
    routed.edit("evals/triage.yaml", "  - one_of", "  - exact_match: {ignore_case: true}")
    assert not_known(calibrate) == "NEW was decided with other graders than the project has"


def test_a_model_that_the_project_calls_otherwise_is_not_replayed(
    calibrate: Any, routed: Any
) -> None:
    rerouted(routed, model="medium", tier="balanced")
    routed.edit("evals/tiers.yaml", "name: medium-1", "name: medium-2")
    assert not_known(calibrate) == "NEW's model 'medium' is another in the project"


def test_a_model_that_is_no_candidate_is_not_replayed(calibrate: Any, routed: Any) -> None:
    policy = rerouted(routed)
    entry = replace(policy.workflows["triage"], model="huge")
    models = {**policy.models, "huge": policy.models["large"]}
    write_policy(
        routed.root / "other.yaml", replace(policy, models=models, workflows={"triage": entry})
    )
    assert not_known(calibrate) == "NEW's model 'huge' is no candidate in the project"


def test_a_workflow_that_the_project_lacks_is_not_replayed(calibrate: Any, routed: Any) -> None:
    rerouted(routed, model="medium", tier="balanced")
    (routed.root / "evals/triage.yaml").unlink()
    assert not_known(calibrate) == "the project of OLD has no evals/triage.yaml"


def test_a_data_set_that_is_gone_leaves_the_routes_compared(calibrate: Any, routed: Any) -> None:
    rerouted(routed, model="medium", tier="balanced")
    (routed.root / "datasets/triage.jsonl").unlink()
    assert not_known(calibrate).startswith("datasets/triage.jsonl")


def test_an_escalation_is_replayed_with_its_signal(calibrate: Any, routed: Any) -> None:
    rerouted(routed, escalation=Escalation("no_such_signal", 0.5, "medium"))
    # An answer without the signal is sent on, as a gateway would.
    found = triage(calibrate, "routing-policy.yaml", "other.yaml")
    assert sorted(found["cases"]["newly_failing"]) == ["m-2", "m-5"]


def test_a_revision_of_git_is_read(calibrate: Any, committed: Any) -> None:
    told = (0, "The same routes for 1 workflow.\n", "")
    assert calibrate("diff", "main:routing-policy.yaml", "routing-policy.yaml") == told
    assert calibrate("diff", "HEAD:./routing-policy.yaml", "main:routing-policy.yaml") == told


def test_a_revision_is_replayed_in_the_project_as_it_was(calibrate: Any, revised: Any) -> None:
    """Another prompt has other answers: those from before are of the prompt from before."""
    revised.edit("evals/triage.yaml", "Answer with one word", "Answer in one word")
    record(revised, {"small": {"m-3": "normal"}, "medium": RIGHT, "large": RIGHT})
    assert calibrate("run", "--offline").status == 0
    rerouted(revised, model="small", tier="cheap")
    found = triage(calibrate, "main:routing-policy.yaml", "other.yaml")
    assert found["inputs_changed"] == ["prompt"]
    assert (found["cases"]["compared"], found["cases"]["newly_failing"]) == (6, ["m-3"])


def test_a_revision_whose_project_cannot_be_read_leaves_the_routes_compared(
    calibrate: Any, revised: Any
) -> None:
    (revised.root / "evals/tiers.yaml").rename(revised.root / "kept.yaml")
    commit(revised.root)
    (revised.root / "kept.yaml").rename(revised.root / "evals/tiers.yaml")
    rerouted(revised, model="medium", tier="balanced")
    assert not_known(calibrate, "HEAD:routing-policy.yaml") == "HEAD has no evals/tiers.yaml"


def test_a_project_in_no_repository_leaves_the_routes_compared(
    calibrate: Any, revised: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rerouted(revised, model="medium", tier="balanced")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("evals", "datasets"):
        (revised.root / name).rename(elsewhere / name)
    old, new = "main:routing-policy.yaml", "other.yaml"
    found = triage(calibrate, old, new, "--project", str(elsewhere))
    assert "git" in found["cases_not_known"]


def refused(calibrate: Any, *arguments: str) -> str:
    status, stdout, stderr = calibrate("diff", *arguments)
    assert (status, stdout) == (2, "")
    assert "Traceback" not in stderr
    return str(stderr).removeprefix("error: ").removesuffix("\n")


@pytest.mark.parametrize(
    ("old", "problem"),
    [
        ("nope.yaml", "nope.yaml: no such file; `calibrate run` makes a policy"),
        (
            "nope:routing-policy.yaml",
            "nope:routing-policy.yaml: no such file, and git knows no revision 'nope' here; "
            "fetch it first, a shallow clone lacks most of them",
        ),
        (
            "--output=x:routing-policy.yaml",
            "--output=x:routing-policy.yaml: no such file, and git knows no revision "
            "'--output=x' here; fetch it first, a shallow clone lacks most of them",
        ),
        (
            "main:nope.yaml",
            "main:nope.yaml: 'main' has no such file; FILE is looked for from the repository's "
            "top, and ./FILE in this folder",
        ),
        (
            "main:../../x",
            "main:../../x: 'main' has no such file; FILE is looked for from the repository's "
            "top, and ./FILE in this folder",
        ),
        ("main:evals", "main:evals: not a file"),
        ("main:", "'main:': no such file; expected a file, or REVISION:FILE"),
        (":x", "':x': no such file; expected a file, or REVISION:FILE"),
        ("main:a\0b", "'main:a\\x00b': no such file; expected a file, or REVISION:FILE"),
        (
            "x" * 5000,
            f"{'x' * 5000}: no such file; `calibrate run` makes a policy",
        ),
        ("evals", "evals: cannot be read: Is a directory"),
    ],
)
@pytest.mark.usefixtures("committed")
def test_what_is_no_policy_is_named(calibrate: Any, old: str, problem: str) -> None:
    assert refused(calibrate, "--", old, "routing-policy.yaml") == problem


@pytest.mark.parametrize("old", ["nope:x.yaml", "main:evals", "main:", "evals"])
@pytest.mark.usefixtures("committed")
def test_only_a_file_may_be_missing(calibrate: Any, old: str) -> None:
    assert refused(calibrate, "--allow-missing", old, "routing-policy.yaml").startswith(
        (f"{old}:", f"'{old}':")
    )


def test_files_of_a_revision_that_are_no_policy_are_named(calibrate: Any, committed: Any) -> None:
    committed.write("big.yaml", b" " * (8 * 1024 * 1024 + 1))
    committed.write("latin.yaml", b"version: \xe9")
    committed.write("broken.yaml", "version: [\n")
    commit(committed.root)
    new = "routing-policy.yaml"
    assert refused(calibrate, "HEAD:big.yaml", new) == "HEAD:big.yaml: over 8,388,608 bytes"
    assert refused(calibrate, "HEAD:latin.yaml", new) == (
        "HEAD:latin.yaml: not UTF-8; save the file as UTF-8"
    )
    assert refused(calibrate, "HEAD:broken.yaml", new).startswith("HEAD:broken.yaml:2: not YAML")
    assert refused(calibrate, "HEAD:evals/triage.yaml", new).startswith("HEAD:evals/triage.yaml")


@pytest.mark.usefixtures("folder")
def test_outside_of_a_repository_git_says_so(calibrate: Any) -> None:
    assert refused(calibrate, "main:old.yaml", "new.yaml").startswith(
        "main:old.yaml: no such file, and git says: fatal: not a git repository"
    )


@pytest.mark.usefixtures("committed")
def test_without_git_a_revision_cannot_be_read(
    calibrate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refused(calibrate, "main:routing-policy.yaml", "routing-policy.yaml") == (
        "main:routing-policy.yaml: no such file, and git is not installed to look for a revision"
    )


@pytest.mark.usefixtures("committed")
def test_a_git_that_cannot_be_run_is_no_crash(
    calibrate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "bin/git"
    broken.parent.mkdir()
    broken.write_bytes(b"\x7fELF no program")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(broken.parent))
    text = refused(calibrate, "main:routing-policy.yaml", "routing-policy.yaml")
    assert text.startswith("main:routing-policy.yaml: git cannot be asked: ")


def test_a_file_of_that_name_comes_before_a_revision(calibrate: Any, routed: Any) -> None:
    rerouted(routed, model="medium", tier="balanced")
    (routed.root / "other.yaml").rename(routed.root / "main:routing-policy.yaml")
    found = triage(calibrate, "main:routing-policy.yaml", "routing-policy.yaml")
    assert found["old"]["model"] == "medium"


@pytest.mark.parametrize("old", ["nope.yaml", "main:nope.yaml"])
@pytest.mark.usefixtures("committed")
def test_a_first_policy_is_all_new_where_that_is_allowed(calibrate: Any, old: str) -> None:
    found = triage(calibrate, old, "routing-policy.yaml", "--allow-missing")
    assert (found["kind"], found["old"], found["cases_not_known"]) == ("new", None, None)
    back = refused(calibrate, "--allow-missing", "routing-policy.yaml", old)
    assert "no such file" in back


@pytest.mark.usefixtures("folder")
def test_a_project_that_is_named_must_be_there(calibrate: Any) -> None:
    text = refused(calibrate, "old.yaml", "new.yaml", "--project", "nope")
    assert text == "nope: no such folder"
