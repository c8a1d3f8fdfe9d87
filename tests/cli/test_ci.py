"""`calibrate ci`: what stops a change, what has no answer, and what a reviewer gets to read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from answered import MODELS, commit, record, write_cases
from loopback import Loopback, chat

from calibrate.cli.comment import MARKER, comment
from calibrate.cli.gating import Row
from calibrate.cli.junit import junit_xml
from calibrate.cli.snapshot import open_snapshot
from calibrate.comparison import compare as compare_policies
from calibrate.dataset import Case
from calibrate.drift import Change
from calibrate.policy import Policy, load_policy, sealed, write_policy
from calibrate.regression import Pairs, compare

ROOT = Path(__file__).parent.parent.parent
OLD, NEW = "Answer with one word", "Answer in one word"
BEFORE = {"small": range(14), "medium": range(8), "large": range(4)}  # of 200 cases
WORSE = {"small": range(6, 36), "medium": range(8), "large": range(4)}  # 22 lost, 6 won
SAME = {"small": range(2, 16), "medium": range(8), "large": range(4)}  # 2 lost, 2 won


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No CI service runs these tests, whoever does."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE", "CI_PROJECT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test that needs the certified project leaves a copy for the others."""
    return tmp_path_factory.mktemp("template")


@pytest.fixture
def certified(project: Any, calibrate: Any, template: Path) -> Any:
    """A project of 200 recorded cases whose cheapest model is certified, committed."""
    if not (template / "evals").exists():
        write_cases(project, 200)
        record(project, BEFORE)
        assert calibrate("run", "--offline").status == 0
        assert load_policy("routing-policy.yaml").workflows["triage"].model == "small"
        commit(project.root)
        shutil.copytree(project.root, template, dirs_exist_ok=True)
    shutil.copytree(template, project.root, dirs_exist_ok=True)
    return project


def change_prompt(project: Any, calibrate: Any, wrong: Any, **options: Any) -> None:
    """Change the prompt, record what the models answer to it, and run."""
    project.edit("evals/triage.yaml", OLD, NEW)
    record(project, wrong, **options)
    assert calibrate("run", "--offline").status == 0
    assert load_policy("routing-policy.yaml").workflows["triage"].model == "small"


def written(name: str) -> str:
    return (Path(".calibrate/ci") / name).read_text(encoding="utf-8")


def outcomes() -> dict[str, str]:
    """Return how each test case of the JUnit file ended."""
    root = Xml.fromstring(written("junit.xml"))  # noqa: S314 - our own file
    cases = root.iter("testcase")
    return {case.attrib["name"]: case[0].tag if len(case) else "passed" for case in cases}


def test_what_a_change_does_not_touch_is_not_decided_again(certified, calibrate) -> None:
    (certified.root / "datasets/recordings/triage.jsonl.gz").touch()
    status, stdout, stderr = calibrate("ci", "--base", "HEAD")
    assert (status, stderr) == (0, "")
    assert stdout == (
        "triage: fresh, certified, not touched\nspent $0.0000; .calibrate/ci/comment.md\nyes\n"
    )
    assert written("comment.md").startswith(
        f"{MARKER}\n### calibrate: yes. Every route is what its evidence says\n"
        "\nNot touched, and so not decided again: `triage`.\n"
    )
    assert outcomes() == {
        "the policy is what the inputs imply": "passed",
        "a model meets the bar": "passed",
        "the certified route is not worse": "skipped",
    }


def test_a_prompt_that_makes_the_certified_route_worse_is_named(certified, calibrate) -> None:
    change_prompt(certified, calibrate, WORSE)
    status, stdout, _ = calibrate("ci", "--base", "HEAD")
    assert status == 1
    assert stdout.startswith(
        "triage: worse: worse by 8 points: 22 of 200 cases score lower, 6 higher (p = 0.00"
    )
    assert outcomes()["the certified route is not worse"] == "failure"
    text = written("comment.md")
    assert "### calibrate: no. 1 of the routes must not be merged like this" in text
    assert "<details><summary>Lower now: 22</summary>\n\n- `m-" in text


def test_a_drop_that_is_tolerated_is_not_red(certified, calibrate) -> None:
    change_prompt(certified, calibrate, WORSE)
    status, stdout, _ = calibrate("ci", "--base", "HEAD", "--tolerance", "6", "--drop", "20")
    assert status == 0
    assert "a drop of 20 points is ruled out" in stdout


def test_a_prompt_that_changes_little_is_not_worse(certified, calibrate) -> None:
    change_prompt(certified, calibrate, SAME)
    status, stdout, _ = calibrate("ci", "--base", "HEAD")
    assert status == 0
    assert stdout.splitlines()[:2] == [
        "triage: fresh, certified",
        "triage: not worse: 2 of 200 cases score lower, 2 higher; a drop of 5 points is ruled out",
    ]
    assert outcomes()["the certified route is not worse"] == "passed"


def test_answers_to_the_first_cases_only_may_be_too_few(certified, calibrate) -> None:
    change_prompt(certified, calibrate, SAME, first=60)
    status, stdout, _ = calibrate("ci", "--base", "HEAD")
    assert status == 0
    assert "triage: too few cases to see a drop of 5 points: " in stdout
    assert " of 60 cases score lower" in stdout
    assert outcomes()["the certified route is not worse"] == "skipped"


def test_a_stale_policy_is_red_whether_or_not_it_can_be_decided(certified, calibrate) -> None:
    certified.edit("evals/triage.yaml", OLD, NEW)
    status, stdout, _ = calibrate("ci", "--base", "HEAD")
    assert status == 1
    assert stdout.splitlines()[:2] == [
        "triage: stale: the prompt, its examples, labels, schema or output limit changed",
        "triage: no answer: it could not be decided: not all answers are recorded; `calibrate run "
        "triage --record` records them, to be committed, and --live asks for them",
    ]


def test_a_fresh_policy_whose_answers_are_not_there_has_no_answer(certified, calibrate) -> None:
    (certified.root / "datasets/recordings/triage.jsonl.gz").unlink()
    status, stdout, _ = calibrate("ci", "--base", "HEAD")
    assert status == 2
    assert stdout.startswith("triage: no answer: it could not be decided: not all answers are")
    assert stdout.endswith("no answer\n")
    assert outcomes()["the policy is what the inputs imply"] == "error"
    assert "### calibrate: no answer" in written("comment.md")


def test_a_policy_that_its_answers_do_not_give_is_stale(certified, calibrate) -> None:
    """Recordings are no input: only deciding again shows that they are not what was decided on."""
    (certified.root / "datasets/recordings/triage.jsonl.gz").unlink()
    record(certified, {**BEFORE, "small": range(200)})
    status, stdout, _ = calibrate("ci", "--base", "HEAD")
    assert status == 1
    assert (
        "triage: stale: the policy's tier is 'cheap', and deciding again from the answers gives "
        "'balanced'\n"
    ) in stdout


def test_a_bar_that_no_model_meets_is_unmet(certified, calibrate) -> None:
    certified.edit("evals/triage.yaml", OLD, NEW)
    record(certified, dict.fromkeys(MODELS, range(200)))
    assert calibrate("run", "--offline").status == 1
    status, stdout, _ = calibrate("ci")
    assert (status, stdout.splitlines()[0]) == (1, "triage: unmet: no model meets the bar")
    assert outcomes()["a model meets the bar"] == "failure"


def test_a_workflow_that_is_gone_is_stale(certified, calibrate) -> None:
    (certified.root / "evals/triage.yaml").rename(certified.root / "evals/sort.yaml")
    status, stdout, _ = calibrate("ci", "--base", "HEAD")
    assert status == 1
    assert "sort: stale: the policy has no entry; run `calibrate run sort`\n" in stdout
    assert "triage: stale: evals/triage.yaml is gone; take it out of the policy\n" in stdout
    assert 'name="policy"' in written("junit.xml")


def test_each_finding_marks_its_line_where_github_runs_it(
    certified, calibrate, monkeypatch
) -> None:
    certified.edit("evals/triage.yaml", OLD, NEW)
    certified.edit("evals/triage.yaml", "seed: 7", "seed: 8")
    certified.edit("evals/tiers.yaml", "output_usd_per_mtok: 20", "output_usd_per_mtok: 25")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(certified.root.parent))
    assert calibrate("ci", "--base", "HEAD").stderr.splitlines() == [
        "::error file=project/evals/triage.yaml,line=5,title=triage%3A stale::"
        "the prompt, its examples, labels, schema or output limit changed",
        "::error file=project/evals/tiers.yaml,line=5,title=triage%3A stale::a price changed",
        "::error file=project/evals/triage.yaml,line=11,title=triage%3A stale::"
        "the bar, the confidence, the repeats or the seed changed",
    ]


def test_the_step_summary_is_added_to_what_stands_there(
    certified, calibrate, monkeypatch, tmp_path
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert calibrate("ci", "--base", "HEAD").status == 0
    assert summary.read_text() == f"before\n{written('comment.md')}"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    status, _, stderr = calibrate("ci", "--base", "HEAD")
    assert (status, stderr) == (2, f"error: {tmp_path}: cannot be written: Is a directory\n")


def test_json_has_the_same_facts(certified, calibrate) -> None:
    change_prompt(certified, calibrate, WORSE)
    status, stdout, _ = calibrate("ci", "--base", "HEAD", "--json")
    found = json.loads(stdout)
    assert (status, found["status"], found["passed"]) == (1, 1, False)
    (finding,) = found["findings"]
    assert (finding["kind"], finding["file"], finding["line"]) == ("worse", "evals/triage.yaml", 5)
    (workflow,) = found["workflows"]
    regression = workflow["regression"]
    assert (workflow["touched"], workflow["fresh"], workflow["status"]) == (
        *(True, True, "certified"),
    )
    assert (regression["found"], regression["compared"], regression["drop"]) == ("worse", 200, 0.08)
    assert (len(regression["lost"]), len(regression["won"])) == (22, 6)
    assert 0.0005 < regression["p_worse"] < 0.01


def test_nothing_of_the_project_is_written_but_the_outputs(certified, calibrate) -> None:
    change_prompt(certified, calibrate, WORSE)
    before = certified.files()
    calibrate("ci", "--base", "HEAD", "--out", "found")
    new = {name for name, content in certified.files().items() if before.get(name) != content}
    assert new - {".calibrate/cache.sqlite-shm", ".calibrate/cache.sqlite-wal"} == {
        "found/comment.md",
        "found/junit.xml",
        "found/reports/index.html",
        "found/reports/triage.html",
        "found/routing-policy.yaml",
    }
    assert load_policy("found/routing-policy.yaml").workflows == (
        load_policy("routing-policy.yaml").workflows
    )


def test_the_base_is_read_as_it_was_with_its_own_answers(certified, calibrate) -> None:
    """What the change records replaces the old answers; the old ones are those of the base."""
    (certified.root / "datasets/recordings/triage.jsonl.gz").unlink()
    change_prompt(certified, calibrate, WORSE)
    assert "22 of 200 cases score lower, 6 higher" in calibrate("ci", "--base", "HEAD").stdout


def test_only_cases_that_both_have_are_compared(certified, calibrate) -> None:
    text = (certified.root / "datasets/triage.jsonl").read_text()
    certified.write("datasets/triage.jsonl", text.replace('"message 9"', '"another"'))
    change_prompt(certified, calibrate, WORSE)
    assert "21 of 199 cases score lower" not in calibrate("ci", "--base", "HEAD").stdout
    assert " of 199 cases score lower" in calibrate("ci", "--base", "HEAD").stdout


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("routing-policy.yaml", "version: 1\nno: 1\n", "the policy of HEAD cannot be read: "),
        ("routing-policy.yaml", None, "HEAD has no policy"),
        ("evals/tiers.yaml", "version: 1\n", "HEAD cannot be read: evals/tiers.yaml"),
        ("evals/tiers.yaml", None, "HEAD has no evals/tiers.yaml"),
    ],
)
def test_a_base_that_cannot_be_read_is_told_and_stops_nothing(
    certified, calibrate, name, content, text
) -> None:
    path = certified.root / name
    good = path.read_bytes()
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    commit(certified.root)
    path.write_bytes(good)
    status, stdout, _ = calibrate("ci", "--base", "HEAD")
    assert status == 0
    assert f"note: nothing was compared with HEAD: {text}" in stdout
    assert text.replace("`", "") in written("comment.md").replace("`", "")


def test_a_workflow_that_the_base_cannot_run_is_not_compared(certified, calibrate) -> None:
    good = (certified.root / "datasets/triage.jsonl").read_bytes()
    certified.write("datasets/triage.jsonl", "nonsense")
    commit(certified.root)
    certified.write("datasets/triage.jsonl", good)
    assert calibrate("ci", "--base", "HEAD").status == 0
    assert "\nNot compared with before: `triage`: `datasets/triage.jsonl" in written("comment.md")


def test_a_new_workflow_is_not_compared(certified, calibrate) -> None:
    for kind, suffix in (("evals", ".yaml"), ("datasets/recordings", ".jsonl.gz")):
        old = certified.root / f"{kind}/triage{suffix}"
        certified.write(f"{kind}/second{suffix}", old.read_bytes())
    assert calibrate("run", "second", "--offline").status == 0
    status, stdout, _ = calibrate("ci", "--base", "HEAD")
    assert (status, stdout.splitlines()[0]) == (0, "second: fresh, certified")
    assert "it is new since HEAD" in written("comment.md")


def test_calls_that_failed_are_no_regression(certified, calibrate) -> None:
    certified.edit("evals/triage.yaml", OLD, NEW)
    record(certified, BEFORE, failed=range(150, 200))
    status, stdout, _ = calibrate("ci", "--base", "HEAD")
    assert status == 1  # stale
    assert "50 of 200 calls to small failed: that says nothing of a drop" in stdout


def test_a_revision_that_git_does_not_know_is_no_answer(certified, calibrate) -> None:
    status, stdout, stderr = calibrate("ci", "--base", "--nonsense")
    assert (status, stdout) == (2, "")
    status, stdout, stderr = calibrate("ci", "--base", "nonsense")
    assert (status, stdout) == (2, "")
    assert stderr.startswith("error: 'nonsense': git knows no such revision here (")


def test_without_git_a_revision_is_no_answer(certified, calibrate, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(certified.root))
    _, _, stderr = calibrate("ci", "--base", "HEAD")
    assert "git is not installed" in stderr


def test_asking_needs_a_cap(certified, calibrate) -> None:
    assert calibrate("ci", "--live") == (
        2,
        "",
        "error: --live spends money: give it a cap with --max-usd\n",
    )


@pytest.mark.parametrize(
    "options",
    [
        ("--tolerance", "5"),
        ("--tolerance", "-1"),
        ("--tolerance", "nan"),
        ("--drop", "100"),
        ("--drop", "1e999999"),
        ("--confidence", "1"),
        ("--confidence", "much"),
    ],
)
def test_options_that_make_no_test_are_refused(certified, calibrate, options) -> None:
    status, stdout, stderr = calibrate("ci", *options)
    assert (status, stdout) == (2, "")
    assert "error: " in stderr


def test_live_asks_for_what_is_not_stored_and_keeps_to_the_cap(certified, calibrate) -> None:
    with Loopback(lambda received: chat("urgent", model=received.model)) as server:
        certified.edit("evals/tiers.yaml", "http://127.0.0.1:9/v1", server.base_url)
        certified.edit("evals/triage.yaml", OLD, NEW)
        status, stdout, _ = calibrate("ci", "--base", "HEAD", "--live", "--max-usd", "0.000001")
        assert "no answer: it could not be decided: the cap of $0.000001 is reached" in stdout
        assert (status, server.received) == (1, [])
        status, stdout, _ = calibrate("ci", "--base", "HEAD", "--live", "--max-usd", "1")
    assert status == 1  # stale: the gate writes no policy
    assert "not worse: 0 of 200 cases score lower, 14 higher" in stdout
    assert len(server.received) == 200


def test_the_shipped_project_is_decided_as_its_policy_says(
    calibrate, tmp_path, monkeypatch
) -> None:
    for folder in ("evals", "datasets"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "routing-policy.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    status, stdout, stderr = calibrate("ci", "support-simple")
    assert (stdout.splitlines()[0], stderr) == ("support-simple: fresh, uncertified", "")
    assert status == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_found_first(certified, calibrate, tmp_path) -> None:
    (tmp_path / "shut").mkdir(mode=0o500)
    status, _, stderr = calibrate("ci", "--out", str(tmp_path / "shut" / "out"))
    assert status == 2
    assert "cannot be written" in stderr


def test_a_family_is_decided_again_as_one(certified, calibrate) -> None:
    for change in (BEFORE, dict.fromkeys(MODELS, range(200))):
        certified.edit("evals/triage.yaml", "  - one_of", "  - one_of: {ignore_case: true}")
        (certified.root / "datasets/recordings/triage.jsonl.gz").unlink()
        record(certified, change)
        calibrate("run", "--offline", "--family", "holm")
        assert "triage: stale" not in calibrate("ci").stdout
        certified.edit("evals/triage.yaml", "  - one_of: {ignore_case: true}", "  - one_of")


def test_a_policy_alone_that_changed_is_decided_again(certified, calibrate) -> None:
    policy = load_policy("routing-policy.yaml")
    entry = replace(policy.workflows["triage"], attempts=())
    entry = sealed("triage", entry, policy.models)
    write_policy(
        certified.root / "routing-policy.yaml", replace(policy, workflows={"triage": entry})
    )
    status, stdout, _ = calibrate("ci", "--base", "HEAD")
    assert (status, stdout.splitlines()[0]) == (0, "triage: fresh, certified")


def test_a_change_that_takes_back_another_one_is_decided_again(certified, calibrate) -> None:
    certified.edit("evals/triage.yaml", OLD, NEW)
    commit(certified.root)
    certified.edit("evals/triage.yaml", NEW, OLD)
    status, stdout, _ = calibrate("ci", "--base", "HEAD")
    assert (status, stdout.splitlines()[0]) == (0, "triage: fresh, certified")


def test_what_the_policy_lacks_is_decided_for_the_artefact(certified, calibrate) -> None:
    certified.write("routing-policy.yaml", "version: 1\ngenerated_by: ana\n")
    assert calibrate("ci").status == 1
    decided = load_policy(".calibrate/ci/routing-policy.yaml").workflows["triage"]
    assert (decided.status, decided.model) == ("certified", "small")


def test_an_outage_is_no_decision(certified, calibrate) -> None:
    certified.edit("evals/triage.yaml", OLD, NEW)
    record(certified, BEFORE, failed=range(200))
    stdout = calibrate("ci").stdout
    assert "triage: no answer: it could not be decided: too many calls failed" in stdout


def test_an_entry_that_was_taken_out_has_no_route_to_compare(certified, calibrate) -> None:
    certified.write("routing-policy.yaml", "version: 1\ngenerated_by: ana\n")
    certified.edit("evals/triage.yaml", OLD, NEW)
    status, stdout, _ = calibrate("ci", "--base", "HEAD")
    assert (status, stdout.splitlines()[0]) == (
        *(1, "triage: stale: the policy has no entry; run `calibrate run triage`"),
    )
    assert "it has no route now" in written("comment.md")


def test_a_policy_elsewhere_has_no_base_and_is_marked_by_its_path(
    certified, calibrate, monkeypatch, tmp_path
) -> None:
    policy = load_policy("routing-policy.yaml")
    entry = replace(policy.workflows["triage"], digests=None)
    path = tmp_path / "other.json"
    write_policy(path, replace(policy, workflows={"triage": entry}))
    path.write_text(json.dumps(json.loads(path.read_text()), indent="\t"))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    status, stdout, stderr = calibrate(
        *("ci", "--base", "HEAD", "--policy", str(path), "--confidence", "0.9")
    )
    assert status == 1
    assert "note: nothing was compared with HEAD: HEAD has no policy\n" in stdout
    assert stderr.startswith(f"::error file={path},line=46,title=triage%3A stale::")


def test_a_base_without_recordings_has_no_answers(certified, calibrate) -> None:
    certified.edit("evals/tiers.yaml", "recordings: datasets/recordings\n", "")
    commit(certified.root)
    certified.edit("evals/tiers.yaml", "models:\n", "recordings: datasets/recordings\nmodels:\n")
    status, stdout, _ = calibrate("ci", "--base", "HEAD")
    assert status == 0
    assert "of 200 common cases none is answered on both sides" in stdout


def test_a_revision_gives_files_only_and_only_below_its_folder(tmp_path) -> None:
    """Links are not followed, and a tree may be made by hand to have a folder `..`."""
    root = tmp_path / "repository"
    (root / "evals").mkdir(parents=True)
    (root / "evals/é x.yaml").write_bytes(b"a: 1\n")
    (root / "evals/link.yaml").symlink_to("/etc/passwd")
    commit(root)

    def git(*arguments: str, given: str = "") -> str:
        done = subprocess.run(
            ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
            input=given,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    with open_snapshot(root, "HEAD") as snapshot:
        snapshot.copy([""])
        assert list(snapshot.folder.iterdir()) == []
        snapshot.copy(["evals", "nothing"])
        files = [path for path in snapshot.folder.rglob("*") if path.is_file()]
        assert [(path.name, path.read_bytes()) for path in files] == [("é x.yaml", b"a: 1\n")]
    blob = git("hash-object", "-w", "--stdin", given="b: 2\n")
    inner = git("mktree", given=f"100644 blob {blob}\tescaped\n")
    middle = git("mktree", given=f"040000 tree {inner}\t..\n")
    outer = git("mktree", given=f"040000 tree {middle}\t..\n")
    tree = git("mktree", given=f"040000 tree {outer}\tevals\n")
    with open_snapshot(root, git("commit-tree", tree, "-m", "hostile")) as snapshot:
        snapshot.copy(["evals"])
        assert not (snapshot.folder.parent / "escaped").exists()


def row_of(cases: tuple[str, ...]) -> Row:
    """A workflow that fails in all of these cases and passed before."""
    common = tuple(Case(name, "x", "y") for name in cases)
    pairs = Pairs("triage", "small", "small", common, ((1.0, 0.0),) * len(cases))
    (regression,) = compare([pairs])
    return Row("triage", None, (), True, pairs=pairs, regression=regression)


NOTHING = compare_policies(Policy(1, ""), Policy(1, ""), {})


def test_names_of_cases_are_never_markup() -> None:
    hostile = ("<img src=x onerror=alert(1)>", "`code` | cell", "</details>", "@everyone")
    text = comment([row_of(hostile)], [], NOTHING)
    assert "- `<img src=x onerror=alert(1)>`\n" in text  # code, as Markdown shows it
    assert "- <code>&#96;code&#96; &#124; cell</code>\n" in text
    assert "\n</details>\n" in text
    assert text.count("</details>") - text.count("`</details>`") == 1


def test_a_comment_that_is_too_long_is_shortened_and_says_so() -> None:
    rows = [row_of(tuple(f"case {n}" for n in range(900))) for _ in range(200)]
    text = comment(rows, [], NOTHING)
    assert text.startswith(f"{MARKER}\n### calibrate: ")
    assert "- and 850 more\n" in text
    assert len(text.encode()) <= 65_536
    assert "_Shortened to what a comment can hold: " in text


def test_what_xml_cannot_hold_is_replaced() -> None:
    change = Change("triage", "edited", "a\x00b\x1b[31m\ud800 <c> & d")
    found = Xml.fromstring(junit_xml([], [change]))  # noqa: S314 - our own file
    (failure,) = found.iter("failure")
    assert failure.text == "a\ufffdb\ufffd[31m\ufffd <c> & d"
