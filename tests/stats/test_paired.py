"""The exact test of a share: literals, its promise by enumeration, and what it is ranked by."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, multinomial

from calibrate.stats.paired import drop_p_value, share_p_value


@pytest.mark.parametrize("losses", [0, 1, 4, 5])
def test_without_wins_it_is_the_binomial_test_of_the_losses(losses) -> None:
    """No win was seen: the edge at P(win) = 0 is the worst, but for the error of the interval."""
    exact = binom.cdf(losses, 200, 0.05)
    assert exact <= share_p_value(200, losses, 0, 0.95) <= exact + 0.004


def test_fifty_nine_pairs_without_a_loss_are_the_least_that_suffice() -> None:
    """.95^59 = .0485 and .95^58 = .0510."""
    assert share_p_value(59, 0, 0, 0.95) <= 0.05 < share_p_value(58, 0, 0, 0.95)


def test_wins_make_up_for_losses() -> None:
    """Alone, 5 losses in 200 pairs have .0623; with 3 wins they are fewer than 5 by 2.85."""
    alone, made_up = share_p_value(200, 5, 0, 0.95), share_p_value(200, 5, 3, 0.95)
    assert alone > 0.05
    assert made_up == pytest.approx(0.0145, abs=0.001)


def test_more_losses_and_fewer_wins_are_weaker_evidence() -> None:
    p = np.array(
        [[share_p_value(60, losses, wins, 0.8) for wins in range(6)] for losses in range(9)]
    )
    assert (np.diff(p, axis=0) >= -0.002).all()  # the finer bounds of some are a little lower
    assert (np.diff(p, axis=1) <= 0.002).all()


@pytest.mark.parametrize(("pairs", "losses", "wins"), [(0, 0, 0), (100, 5, 0), (100, 24, 20)])
def test_what_is_not_above_the_share_has_p_value_1(pairs, losses, wins) -> None:
    assert share_p_value(pairs, losses, wins, 0.95) == 1.0


def test_a_challenger_that_alone_passes_is_far_above_the_share() -> None:
    assert share_p_value(40, 0, 40, 0.95) < 1e-4


@pytest.mark.parametrize(("pairs", "share"), [(12, 0.5), (20, 0.8), (30, 0.95), (36, 0.9)])
def test_no_pair_of_rates_under_the_hypothesis_is_rejected_too_often(pairs, share) -> None:
    """P(p <= a) <= a at every a that is a p-value, on the edge and below it, by enumeration."""
    samples = [(loss, win) for loss in range(pairs + 1) for win in range(pairs + 1 - loss)]
    p = np.array([share_p_value(pairs, loss, win, share) for loss, win in samples])
    order = np.argsort(p)
    ends = np.append(np.diff(p[order]) > 0, True)
    counts = np.array([(loss, win, pairs - loss - win) for loss, win in samples])
    for win in np.linspace(0, share / (1 + share), 25):
        for loss in np.linspace((1 - share) + share * win, 1 - win, 3):
            law = multinomial.pmf(counts, pairs, [loss, win, max(1 - win - loss, 0.0)])
            assert (np.cumsum(law[order])[ends] <= p[order][ends] + 1e-9).all()


def test_large_samples_are_bounded_from_above_as_well() -> None:
    """At the edge's estimate the score is 0; 3 standard deviations below are about .0013."""
    found = share_p_value(10_000, 600, 200, 0.95)
    assert 0.0007 < found < 0.0012
    assert share_p_value(2_000, 100, 80, 0.95) < share_p_value(2_000, 140, 80, 0.95) < 0.05


@pytest.mark.parametrize(("losses", "wins", "share"), [(-1, 0, 0.9), (6, 5, 0.9), (1, 1, 1.0)])
def test_counts_that_cannot_be_are_refused(losses, wins, share) -> None:
    with pytest.raises(ValueError, match=r"losses|share"):
        share_p_value(10, losses, wins, share)


def test_the_quick_bound_is_above_the_sum_that_it_stands_for(monkeypatch) -> None:
    counts = [(300, 2, 1), (300, 0, 0), (2_000, 40, 10), (2_000, 60, 30), (9_000, 300, 250)]
    quick = [share_p_value(*count, 0.95) for count in counts]
    monkeypatch.setattr("calibrate.stats.paired.CLEAR", (0.0, 0.0))
    share_p_value.cache_clear()
    summed = [share_p_value(*count, 0.95) for count in counts]
    share_p_value.cache_clear()
    assert all(p <= bound <= 2e-4 for p, bound in zip(summed, quick, strict=True))


def test_a_drop_is_tested_on_all_cases_and_not_only_on_those_that_differ() -> None:
    """9 losses and 2 wins: McNemar's conditional test has binom.sf(8, 11, .5) = .0327."""
    conditional = float(binom.sf(8, 11, 0.5))
    assert drop_p_value(200, 9, 2) == pytest.approx(0.021, abs=0.003)
    assert drop_p_value(200, 9, 2) < conditional


@pytest.mark.parametrize(
    ("cases", "losses", "wins", "drop", "below"),
    [
        (0, 0, 0, 0.0, False),
        (200, 0, 0, 0.0, False),  # none differs: no evidence of a drop
        (200, 5, 9, 0.0, False),
        (200, 12, 2, 0.05, False),  # the drop is just that
        (200, 12, 2, 0.05, True),
        (20, 0, 0, 0.0, True),
    ],
)
def test_no_evidence_of_a_drop_has_p_value_1(cases, losses, wins, drop, below) -> None:
    assert drop_p_value(cases, losses, wins, drop, below=below) == 1.0


def test_without_a_case_that_differs_a_drop_is_ruled_out_as_by_the_binomial() -> None:
    """.95^59 = .0485 and .95^58 = .0510."""
    ruled_out = [drop_p_value(n, 0, 0, 0.05, below=True) <= 0.05 for n in (58, 59)]
    assert ruled_out == [False, True]


@pytest.mark.parametrize("wrong", [(10, -1, 0, 0.0), (10, 6, 5, 0.0), (10, 1, 1, 1.0)])
def test_a_drop_that_cannot_be_is_refused(wrong) -> None:
    with pytest.raises(ValueError, match=r"no part|must lie"):
        drop_p_value(*wrong)


@pytest.mark.parametrize(
    ("cases", "drop", "below"),
    [(24, 0.0, False), (20, 0.1, False), (20, -0.2, False), (24, 0.1, True), (16, 0.3, True)],
)
def test_no_drop_under_the_hypothesis_is_rejected_too_often(cases, drop, below) -> None:
    """P(p <= a) <= a at every a that is a p-value, on the edge and off it, by enumeration."""
    samples = [(loss, win) for loss in range(cases + 1) for win in range(cases + 1 - loss)]
    p = np.array([drop_p_value(cases, *sample, drop, below=below) for sample in samples])
    order = np.argsort(p)
    ends = np.append(np.diff(p[order]) > 0, True)
    counts = np.array([(loss, win, cases - loss - win) for loss, win in samples])
    for win in np.linspace(max(0.0, -drop), (1 - drop) / 2, 25):
        furthest = 1 - win if below else max(0.0, win - 1)
        for loss in np.linspace(win + drop, furthest, 3):
            law = multinomial.pmf(counts, cases, [loss, win, max(1 - win - loss, 0.0)])
            assert (np.cumsum(law[order])[ends] <= p[order][ends] + 1e-9).all()
