from __future__ import annotations

import asyncio
import os
from decimal import Decimal
from pathlib import Path

import pytest
from loopback import Loopback, chat, error, refused_port

from calibrate.cache import Recorded, Recordings, write_recordings
from calibrate.cli.session import (
    open_client,
    recordings_path,
    require_writable,
    save_recordings,
)
from calibrate.client import Answer, Source
from calibrate.completion import ChatMessage, Completion, Request, Usage
from calibrate.config import Tiers
from calibrate.errors import BudgetError, CacheError, CacheMiss, ConfigError, OutputError
from calibrate.pricing import Budget, TokenPrice
from calibrate.project import Project

PRICE = TokenPrice(Decimal(1), Decimal(1))


def project(root: Path, url: str | None = None, recordings: str | None = "rec") -> Project:
    tiers = Tiers.model_validate(
        {
            "version": 1,
            "endpoints": {
                "e": {
                    "kind": "openai",
                    "base_url": url or f"http://127.0.0.1:{refused_port()}/v1",
                }
            },
            "recordings": recordings,
            "models": {
                "m": {
                    "endpoint": "e",
                    "name": "m-1",
                    "price": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1},
                }
            },
            "tiers": {"cheap": ["m"]},
            "baseline": "cheap",
        }
    )
    return Project(root, tiers, {})


def request(text: str) -> Request:
    return Request("openai", "m-1", messages=(ChatMessage("user", text),))


def reply(text: str) -> Completion:
    return Completion(text=text, usage=Usage(1, 1), served_model="m", latency_s=0.1)


def answer(asked: str, text: str) -> Answer:
    return Answer(request(asked), reply(text), Source.ASKED)


def ask(of: Project, text: str, limit_usd: Decimal | None = None, **options: object) -> Answer:
    async def once() -> Answer:
        with open_client(of, "sort", Budget(limit_usd), **options) as opened:  # type: ignore[arg-type]
            async with opened as client:
                return await client.ask("e", request(text), PRICE)

    return asyncio.run(once())


def test_a_workflows_recordings_lie_beneath_the_projects_cache(tmp_path: Path) -> None:
    write_recordings(tmp_path / "rec" / "sort.jsonl.gz", [Recorded(request("a"), reply("old"))])
    with Loopback(lambda _: chat("new")) as server:
        of = project(tmp_path, server.base_url)
        sources = [ask(of, text).source for text in ("a", "b", "b")]
        fresh = ask(of, "a", read_stored=False)
    assert sources == [Source.RECORDED, Source.ASKED, Source.CACHED]
    assert fresh.reply.text == "new"  # type: ignore[union-attr]
    assert (tmp_path / ".calibrate" / "cache.sqlite").is_file()


def test_a_cap_and_offline_are_those_of_the_command(tmp_path: Path) -> None:
    with pytest.raises(BudgetError):
        ask(project(tmp_path), "a", limit_usd=Decimal(0))
    with pytest.raises(CacheMiss):
        ask(project(tmp_path), "a", offline=True)


def test_a_damaged_recording_is_named_by_its_place_in_the_project(tmp_path: Path) -> None:
    (tmp_path / "rec").mkdir()
    (tmp_path / "rec" / "sort.jsonl.gz").write_bytes(b"not gzip")
    with pytest.raises(CacheError, match=r"^rec/sort\.jsonl\.gz: this recording cannot be"):
        ask(project(tmp_path), "a")


def test_a_project_may_have_no_recordings(tmp_path: Path) -> None:
    of = project(tmp_path, recordings=None)
    assert recordings_path(of, "sort") is None
    with pytest.raises(ConfigError) as caught:
        save_recordings(of, "sort", [answer("a", "new")])
    assert str(caught.value) == "--record needs `recordings: DIR` in the tiers file"


def test_a_runs_answers_are_added_to_the_recordings_and_win(tmp_path: Path) -> None:
    of = project(tmp_path)
    assert save_recordings(of, "sort", [answer("a", "old"), answer("b", "old")]) == 2
    assert save_recordings(of, "sort", [answer("b", "new"), answer("c", "new")]) == 3
    recordings = Recordings(tmp_path / "rec" / "sort.jsonl.gz")
    assert [recordings.get(request(text)) for text in "abc"] == [
        reply("old"),
        reply("new"),
        reply("new"),
    ]


def test_a_folder_for_output_is_made_and_left_empty(tmp_path: Path) -> None:
    require_writable(tmp_path / "deep" / "reports")
    assert list((tmp_path / "deep" / "reports").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file")
    with pytest.raises(OutputError) as caught:
        require_writable(tmp_path / "reports")
    assert str(caught.value) == f"{tmp_path / 'reports'}: cannot be written: File exists"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        require_writable(tmp_path)


def test_a_failure_is_asked_again_only_when_told_to(tmp_path: Path) -> None:
    with Loopback(lambda _: error(400, "no")) as server:
        of = project(tmp_path, server.base_url)
        sources = [ask(of, "a", retry_failed=again).source for again in (False, False, True)]
    assert sources == [Source.ASKED, Source.CACHED, Source.ASKED]
