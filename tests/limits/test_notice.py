from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrate.limits import Left, Notice, notice_in

DATE = {"date": "Wed, 21 Oct 2026 07:28:00 GMT"}


def test_most_answers_say_nothing() -> None:
    assert notice_in({"content-type": "application/json"}) == Notice()


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("0", 0.0),
        ("86400", 86_400.0),
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2026 07:27:30 GMT", 0.0),  # it has passed
        ("Wednesday, 21-Oct-26 07:29:00 GMT", 60.0),
        ("Wed Oct 21 07:29:00 2026", 60.0),
        ("2026-10-21T07:28:01Z", 1.0),
        ("6m0s", 360.0),
        *((nonsense, None) for nonsense in ("-1", "nan", "inf", "1e9", "soon", "", "7 s", "٧")),
        ("86401", None),
        ("Wed, 21 Oct 2036 07:28:00 GMT", None),
        ("Wed, 99 Oct 2026 07:28:00 GMT", None),
        ("9" * 400, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(said: str, seconds: float | None) -> None:
    assert notice_in({"retry-after": said, **DATE}).retry_after_s == seconds


def test_without_its_own_date_an_answer_is_understood_by_the_clock_here() -> None:
    moment = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 1000))
    seconds = notice_in({"retry-after": moment}).retry_after_s
    assert seconds is not None
    assert 900 < seconds <= 1000


@pytest.mark.parametrize(("finer", "seconds"), [("1500", 1.5), ("soon", 7.0), ("9" * 9, None)])
def test_a_wait_in_milliseconds_comes_before_one_in_seconds(
    finer: str, seconds: float | None
) -> None:
    assert notice_in({"retry-after-ms": finer, "retry-after": "7"}).retry_after_s == seconds


def test_openai_says_what_is_left_of_requests_and_tokens() -> None:
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    assert notice_in(headers) == Notice(None, Left(59, 1.0), Left(149_984, 360.0))


def test_anthropic_says_what_is_left_of_requests_and_tokens() -> None:
    headers = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2026-10-21T07:28:12Z",
        "anthropic-ratelimit-tokens-remaining": "39000",
        "anthropic-ratelimit-tokens-reset": "2026-10-21T07:29:00+00:00",
        "retry-after": "12",
        **DATE,
    }
    assert notice_in(headers) == Notice(12.0, Left(0, 12.0), Left(39_000, 60.0))


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("20ms", 0.02),
        ("1s", 1.0),
        ("2m59.56s", 179.56),
        ("1h2m3s", 3723.0),
        ("1d", 86_400.0),
        ("12", 12.0),
    ],
)
def test_a_reset_is_a_duration(said: str, seconds: float) -> None:
    notice = notice_in({"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": said})
    assert notice.tokens == Left(5, pytest.approx(seconds))


@pytest.mark.parametrize(
    ("remaining", "reset"),
    [("5", None), ("-1", "1s"), ("many", "1s"), ("5", "2d"), ("5", "s"), ("5", "1s later")],
)
def test_what_cannot_be_read_is_not_said(remaining: str, reset: str | None) -> None:
    headers = {"x-ratelimit-remaining-requests": remaining}
    if reset is not None:
        headers["x-ratelimit-reset-requests"] = reset
    assert notice_in(headers).requests is None


NAMES = st.sampled_from(
    [
        "date",
        "retry-after",
        "retry-after-ms",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-reset-requests",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-reset",
    ]
)
VALUES = st.text() | st.from_regex(r"\A[0-9.]{1,12}(ms|s|m|h|d)?\Z") | st.datetimes().map(str)


@given(st.dictionaries(NAMES, VALUES))
def test_whatever_a_server_says_waits_are_within_a_day(headers: dict[str, str]) -> None:
    notice = notice_in(headers)
    waits = [notice.retry_after_s]
    waits += [left.reset_s for left in (notice.requests, notice.tokens) if left is not None]
    assert all(wait is None or 0 <= wait <= 86_400 for wait in waits)
