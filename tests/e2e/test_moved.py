"""A model alias that moves while a run is under way, or between two runs."""

from __future__ import annotations

import json

import pytest
from loopback import Loopback, Received, Response, chat

from calibrate.cache import Cache, ModelId


def cases(n: int) -> str:
    rows = (
        {"id": f"c{i}", "input": {"message": f"message {i}"}, "expected": "urgent"}
        for i in range(n)
    )
    return "".join(json.dumps(row) + "\n" for row in rows)


SCRIPTS = {
    "moves": lambda n: "A" if n < 20 else "B",
    "turns": lambda n: "AB"[n * 7919 % 13 < 6],
    "ever new": lambda n: f"n{n}",
}


@pytest.mark.parametrize("kind", SCRIPTS)
def test_a_run_ends_with_answers_of_one_name_or_says_that_it_is_a_mixture(
    calibrate, project, kind: str
) -> None:
    def answer(received: Received) -> Response:
        return chat("urgent", model=SCRIPTS[kind](received.number))

    project.write("datasets/triage.jsonl", cases(60))
    with Loopback(answer) as server:
        project.edit("evals/tiers.yaml", "http://127.0.0.1:9/v1", server.base_url)
        first = calibrate("run", "--cases", "all", "--json")
        asked = len(server.received)
        again = calibrate("run", "--cases", "all", "--json")
        assert len(server.received) == asked
        with Cache(project.root / ".calibrate/cache.sqlite") as cache:
            names = cache.served_names(ModelId(server.base_url, "openai", "small-1"))
    assert (first.status, again.status) == (0, 0)
    assert "is served as " in first.stderr
    assert ("by turns" in first.stderr) is (kind != "moves")
    assert asked <= 60 * 3 + 20 + 2 * 64
    if kind == "moves":
        assert names == {"B"}
