from __future__ import annotations

import numpy as np
import pytest

from calibrate.policy.inputs import features_of
from calibrate.signals import fit_simplicity, split_by_group

IDS = [f"t-{number}" for number in range(200)]
TEXTS = [f"{'7' * (number % 20)} words of case {number}" for number in range(200)]
FEATURES = [features_of(text) for text in TEXTS]
# Right where there are few digits, but for one case in ten.
SCORES = [float((number % 20 < 10) != (number % 10 == 3)) for number in range(200)]
ALONE = [None] * 200


def test_about_a_share_is_fitted_on_and_the_rest_is_certified_on() -> None:
    split = split_by_group(IDS, ALONE, TEXTS, seed=7, share=0.3)
    assert len(split.fit) == 60
    assert sorted([*split.fit, *split.certify]) == list(range(200))


def test_the_split_is_fixed_by_the_seed_and_the_ids() -> None:
    split = split_by_group(IDS, ALONE, TEXTS, seed=7)
    backwards = split_by_group(IDS[::-1], ALONE, TEXTS[::-1], seed=7)
    assert {IDS[at] for at in split.fit} == {IDS[::-1][at] for at in backwards.fit}
    assert split != split_by_group(IDS, ALONE, TEXTS, seed=8)


@pytest.mark.parametrize("seed", range(20))
def test_no_group_and_no_text_is_on_both_sides(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = [None if at > 30 else f"g-{at}" for at in rng.integers(60, size=100)]
    texts = [f"text {at}" for at in rng.integers(400, size=100)]
    split = split_by_group(IDS[:100], groups, texts, seed=seed, share=0.4)
    assert len(split.fit) > 30
    for shared in (groups, texts):
        fitted = {shared[at] for at in split.fit} - {None}
        assert fitted.isdisjoint(shared[at] for at in split.certify)


def test_cases_in_a_chain_of_groups_and_texts_hang_together() -> None:
    groups = ["a", "a", None, "b", None]
    texts = ["1", "2", "2", "2", "3"]  # b hangs on a through the text 2
    for seed in range(10):
        split = split_by_group(list("vwxyz"), groups, texts, seed=seed, share=0.8)
        assert {split.fit, split.certify} == {(0, 1, 2, 3), (4,)}


def test_the_fit_finds_what_makes_a_case_hard() -> None:
    split = split_by_group(IDS, ALONE, TEXTS, seed=7)
    fitted = fit_simplicity(FEATURES, SCORES, split)
    assert fitted.weights["digits"] > 0.3
    assert max(fitted.weights, key=fitted.weights.__getitem__) == "digits"
    easy, hard = (
        [fitted.of(TEXTS[at]) for at in split.certify if SCORES[at] == score]
        for score in (1.0, 0.0)
    )
    assert sum(easy) / len(easy) > sum(hard) / len(hard) + 0.2


def test_no_grade_of_a_case_that_is_certified_on_leaks_into_the_fit() -> None:
    split = split_by_group(IDS, ALONE, TEXTS, seed=7)
    turned = list(SCORES)
    for at in split.certify:
        turned[at] = 1 - turned[at]
    assert fit_simplicity(FEATURES, turned, split) == fit_simplicity(FEATURES, SCORES, split)
    turned = list(SCORES)
    turned[split.fit[0]] = 1 - turned[split.fit[0]]
    assert fit_simplicity(FEATURES, turned, split) != fit_simplicity(FEATURES, SCORES, split)


def test_the_score_predicts_the_mean_of_what_it_was_fitted_on() -> None:
    split = split_by_group(IDS, ALONE, TEXTS, seed=7)
    fitted = fit_simplicity(FEATURES, SCORES, split)
    predicted = [fitted.of(TEXTS[at]) for at in split.fit]
    mean = sum(SCORES[at] for at in split.fit) / len(split.fit)
    assert sum(predicted) / len(predicted) == pytest.approx(mean, abs=1e-5)


def test_scores_that_do_not_differ_give_no_feature_a_weight() -> None:
    split = split_by_group(IDS, ALONE, TEXTS, seed=7)
    fitted = fit_simplicity(FEATURES, [1.0] * 200, split)
    assert (set(fitted.weights.values()), fitted.intercept) == ({0.0}, 1.0)


def test_there_is_nothing_to_fit_on_where_all_cases_are_one_group() -> None:
    split = split_by_group(IDS, ["g"] * 200, TEXTS, seed=7)
    assert split.fit == ()
    with pytest.raises(ValueError, match="no case to fit on"):
        fit_simplicity(FEATURES, SCORES, split)
