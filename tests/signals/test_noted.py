from __future__ import annotations

import pytest

from calibrate.signals import both

BEFORE = {"input_brevity": -12.0}
AFTER = {"finished": 1.0, "answer_brevity": -2.0}


def test_the_signals_of_a_request_and_its_answer_read_as_one_mapping() -> None:
    noted = both(BEFORE, AFTER)
    assert noted == {"input_brevity": -12.0, "finished": 1.0, "answer_brevity": -2.0}
    assert list(noted) == ["input_brevity", "finished", "answer_brevity"]
    assert (len(noted), noted["finished"], noted.get("agreement")) == (3, 1.0, None)
    assert "input_brevity" in noted
    assert "agreement" not in noted
    assert repr(noted) == "{'input_brevity': -12.0, 'finished': 1.0, 'answer_brevity': -2.0}"
    with pytest.raises(KeyError):
        noted["agreement"]


def test_where_one_half_is_empty_the_other_is_all() -> None:
    assert both(BEFORE, {}) is BEFORE
    assert both({}, AFTER) is AFTER
    assert both({}, {}) == {}
