"""Progress as a table on a terminal, as lines elsewhere, and what is counted for it."""

from __future__ import annotations

import asyncio
import errno
import os
import pty
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from io import StringIO

import pytest
from rich.console import Console

from calibrate.candidates import Candidate
from calibrate.cli.display import Display, Lines, Screen, display_for
from calibrate.cli.progress import Progress
from calibrate.client import Source
from calibrate.completion import Failure, FailureReason, Usage
from calibrate.config import Model
from calibrate.dataset import Case
from calibrate.gate import Outcome, Reason, Verdict
from calibrate.graders.base import Grade
from calibrate.pricing import Budget, TokenPrice
from calibrate.trial import AnyTrial, FailedTrial, Trial

PRICE = TokenPrice(Decimal(1), Decimal(2))
CENT = Decimal("0.01")


def candidate(alias: str) -> Candidate:
    price = {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2}
    model = Model.model_validate({"endpoint": "e", "name": "m-1", "price": price})
    return Candidate(alias, "cheap", model, "openai", 30.0, PRICE, None, Decimal(0))


def answer(model: str, score: float = 1.0, source: Source = Source.ASKED) -> Trial:
    return Trial(
        case=Case("c", "in", "out"),
        model=model,
        repeat=0,
        asked="in",
        answer="out",
        finish="stop",
        grade=Grade(score, "because"),
        signals={},
        usage=Usage(10, 1),
        cost_usd=CENT,
        latency_s=0.5,
        served_model=model,
        source=source,
    )


def failure(model: str) -> FailedTrial:
    failed = Failure(FailureReason.SERVER_ERROR, "HTTP 500")
    return FailedTrial(Case("c", "in", "out"), model, 0, "in", failed, CENT, 0.5, Source.ASKED)


def verdict(model: str, outcome: Outcome, estimate: float | None, cases: int) -> Verdict:
    return Verdict(model, "cheap", outcome, Reason.QUALITY, 0.05, cases, 100, estimate=estimate)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Shown:
    """A progress with its display in memory, and a clock that stands still."""

    out: StringIO
    budget: Budget
    clock: Clock
    progress: Progress

    def ask(self, trial: AnyTrial, *, in_flight: bool = False) -> None:
        """One attempt of a cent, and the trial that it gives unless it is still in flight."""
        self.budget.reserve(CENT, trial.model)
        if not in_flight:
            self.budget.settle(CENT, CENT, trial.model)
            self.progress.advance(trial)

    def lines(self) -> list[str]:
        return self.out.getvalue().splitlines()

    def drawn(self) -> list[str]:
        """Return the lines of the last table before it was wiped away."""
        last = self.out.getvalue().split("\x1b[2K")[-1]
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", last)
        return [line.rstrip() for line in plain.splitlines() if line.strip()]


def shown(
    use: Callable[[Shown], None],
    make: Callable[[StringIO], Display] = lambda out: Lines("sort", out),
    *,
    is_rate: bool = True,
) -> Shown:
    async def main() -> Shown:
        out, budget, clock = StringIO(), Budget(None), Clock()
        progress = Progress("sort", budget, is_rate=is_rate, display=make(out), clock=clock)
        found = Shown(out, budget, clock, progress)
        with progress:
            use(found)
        return found

    return asyncio.run(main())


def screen(width: int = 80, workflow: str = "sort") -> Callable[[StringIO], Display]:
    def make(out: StringIO) -> Display:
        console = Console(
            file=out,
            force_terminal=True,
            width=width,
            color_system=None,
            _environ={"TERM": "xterm"},
        )
        return Screen(workflow, console)

    return make


def two_models(at: Shown) -> None:
    at.progress.start(candidate("tiny"), 40)
    for number in range(8):
        at.ask(answer("tiny", score=number % 2))
    at.progress.settle(verdict("tiny", Outcome.FAILED, 0.2, 5))
    at.progress.start(candidate("mid"), 1200)
    for _ in range(2):
        at.progress.advance(answer("mid", source=Source.CACHED))
    at.progress.advance(answer("mid", source=Source.RECORDED))
    at.ask(failure("mid"))
    for _ in range(2):
        at.ask(answer("mid"), in_flight=True)
    at.clock.now = 10.0
    at.ask(answer("mid"))


def test_a_terminal_shows_a_line_for_each_model() -> None:
    table: list[str] = []

    def use(at: Shown) -> None:
        two_models(at)
        table.extend(at.drawn())

    at = shown(use, screen())
    # mid: 2 requests ended and gave 2 trials in 10 s, so that the other 1195 may take 5975 s.
    assert table == [
        "sort   done stored failed open req/s    $      so far      verdict",
        "tiny   8/40      0      0            0.08 20.0 % of 5       failed",
        "mid  5/1200      3      1    2   0.2 0.02 80.0 % of 5 1:39:35 left",
    ]
    wiped = at.out.getvalue()
    assert wiped.index("\x1b[?25l") < wiped.index("\x1b[?25h")
    assert "\x1b[?25l" not in wiped[wiped.rindex("\x1b[?25h") :]


def test_elsewhere_there_is_a_line_after_ten_seconds_and_at_each_verdict_from_then_on() -> None:
    def use(at: Shown) -> None:
        two_models(at)
        at.clock.now = 19.9
        at.progress.advance(answer("mid"))
        at.progress.settle(verdict("mid", Outcome.CERTIFIED, 0.975, 1190))
        at.clock.now = 20.0
        at.progress.advance(answer("mid"))  # as with `--cases all`

    assert shown(use).lines() == [
        "sort: mid: 5 of at most 1,200 done, 3 stored, 1 failed, 2 in flight, 0.2 requests/s, "
        "$0.02, 80.0 % of 5, at most 1:39:35 left",
        "sort: mid: certified, 97.5 % of 1,190, 6 done, 3 stored, 1 failed, $0.02",
        "sort: mid: 7 of at most 1,200 done, 3 stored, 1 failed, 2 in flight, 0.0 requests/s, "
        "$0.02, 97.5 % of 1,190, certified, at most 1:39:25 left",
    ]


def test_a_model_that_has_just_begun_has_the_pace_of_the_one_before_it() -> None:
    """And not that of its first answer, by which 37 others would take a minute."""
    table: list[str] = []

    def use(at: Shown) -> None:
        at.progress.start(candidate("tiny"), 40)
        for _ in range(8):
            at.ask(answer("tiny"))
        at.clock.now = 4.0
        at.progress.start(candidate("mid"), 40)
        for _ in range(3):
            at.ask(answer("mid"), in_flight=True)
        at.clock.now = 5.5
        at.ask(answer("mid"))
        table.extend(at.drawn())

    shown(use, screen())
    assert table[-1].endswith(" 0:21 left")  # 39 at 1/12 x 0.67/s + 11/12 x 2/s


def test_a_model_that_is_asked_again_much_later_is_not_slowed_by_the_time_between() -> None:
    table: list[str] = []

    def use(at: Shown) -> None:
        for model, seconds in (("tiny", 10.0), ("mid", 110.0), ("tiny", 111.5)):
            at.progress.start(candidate(model), 90)
            for _ in range(10):
                at.ask(answer(model))
            at.clock.now = seconds
            at.ask(answer(model))
        table.extend(at.drawn())

    shown(use, screen())
    (tiny,) = [line for line in table if line.startswith("tiny")]
    assert tiny.startswith("tiny 22/90")
    assert tiny.endswith(" 0:09 left")  # 68 at 11 in 1.5 s


def side_by_side(at: Shown) -> None:
    """Three are announced; two of them have requests in flight, one has not begun."""
    for model in ("tiny", "mid", "large"):
        at.progress.start(candidate(model), 40)
    for model, answered in (("tiny", 4), ("mid", 2)):
        for _ in range(answered):
            at.ask(answer(model))
        at.ask(answer(model), in_flight=True)
    at.clock.now = 10.0
    at.ask(answer("mid"))


def test_models_that_are_asked_at_once_are_shown_with_their_own_figures() -> None:
    table: list[str] = []

    def use(at: Shown) -> None:
        side_by_side(at)
        table.extend(at.drawn())

    elsewhere = shown(side_by_side).lines()
    shown(use, screen())
    assert table == [
        "sort  done stored failed open req/s    $       so far   verdict",
        "tiny  4/40      0      0    1   0.3 0.04 100.0 % of 4 1:30 left",
        "mid   3/40      0      0    1   0.2 0.03 100.0 % of 3 2:03 left",
        "large 0/40      0      0               0",
    ]
    assert [line.partition(", 1 in flight")[0] for line in elsewhere] == [
        "sort: tiny: 4 of at most 40 done",
        "sort: mid: 3 of at most 40 done",
    ]


def test_a_model_whose_turn_comes_later_has_the_pace_since_then() -> None:
    table: list[str] = []

    def use(at: Shown) -> None:
        for model in ("tiny", "mid"):
            at.progress.start(candidate(model), 40)
        for model in ("tiny", "mid"):  # each in four seconds
            for second in range(4):
                for _ in range(10):
                    at.ask(answer(model))
                at.clock.now += 1 if second or model == "tiny" else 1.5
        at.ask(answer("mid"))
        table.extend(at.drawn())

    shown(use, screen())
    assert "  8.9 " in table[-1]  # 40 in 4.5 s, and not in 8.5 s


def test_what_an_earlier_workflow_paid_for_a_model_is_not_this_ones() -> None:
    def use(at: Shown) -> None:
        at.progress.start(candidate("tiny"), 40)
        at.clock.now = 10.0
        at.ask(answer("tiny"))

    async def main() -> str:
        out, budget, clock = StringIO(), Budget(None), Clock()
        for _ in range(3):
            budget.reserve(CENT, "tiny")
            budget.settle(CENT, CENT, "tiny")
        progress = Progress("sort", budget, display=Lines("sort", out), clock=clock)
        with progress:
            use(Shown(out, budget, clock, progress))
        return out.getvalue()

    assert "1 of at most 40 done, 0 in flight, 0.1 requests/s, $0.01, " in asyncio.run(main())


def test_what_is_spent_is_told_beside_its_cap() -> None:
    def use(at: Shown) -> None:
        at.budget.limit_usd = Decimal("1.50")
        two_models(at)

    on_screen, elsewhere = shown(use, screen()), shown(use)
    assert "$0.1000 of $1.50 spent" in on_screen.out.getvalue()
    assert elsewhere.lines()[0].endswith("at most 1:39:35 left, $0.1000 of $1.50 spent")


def test_an_interrupted_run_has_no_time_left() -> None:
    def use(at: Shown) -> None:
        at.progress.start(candidate("tiny"), 40)
        at.ask(answer("tiny"))
        at.budget.is_shut = True
        at.clock.now = 10.0
        at.progress.advance(answer("tiny"))

    (line,) = shown(use).lines()
    assert line.endswith("$0.01, 100.0 % of 2")


@pytest.mark.parametrize("asked_last", [0, 29])
def test_of_more_models_than_lines_the_one_that_is_asked_is_shown(asked_last: int) -> None:
    table: list[str] = []

    def use(at: Shown) -> None:
        for number in (*range(30), asked_last):
            at.progress.start(candidate(f"model-{number:02}"), 40)
        at.clock.now = 10.0
        at.ask(answer(f"model-{asked_last:02}"))
        table.extend(at.drawn())

    shown(use, screen())
    assert [line for line in table if line.startswith(f"model-{asked_last:02}")]
    assert len(table) == 1 + 22  # of 25 lines


def test_a_short_run_says_nothing() -> None:
    def use(at: Shown) -> None:
        at.progress.start(candidate("tiny"), 40)
        at.ask(answer("tiny"))
        at.clock.now = 9.9
        at.ask(answer("tiny"))
        at.progress.settle(verdict("tiny", Outcome.CERTIFIED, 1.0, 2))

    assert shown(use).lines() == []


def test_a_verdict_without_an_estimate_leaves_what_was_seen() -> None:
    def use(at: Shown) -> None:
        at.progress.start(candidate("tiny"), 40)
        at.clock.now = 10.0
        at.ask(answer("tiny", score=0.0))
        at.progress.settle(verdict("tiny", Outcome.FAILED, None, 1))

    assert shown(use).lines()[1] == "sort: tiny: failed, 0.0 % of 1, 1 done, $0.01"


def test_a_mean_score_is_no_percentage() -> None:
    def use(at: Shown) -> None:
        at.progress.start(candidate("tiny"), 40)
        at.ask(answer("tiny", score=0.25))
        at.clock.now = 10.0
        at.ask(answer("tiny", score=0.5))

    (line,) = shown(use, is_rate=False).lines()
    assert "$0.02, 0.375 of 2, at most 3:10 left" in line


def test_a_second_decision_does_not_count_the_same_trials_again() -> None:
    def use(at: Shown) -> None:
        for share in range(2):
            at.progress.begin()
            at.progress.start(candidate("tiny"), 40 + share)
            for _ in range(3):
                at.progress.advance(answer("tiny"))
        at.clock.now = 10.0
        at.progress.advance(answer("tiny"))
        at.progress.settle(verdict("tiny", Outcome.CERTIFIED, 1.0, 4))
        at.progress.settle(verdict("tiny", Outcome.CERTIFIED, 1.0, 4))

    first, second = shown(use).lines()
    assert first.startswith("sort: tiny: 4 of at most 41 done, ")
    assert second == "sort: tiny: certified, 100.0 % of 4, 4 done, $0"


def test_after_a_new_start_only_what_comes_then_counts_but_what_was_paid_stays() -> None:
    def use(at: Shown) -> None:
        at.progress.begin()
        at.progress.start(candidate("tiny"), 40)
        for trial in (answer("tiny", score=0.0), failure("tiny"), failure("tiny")):
            at.ask(trial)
        at.progress.begin()
        at.progress.start(candidate("tiny"), 40)
        at.clock.now = 10.0
        at.ask(answer("tiny"))

    # That one answer is the first again, and says nothing of how long the others will take.
    assert shown(use).lines() == [
        "sort: tiny: 1 of at most 40 done, 0 in flight, 0.4 requests/s, $0.04, 100.0 % of 1, "
        "at most 2:10 left"
    ]


def test_what_is_sent_and_paid_is_put_down_to_the_model_that_is_asked() -> None:
    def use(at: Shown) -> None:
        for _ in range(2):
            for model, requests in (("small", 3), ("large", 1)):
                at.progress.start(candidate(model), 10)
                for _ in range(requests):
                    at.ask(answer(model))
        at.clock.now = 10.0
        at.progress.start(candidate("small"), 10)
        at.ask(answer("small"))

        table.extend(at.drawn())

    table: list[str] = []
    shown(use, screen())
    assert table == [
        "sort  done stored failed open req/s    $       so far   verdict",
        "small 7/10      0      0    0   0.7 0.07 100.0 % of 7 0:04 left",
        "large 2/10      0      0            0.02 100.0 % of 2",
    ]


def test_names_of_models_are_neither_markup_nor_commands_to_the_terminal() -> None:
    name = "[red]x[/]\x1b[2J\n"

    def use(at: Shown) -> None:
        at.progress.start(candidate(name), 40)
        at.clock.now = 10.0
        at.ask(answer(name))
        at.progress.say("[bold]not markup[/]")

    on_screen, elsewhere = shown(use, screen(100)), shown(use)
    assert "[red]x[/]?[2J? " in on_screen.out.getvalue()
    assert "[bold]not markup[/]" in on_screen.out.getvalue()
    assert elsewhere.lines()[0].startswith("sort: [red]x[/]?[2J?: 1 of ")
    for found in (on_screen, elsewhere):
        assert "\x1b[2J" not in found.out.getvalue()


def test_where_there_is_too_little_room_names_are_cut_and_figures_are_not() -> None:
    def use(at: Shown) -> None:
        at.progress.start(candidate("a-model-with-a-long-name"), 40)
        at.clock.now = 10.0
        at.ask(answer("a-model-with-a-long-name"))
        table.extend(at.drawn())

    table: list[str] = []
    for width in (72, 50):
        shown(use, screen(width, "a-workflow-with-a-long-name"))
    assert table == [
        "a-workflow-wi… done stored failed open req/s    $       so far   verdict",
        "a-model-with-… 1/40      0      0    0   0.1 0.01 100.0 % of 1 6:30 left",
        "a-workflow-with-a-long… done failed    $   verdict",
        "a-model-with-a-long-na… 1/40      0 0.01 6:30 left",
    ]


def test_the_time_that_is_left_follows_the_last_seconds() -> None:
    def use(at: Shown) -> None:
        at.progress.start(candidate("tiny"), 121)
        for now in (10.0, 20.0):  # a hundred in the first ten seconds, ten in the next
            for _ in range(99 if now == 10.0 else 9):
                at.ask(answer("tiny"))
            at.clock.now = now
            at.ask(answer("tiny"))

    first, second = shown(use).lines()
    assert first.endswith("10.0 requests/s, $1.00, 100.0 % of 100, at most 0:02 left")
    assert second.endswith("1.0 requests/s, $1.10, 100.0 % of 110, at most 0:11 left")


class Awaited(StringIO):
    """A stream that can be waited for; a line is whole when it is flushed."""

    def __init__(self) -> None:
        super().__init__()
        self.written = asyncio.Event()

    def flush(self) -> None:
        self.written.set()


def test_a_run_in_which_nothing_arrives_still_tells_how_far_it_is() -> None:
    async def main() -> str:
        out, budget = Awaited(), Budget(None)
        with Progress("sort", budget, display=Lines("sort", out, every_s=0.01)) as progress:
            await asyncio.sleep(0.02)  # nothing is asked yet, and nothing is told
            progress.start(candidate("tiny"), 40)
            budget.reserve(CENT, "tiny")
            await out.written.wait()
        return out.getvalue()

    assert asyncio.run(main()) == "sort: tiny: 0 of at most 40 done, 1 in flight, $0\n"


class Gone(StringIO):
    """A stream to a terminal that was closed."""

    def write(self, text: str) -> int:
        raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize(
    "display",
    [
        Lines("sort", Gone(), every_s=0.0),
        Screen("sort", Console(file=Gone(), force_terminal=True, _environ={"TERM": "xterm"})),
    ],
)
def test_a_display_whose_reader_has_gone_does_not_end_the_run(display: Display) -> None:
    def use(at: Shown) -> None:
        at.progress.start(candidate("tiny"), 40)
        at.clock.now = 1.0
        at.ask(answer("tiny"))
        at.progress.settle(verdict("tiny", Outcome.CERTIFIED, 1.0, 1))
        at.progress.say("still here")

    stderr = sys.stderr
    shown(use, lambda _: display)
    assert sys.stderr is stderr


def test_only_a_terminal_that_can_move_its_cursor_gets_a_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as build servers do, whose logs are no terminals
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "w"), os.fdopen(theirs, "w") as terminal:
        for term, kind in (("xterm", Screen), ("dumb", Lines), ("unknown", Lines)):
            monkeypatch.setenv("TERM", term)
            assert type(display_for(terminal, "sort")) is kind
    assert type(display_for(StringIO(), "sort")) is Lines
