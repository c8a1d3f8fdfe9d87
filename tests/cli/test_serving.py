"""The live report as a server: who may ask for what, and what comes with every answer."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import ClientSession
from conftest import CASES, TIERS, TRIAGE
from served import Served, served

from calibrate.cli.live import LiveReports
from calibrate.cli.serving import listening, serving


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of one workflow whose models were never asked."""
    root = tmp_path_factory.mktemp("served")
    for name, text in {
        "evals/tiers.yaml": TIERS,
        "evals/triage.yaml": TRIAGE,
        "datasets/triage.jsonl": CASES,
    }.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Served]:
    with served(root) as found:
        yield found


def test_the_address_is_of_this_machine_and_has_a_token(server: Served) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{43}/", server.url)


@pytest.mark.parametrize("file", ["", "index.html", "triage.html", "triage.html?hold"])
def test_a_page_comes_with_what_keeps_it_to_itself(server: Served, file: str) -> None:
    got = server.get(file)
    assert got.status == 200
    expected = {
        "Content-Type": "text/html; charset=utf-8",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
        "Server": "calibrate",
    }
    assert {name: got.headers[name] for name in expected} == expected
    assert got.headers.get("Refresh") == (None if "hold" in file else "5")
    assert b'http-equiv="refresh"' not in got.body.lower()


def test_the_header_allows_what_the_page_allows_and_no_frame(server: Served) -> None:
    got = server.get("triage.html")
    (said,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', got.body.decode())
    header = dict(part.split(" ", 1) for part in got.headers["Content-Security-Policy"].split("; "))
    meta = dict(part.split(" ", 1) for part in said.split("; "))
    assert header.pop("frame-ancestors") == "'none'"
    assert re.fullmatch(r"'sha256-[\w+/]{43}='", header.pop("script-src"))
    assert header == meta  # a page without cases has no script


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/triage.html",
        "/favicon.ico",
        "//triage.html",
        f"/{'x' * 43}/triage.html",
        "/%ff%fe/triage.html",
        "/%C3%A9/",
    ],
)
def test_without_the_token_there_is_nothing(server: Served, path: str) -> None:
    got = server.get(path=path)
    assert (got.status, got.body) == (404, b"no such page\n")
    assert got.headers["X-Content-Type-Options"] == "nosniff"


def test_a_token_that_is_nearly_right_is_wrong(server: Served) -> None:
    token = server.url.rstrip("/").rpartition("/")[2]
    for wrong in (token[:-1], token + "A", token.swapcase(), token[1:] + token[0]):
        assert server.get(path=f"/{wrong}/").status == 404


@pytest.mark.parametrize(
    "file",
    [
        "../evals/triage.yaml",
        "%2e%2e/evals/triage.yaml",
        "..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/etc/passwd",
        "evals/tiers.yaml",
        "triage.html%00",
        "nothing.html",
    ],
)
def test_no_path_leads_to_a_file(server: Served, file: str) -> None:
    got = server.get(file)
    assert (got.status, got.body) == (404, b"no such page\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_nothing_can_be_done_but_read(server: Served, method: str) -> None:
    got = server.get(method=method)
    assert (got.status, got.headers["Allow"]) == (405, "GET, HEAD")


def test_head_gets_the_headers_of_get_without_a_page(server: Served) -> None:
    got, head = server.get("triage.html?hold"), server.get("triage.html?hold", method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(got.body))


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "[::1]:{port}"]
)
def test_under_another_name_nothing_is_answered(server: Served, host: str) -> None:
    got = server.get(host=host.format(port=server.port))
    assert (got.status, got.body) == (421, b"no such host\n")


def test_localhost_is_a_name_of_this_machine(server: Served) -> None:
    assert server.get(host=f"localhost:{server.port}").status == 200


def test_only_the_loopback_address_listens() -> None:
    with listening(0) as opened:
        assert opened.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(
    "sent",
    [
        b"no request\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: one\r\nHost: two\r\n\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused(server: Served, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(sent)
        assert connection.recv(1000).startswith(b"HTTP/1.0 400 Bad Request\r\n")


def test_a_bug_is_told_in_the_terminal_and_the_server_goes_on(root: Path, capsys) -> None:
    broken = [False]

    async def statuses() -> list[int]:
        reports = LiveReports(root, "evals/tiers.yaml", clock=lambda: 1.0 / (not broken[0]))
        url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(serving(reports, listening(0), url.set_result))
        found = []
        async with ClientSession() as session:
            for broken[0] in (False, True, False):
                async with session.get(await url) as response:
                    found.append(response.status)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return found

    assert asyncio.run(statuses()) == [200, 500, 200]
    told = capsys.readouterr().err
    assert told.count("ZeroDivisionError: float division by zero\n") == 1
    assert told.endswith("error: this is a bug in calibrate; please report it with the above\n")


def test_a_file_that_is_being_edited_is_told_of_and_the_server_goes_on(root: Path) -> None:
    cases = root / "datasets" / "triage.jsonl"
    with served(root) as server:
        cases.write_text(f'{CASES}{{"id": "m-7", "<script>": 1}}\n', encoding="utf-8")
        got = server.get("triage.html")
        cases.write_text(CASES, encoding="utf-8")
        assert (got.status, got.headers["Refresh"]) == (503, "5")
        assert "datasets/triage.jsonl:7:" in got.text
        assert b"&lt;script&gt;" in got.body
        assert b"<script>" not in got.body
        assert server.get("triage.html").status == 200


def test_json_is_one_line_with_the_address(root: Path) -> None:
    with served(root, "triage", "--json") as server:
        found = json.loads(server.url)
        assert list(found) == ["schema", "url"]
        assert Served(found["url"], server.process).get("triage.html").status == 200


def test_ctrl_c_ends_it_in_order_and_the_next_start_has_another_token(
    root: Path, server: Served
) -> None:
    first = server
    with served(root) as server:
        assert server.get().status == 200
        assert server.url.rsplit("/", 2)[1] != first.url.rsplit("/", 2)[1]
        assert server.press() == (
            *(0, ""),
            "read-only, for this machine's browsers; Ctrl-C ends it\nended\n",
        )
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", server.port))


def test_a_port_can_be_chosen_and_one_that_is_taken_is_an_error(calibrate, project) -> None:
    with listening(0) as opened:
        port = opened.getsockname()[1]
        assert calibrate("report", "--serve", "--port", str(port)) == (
            *(2, ""),
            f"error: --port {port}: cannot be used: Address already in use; choose another, or "
            "leave it out\n",
        )
    with served(project.root, "--port", str(port)) as server:
        assert server.port == port
        assert server.get().status == 200


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--port", "8000"), "--port goes with --serve"),
        (
            ("--serve", "--report", "x"),
            "--report is for files, and --serve writes none: leave one out",
        ),
        (
            ("--serve", "--all-cases"),
            "--all-cases is for files, and --serve writes none: leave one out",
        ),
        (
            ("--serve", "trage"),
            "no workflow is called 'trage'; did you mean 'triage'? (known: triage)",
        ),
    ],
)
def test_options_that_do_not_go_together_are_told(calibrate, project, options, problem) -> None:
    assert calibrate("report", *options) == (2, "", f"error: {problem}\n")


@pytest.mark.parametrize("port", ["-1", "65536", "x", "80.0"])
def test_what_is_no_port_is_told(calibrate, project, port: str) -> None:
    found = calibrate("report", "--serve", f"--port={port}")
    assert found.status == 2
    assert found.stderr.endswith(f"argument --port: {port!r} is not a port from 0 to 65535\n")
