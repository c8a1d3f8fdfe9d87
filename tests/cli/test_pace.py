"""The pace of one model, and the time that what is left of it may take."""

from __future__ import annotations

import pytest

from calibrate.cli.pace import Pace, Pacer, Seen


def coming(before: float | None) -> Pacer:
    """A model that a run comes to at second 100 with this pace."""
    pacer = Pacer()
    pacer.come(Seen(100.0, 0, 0), before)
    return pacer


def look(pacer: Pacer, at_s: float, answered: int, in_flight: int, left: int = 100) -> Pace:
    return pacer.pace(Seen(100.0 + at_s, answered, answered), left=left, in_flight=in_flight)


def test_its_own_pace_is_that_of_the_last_ten_seconds() -> None:
    pacer = coming(None)
    look(pacer, 5.0, 50, in_flight=1)
    look(pacer, 10.0, 100, in_flight=1)
    # From second 5 on: 10 answers in 10 s.
    assert look(pacer, 15.0, 60, in_flight=1) == Pace(1.0, 100.0)


def test_nothing_is_told_of_less_than_a_second() -> None:
    assert look(coming(None), 0.9, 90, in_flight=1) == Pace()


def test_the_first_model_of_a_run_tells_no_time_until_as_much_has_come_as_is_in_flight() -> None:
    pacer = coming(None)
    assert look(pacer, 3.0, 1, in_flight=63).left_s is None  # it would be five minutes
    assert look(pacer, 4.0, 64, in_flight=64).left_s == pytest.approx(100 / 16)


def test_a_model_without_answers_has_the_pace_of_the_run_before_it() -> None:
    pacer = coming(2.0)
    assert look(pacer, 0.2, 0, in_flight=8).left_s == 50.0
    assert look(pacer, 3.9, 0, in_flight=8) == Pace(0.0, 50.0)


def test_it_is_never_faster_than_what_is_in_flight_allows() -> None:
    # Of 8 that are in flight for 16 s none is there: they are 0.5/s at most, however it was before.
    assert look(coming(50.0), 16.0, 0, in_flight=8).left_s == 200.0


def test_the_first_answers_of_a_slow_wave_do_not_frighten() -> None:
    """At 3 s a call, 64 at once, the run had 21/s; the first one of a model proves nothing else."""
    left_s = look(coming(21.0), 3.0, 1, in_flight=63, left=299).left_s
    assert left_s == pytest.approx(299 / 21, rel=0.01)  # and not 299 x 3 s


def test_its_own_pace_takes_over_as_its_answers_come() -> None:
    pacer = coming(10.0)
    # In flight 4, so that 16 answers are enough. Its own pace is 2/s.
    shares = [(2.0, 4), (4.0, 8), (6.0, 12), (8.0, 16), (9.0, 18)]
    found = [100 / (look(pacer, at_s, came, in_flight=4).left_s or 0.0) for at_s, came in shares]
    # came/16 of 2/s, and for the rest what is possible at most: (came + 4) / seconds
    expected = [0.25 * 2 + 0.75 * 4, 0.5 * 2 + 0.5 * 3, 0.75 * 2 + 0.25 * 16 / 6, 2.0, 2.0]
    assert found == pytest.approx(expected)


def test_a_model_that_answers_no_more_has_no_end_in_sight() -> None:
    pacer = coming(None)
    look(pacer, 5.0, 100, in_flight=1)
    look(pacer, 15.0, 100, in_flight=1)
    assert look(pacer, 25.0, 100, in_flight=1) == Pace(0.0, None)


def test_it_hands_its_pace_on_or_that_of_the_run_where_it_has_none() -> None:
    assert coming(None).go(Seen(102.0, 10, 10)) == 5.0
    assert coming(3.0).go(Seen(100.5, 10, 10)) == 3.0  # too short to say
    assert coming(3.0).go(Seen(110.0, 0, 0)) == 3.0  # all of its answers were stored
    assert coming(None).go(Seen(100.5, 10, 10)) is None


def test_a_model_that_the_run_comes_back_to_much_later_begins_with_its_own_pace() -> None:
    pacer = coming(None)
    pacer.go(Seen(110.0, 20, 20))
    pacer.come(Seen(170.0, 20, 20), 50.0)
    assert look(pacer, 70.5, 20, in_flight=8).left_s == 50.0  # 2/s; a minute away says nothing


def test_a_run_that_goes_to_and_fro_counts_the_time_with_the_other_model() -> None:
    pacer = coming(None)
    pacer.go(Seen(102.0, 8, 8))
    pacer.come(Seen(106.0, 8, 8), 50.0)
    assert look(pacer, 8.0, 16, in_flight=2).left_s == 50.0  # 16 answers in 8 s
