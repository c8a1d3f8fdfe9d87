from __future__ import annotations

import pytest

from calibrate.config import InputSimplicity
from calibrate.errors import ConfigError
from calibrate.policy.inputs import FEATURES, simplicity
from calibrate.signals.complexity import weights_of


def test_as_it_stands_the_score_is_1_less_the_mean_feature() -> None:
    features = dict.fromkeys(FEATURES, 0.25) | {"digits": 0.65}
    weights = weights_of("p", InputSimplicity())
    assert simplicity(features, weights) == 0.7  # 1 - (7 * 0.25 + 0.65) / 8


def test_weights_of_a_products_own() -> None:
    options = InputSimplicity(weights={"digits": 2.0, "code": -1.0}, intercept=0.5)
    features = dict.fromkeys(FEATURES, 1.0) | {"digits": 0.1}
    assert simplicity(features, weights_of("p", options), options.intercept) == 1.3


def test_a_weight_of_no_feature_is_told() -> None:
    with pytest.raises(ConfigError) as caught:
        weights_of("p", InputSimplicity(weights={"digit": 1.0, "code": 1.0, "zeal": 1.0}))
    known = ", ".join(FEATURES)
    assert caught.value.problems == (
        f"p.weights.digit: no feature is called so; did you mean 'digits'? (known: {known})",
        f"p.weights.zeal: no feature is called so (known: {known})",
    )
