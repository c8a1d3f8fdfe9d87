"""The pages that are made of what is stored by now: in between, in the end, and when it changes."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest
from answered import record, write_cases

from calibrate.cache import Cache, Recordings
from calibrate.cli.live import DECIDED_EVERY_S, EVERY_S, PAUSE_S, LiveReports

CASES = 40
URL = "http://127.0.0.1:9/v1"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def wait(self) -> None:
        self.now += PAUSE_S


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def triage(project):
    """Forty cases; the cheapest model is certified after some of them, or fails."""
    write_cases(project, CASES)
    project.edit("evals/triage.yaml", "{pass_rate: 0.5,", "{pass_rate: 0.9,")
    return project


@pytest.fixture
def live(triage, clock: Clock) -> Callable[..., LiveReports]:
    def make(*names: str) -> LiveReports:
        return LiveReports(triage.root, "evals/tiers.yaml", names, clock=clock)

    return make


def text_of(reports: LiveReports, file: str) -> str:
    """Return a page without its style and marks, as it is read."""
    shown = reports.page(file)
    assert shown is not None
    body = re.sub(r"(?s)<style>.*?</style>|<script>.*?</script>", "", shown.html)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def answers_cached(project, first: int) -> None:
    """Move the first recorded answers into the cache, as if they had just arrived there."""
    record(project, {"small": ()}, first=first)
    path = project.root / "datasets/recordings/triage.jsonl.gz"
    recorded = list(Recordings(path).all())
    path.unlink()
    with Cache(project.root / ".calibrate/cache.sqlite") as cache:
        for one in recorded:
            cache.put(one.request, URL, one.reply)


def test_without_any_answer_the_page_says_so_and_how_to_get_some(live) -> None:
    text = text_of(live(), "triage.html")
    assert (
        "triage is not decided yet: no answer is stored. `calibrate run triage` asks for them."
        in text
    )
    assert "The policy has no route for it." in text
    assert "0 of at most 120 answers stored" in text
    assert "To run it again calibrate run triage" in text
    assert "in between" not in text


def test_some_answers_are_shown_with_a_look_that_decides_nothing(live, triage) -> None:
    record(triage, {"small": {3}}, first=9)
    text = text_of(live(), "triage.html")
    assert "Not decided yet" in text
    assert re.search(r"small has answered the first 9 of 40 cases\.", text)
    assert "9 of at most 120 answers stored" in text
    assert "What is shown is a look in between, and no decision." in text
    assert "no line is crossed yet" in text
    assert "still open" in text
    assert text.count("no case yet") >= 2  # the other models
    for word in ("keep the baseline", "not needed", "saving", "the route", "Signature"):
        assert word.lower() not in text.lower(), word


def test_the_rate_so_far_stands_beside_the_bar(live, triage) -> None:
    record(triage, {"small": ()}, first=9)
    text = text_of(live(), "triage.html")
    assert "Pass rate so far 100.0 % of small on 9 cases; bar 90.0 %" in text
    assert "Answers stored 9 of at most 120" in text
    assert "Verdicts 0 of at most 3, the cheapest model's first" in text


def test_a_model_that_has_failed_stands_and_the_next_one_is_named(live, triage) -> None:
    record(triage, {"small": range(CASES)})
    text = text_of(live(), "triage.html")
    assert "triage is not decided yet: medium is next, and has no answer yet." in text
    assert "Verdicts 1 of at most 3" in text
    assert "below the bar" in text


def test_where_only_cascades_lack_answers_the_page_says_so(live, triage) -> None:
    triage.edit("evals/triage.yaml", "{pass_rate: 0.9,", "{cascades: true, pass_rate: 0.9,")
    record(triage, {"small": range(CASES)}, first=12)
    record(triage, {"medium": (), "large": ()})
    text = text_of(live(), "triage.html")
    assert "the models have their verdicts, and for cascades small lacks answers." in text
    assert "Verdicts 2 of at most 3" in text
    assert "Pass rate so far" not in text
    assert "medium" in text


def test_a_model_that_cascades_will_ask_is_not_said_to_be_not_needed(live, triage) -> None:
    record(triage, {"small": range(CASES), "medium": ()})
    assert "not needed" in text_of(live(), "triage.html")
    triage.edit("evals/triage.yaml", "{pass_rate: 0.9,", "{cascades: true, pass_rate: 0.9,")
    text = text_of(live(), "triage.html")
    assert "triage is not decided yet: large is next, and has no answer yet." in text
    assert "not needed" not in text


def test_what_the_policy_says_stays_named_until_the_decision(live, triage, calibrate) -> None:
    record(triage, {"small": ()})
    assert calibrate("run", "triage", "--offline").status == 0
    triage.edit("evals/triage.yaml", "Answer with one word", "Answer in one word")
    text = text_of(live(), "triage.html")
    assert "not decided yet: no answer is stored." in text
    assert "Until then the policy says: small (cheap), certified." in text


def test_with_all_answers_it_is_the_page_of_the_report(live, triage, calibrate) -> None:
    record(triage, {"small": ()})
    assert calibrate("run", "triage", "--offline").status == 0
    shown = live().page("triage.html")
    line = r'(?s)<aside class="up".*?</aside>\n'
    assert re.search(line, shown.html)
    written = (triage.root / "reports/triage.html").read_text("utf-8")
    assert re.sub(line, "", shown.html) == written
    assert "as of" not in written
    assert shown.every_s == DECIDED_EVERY_S


def test_a_page_that_is_held_is_not_asked_for_again(live) -> None:
    reports = live()
    followed, held = reports.page("triage.html"), reports.page("triage.html", is_held=True)
    assert (followed.every_s, held.every_s) == (EVERY_S, None)
    assert '<a href="?hold">hold it</a>' in followed.html
    assert '<a href="?">follow it again</a>' in held.html


def test_the_index_lists_every_workflow_with_how_far_it_is(live, triage) -> None:
    record(triage, {"small": ()}, first=9)
    text = (triage.root / "evals/triage.yaml").read_text()
    triage.write("evals/again.yaml", text.replace("seed: 7", "seed: 8"))
    reports = live()
    for file in ("", "index.html"):
        shown = text_of(reports, file)
        assert "again Not decided yet 0 of at most 120 answers stored" in shown
        assert "triage Not decided yet 9 of at most 120 answers stored" in shown
        assert "9 of at most 240 answers stored" in shown
    assert '<a href="triage.html">' in reports.page("").html
    assert reports.page("").every_s == EVERY_S


def test_the_index_of_decided_workflows_calls_them_what_they_are(live, triage, calibrate) -> None:
    record(triage, {"small": ()})
    assert calibrate("run", "triage", "--offline").status == 0
    shown = live().page("index.html")
    assert "triage Certified 40 of at most 120 answers stored" in text_of(live(), "index.html")
    assert '<a href="triage.html"><bdi>triage</bdi></a>' in shown.html
    assert shown.every_s == DECIDED_EVERY_S


def test_only_named_workflows_are_shown(live, triage) -> None:
    triage.write("evals/again.yaml", (triage.root / "evals/triage.yaml").read_text())
    reports = live("triage")
    assert reports.page("again.html") is None
    assert "again.html" not in reports.page("index.html").html
    assert reports.page("triage.html") is not None


@pytest.mark.parametrize(
    "file",
    [
        "../evals/triage.yaml",
        "evals/triage.yaml",
        "/etc/passwd",
        "triage",
        "TRIAGE.html",
        "triage.html/",
        "_triage.cases-1.html",
        "_triage.cases-99.html",
        "routing-policy.yaml",
    ],
)
def test_what_is_no_page_is_none(live, file: str) -> None:
    assert live().page(file) is None


def test_cases_without_room_have_their_pages(live, triage) -> None:
    write_cases(triage, 700)
    triage.edit("evals/triage.yaml", "{pass_rate: 0.9,", "{pass_rate: 0.995,")
    record(triage, {"small": ()}, first=600)
    reports = live()
    further = reports.page("_triage.cases-2.html")
    assert "<h1><bdi>triage</bdi>: cases</h1>" in further.html
    assert "of at most 2,100 answers stored" in further.html
    assert further.every_s == EVERY_S
    assert reports.page("_triage.cases-3.html") is None
    assert "The route fails" not in reports.page("triage.html").html


def test_a_name_that_looks_like_a_page_of_cases_is_a_workflows(live, triage) -> None:
    text = (triage.root / "evals/triage.yaml").read_text()
    triage.write("evals/triage.cases-2.yaml", text)
    reports = live()
    assert "<h1><bdi>triage.cases-2</bdi></h1>" in reports.page("triage.cases-2.html").html
    assert reports.page("_triage.cases-2.cases-2.html") is None


def test_answers_that_arrive_are_seen_and_no_sooner_than_the_pause(live, triage, clock) -> None:
    answers_cached(triage, 4)
    reports = live()
    assert "4 of at most 120 answers stored" in text_of(reports, "triage.html")
    answers_cached(triage, 11)
    assert "4 of at most 120 answers stored" in text_of(reports, "triage.html")
    clock.wait()
    text = text_of(reports, "triage.html")
    assert "11 of at most 120 answers stored" in text
    assert "the first 11 of 40 cases" in text
    assert "11 of at most 120 answers stored" in text_of(reports, "index.html")


def test_the_first_answers_of_all_are_seen(live, triage, clock) -> None:
    reports = live()
    assert "no answer is stored" in text_of(reports, "triage.html")
    assert not (triage.root / ".calibrate").exists()
    answers_cached(triage, 2)
    clock.wait()
    assert "the first 2 of 40 cases" in text_of(reports, "triage.html")


def test_a_cache_that_is_being_written_to_can_be_read(live, triage, clock) -> None:
    answers_cached(triage, 4)
    record(triage, {"small": ()}, first=6)
    path = triage.root / "datasets/recordings/triage.jsonl.gz"
    recorded = list(Recordings(path).all())
    path.unlink()
    reports = live()
    with Cache(triage.root / ".calibrate/cache.sqlite") as cache:  # as a run holds it open
        for one in recorded:
            cache.put(one.request, URL, one.reply)
        clock.wait()
        assert "the first 6 of 40 cases" in text_of(reports, "triage.html")


def test_a_policy_that_is_written_is_seen(live, triage, clock, calibrate) -> None:
    reports = live()
    assert "The policy has no workflow yet." in text_of(reports, "index.html")
    record(triage, {"small": ()})
    assert calibrate("run", "triage", "--offline").status == 0
    clock.wait()
    assert "1 of 1 route certified." in text_of(reports, "index.html")


def test_cases_that_change_are_seen(live, triage, clock) -> None:
    reports = live()
    assert "0 of at most 120 answers stored" in text_of(reports, "triage.html")
    write_cases(triage, CASES + 1)
    clock.wait()
    assert "0 of at most 123 answers stored" in text_of(reports, "triage.html")


def test_a_file_that_is_being_edited_is_told_of_and_then_read(live, triage, clock) -> None:
    reports = live()
    good = (triage.root / "evals/triage.yaml").read_text()
    triage.write("evals/triage.yaml", good.replace("graders:", "graders: [<b>x</b>"))
    clock.wait()
    broken = reports.page("triage.html")
    assert broken.is_problem
    assert broken.every_s == EVERY_S
    assert "evals/triage.yaml:" in broken.html
    assert "<b>x" not in broken.html
    assert reports.page("index.html").is_problem
    triage.write("evals/triage.yaml", good)
    assert not reports.page("triage.html").is_problem


def test_a_workflow_that_cannot_be_shown_keeps_no_other_from_it(live, triage, clock) -> None:
    text = (triage.root / "evals/triage.yaml").read_text()
    triage.write("evals/again.yaml", text.replace("triage.jsonl", "none.jsonl"))
    reports = live()
    assert "again Cannot be shown datasets/none.jsonl" in text_of(reports, "index.html")
    assert reports.page("again.html").is_problem
    assert not reports.page("triage.html").is_problem


def test_an_unreadable_recording_is_told_of(live, triage) -> None:
    triage.write("datasets/recordings/triage.jsonl.gz", b"no gzip")
    shown = live().page("triage.html")
    assert shown.is_problem
    assert "this recording cannot be unpacked" in shown.html


def test_a_page_that_is_stopped_is_not_made(live, triage) -> None:
    record(triage, {"small": ()})
    reports = live()
    reports.stop()
    shown = reports.page("triage.html")
    assert shown.is_problem
    assert "stopped before the answers were read" in shown.html


def test_examples_that_change_are_seen(live, triage, clock) -> None:
    triage.edit("evals/triage.yaml", "labels:", "examples: datasets/shown.jsonl\nlabels:")
    triage.write("datasets/shown.jsonl", '{"input": {"message": "x"}, "expected": "urgent"}\n')
    reports = live()
    assert not reports.page("triage.html").is_problem
    triage.write("datasets/shown.jsonl", "no JSON\n")
    clock.wait()
    assert reports.page("triage.html").is_problem


def test_nothing_is_written(live, triage) -> None:
    record(triage, {"small": ()}, first=9)
    before = triage.files()
    reports = live()
    reports.page("index.html")
    reports.page("triage.html")
    assert triage.files() == before
    assert not Path(triage.root / ".calibrate").exists()
