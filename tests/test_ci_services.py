"""What runs the gate at GitHub and GitLab: their files parse, and their scripts do as they say."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from calibrate.cli import parser_for
from calibrate.cli.comment import MARKER

ROOT = Path(__file__).parent.parent
ACTION = ROOT / ".github/actions/calibrate"

# A `python` that makes environments; in them `calibrate` notes what it was asked.
PYTHON = """\
if [ "$2" = venv ]; then
  mkdir -p "$3/bin"
  cp "$0" "$3/bin/python"
  cp "$RUNNER_TEMP/calibrate-command" "$3/bin/calibrate"
fi
"""
NOTING = 'printf "%s\\n" "$@" > "$RUNNER_TEMP/asked"; exit "${STATUS:-0}"'


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/usr/bin/env bash\n{text}")
    path.chmod(0o755)


def run(script: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    kept = {"PATH": os.environ["PATH"], "HOME": "/nowhere"}
    return subprocess.run(
        ["bash", str(script)], env=kept | environment, capture_output=True, text=True, check=False
    )


def gitlab() -> list[dict[str, Any]]:
    """The header and the job of the template."""
    text = (ROOT / ".gitlab/calibrate.yml").read_text(encoding="utf-8")
    return list(yaml.safe_load_all(text))


@pytest.fixture
def gate(tmp_path: Path) -> Any:
    """Run the action's gate; return its status, what calibrate was asked, and the outputs."""
    program(tmp_path / "python", PYTHON)
    program(tmp_path / "calibrate-command", NOTING)

    def start(**inputs: str) -> tuple[int, list[str], str]:
        environment = {
            "PYTHON": str(tmp_path / "python"),
            "RUNNER_TEMP": str(tmp_path),
            "GITHUB_ACTION_PATH": str(ACTION),
            "GITHUB_OUTPUT": str(tmp_path / "output"),
            "PROJECT": str(ROOT),
            "TOLERANCE": "0",
            "DROP": "5",
            **dict.fromkeys(("WORKFLOWS", "BASE", "MAX_USD"), ""),
            **inputs,
        }
        done = run(ACTION / "gate.sh", environment)
        arguments = (tmp_path / "asked").read_text().splitlines()
        return done.returncode, arguments, (tmp_path / "output").read_text()

    return start


def test_the_gate_runs_the_command_with_its_inputs(gate, tmp_path) -> None:
    status, arguments, output = gate(WORKFLOWS=" a  b $(id)", MAX_USD="2", BASE="HEAD")
    assert (status, output) == (0, f"folder={tmp_path}/calibrate\n")
    assert arguments == [
        *("ci", "--project", str(ROOT), "--out", f"{tmp_path}/calibrate"),
        *("--tolerance", "0", "--drop", "5", "--base", "HEAD", "--live", "--max-usd", "2"),
        *("--", "a", "b", "$(id)"),
    ]
    parsed = parser_for("ci").parse_args(arguments[1:])
    assert (parsed.workflows, parsed.live, parsed.base) == (["a", "b", "$(id)"], True, "HEAD")


def test_the_gate_is_offline_and_over_everything_where_nothing_is_said(gate) -> None:
    _, arguments, _ = gate()
    parsed = parser_for("ci").parse_args(arguments[1:])
    assert (parsed.workflows, parsed.live, parsed.base) == ([], False, None)


def test_the_status_of_the_gate_is_that_of_the_command(gate) -> None:
    assert gate(STATUS="1")[0] == 1


@pytest.mark.parametrize(
    ("listed", "written"),
    [
        ("", "--method POST repos/ana/shop/issues/7/comments"),
        ("11\\n12", "--method PATCH repos/ana/shop/issues/comments/11"),
    ],
)
def test_there_is_one_comment_that_is_updated_in_place(tmp_path, listed, written) -> None:
    program(
        tmp_path / "gh",
        f'echo "$*" >> {tmp_path}/asked; case "$*" in *--paginate*) printf "{listed}";; esac',
    )
    (tmp_path / "comment.md").write_text(MARKER)
    done = run(ACTION / "comment.sh", comment_environment(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    first, second = (tmp_path / "asked").read_text().splitlines()
    assert first.startswith("api --paginate repos/ana/shop/issues/7/comments?per_page=100 --jq ")
    assert f'startswith("{MARKER}")' in first
    assert second == f"api --silent {written} --field body=@{tmp_path}/comment.md"


def test_a_comment_that_may_not_be_written_is_no_failure(tmp_path) -> None:
    program(tmp_path / "gh", "exit 1")
    (tmp_path / "comment.md").write_text(MARKER)
    done = run(ACTION / "comment.sh", comment_environment(tmp_path))
    assert done.returncode == 0
    assert done.stdout.startswith("::notice::calibrate: no comment could be written")


def test_without_a_comment_none_is_written(tmp_path) -> None:
    program(tmp_path / "gh", "exit 1")
    done = run(ACTION / "comment.sh", comment_environment(tmp_path))
    assert (done.returncode, done.stdout) == (0, "")


def comment_environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "GITHUB_REPOSITORY": "ana/shop",
        "PULL_REQUEST": "7",
        "COMMENT": str(folder / "comment.md"),
    }


def test_no_input_of_the_action_is_run_as_a_script() -> None:
    action = yaml.safe_load((ACTION / "action.yml").read_text())
    scripts = [step["run"] for step in action["runs"]["steps"] if "run" in step]
    assert len(scripts) == 2
    assert not [script for script in scripts if "${{" in script]


def test_only_actions_of_github_itself_are_used() -> None:
    files = [ACTION / "action.yml", ROOT / ".github/workflows/ci.yml"]
    lines = [line for file in files for line in file.read_text().splitlines()]
    used = [line.partition("uses: ")[2] for line in lines if "uses: " in line]
    assert used
    assert all(name.startswith(("actions/", "./.github/actions/")) for name in used)


class Handler(BaseHTTPRequestHandler):
    """A GitLab that has some notes on a merge request, two a page."""

    notes: list[dict[str, Any]]
    written: list[tuple[str, str, str]]

    def do_GET(self) -> None:
        if self.path.endswith("/user"):
            self.reply({"id": 5}, "")
            return
        page = int(self.path.rpartition("page=")[2])
        following = str(page + 1) if self.notes[2 * page :] else ""
        self.reply(self.notes[2 * page - 2 : 2 * page], following)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]
        self.written.append((self.command, self.path, body))
        self.reply({}, "")

    do_PUT = do_POST

    def reply(self, value: object, following: str) -> None:
        is_known = self.headers["PRIVATE-TOKEN"] == "a-token"
        content = json.dumps(value).encode()
        self.send_response(200 if is_known else 401)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Next-Page", following)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def noted(tmp_path: Path) -> Iterator[Any]:
    """Run the template's last script against a GitLab with notes; return what it wrote."""
    kind = type("Notes", (Handler,), {"notes": [], "written": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()

    def start(notes: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
        kind.notes = notes  # type: ignore[attr-defined]
        (tmp_path / "calibrate-ci").mkdir()
        (tmp_path / "calibrate-ci/comment.md").write_text(f"{MARKER}\n→ yes", encoding="utf-8")
        (script,) = gitlab()[1]["calibrate"]["after_script"]
        environment = {
            "PATH": os.environ["PATH"],
            "CALIBRATE_GITLAB_TOKEN": "a-token",
            "CI_API_V4_URL": f"http://127.0.0.1:{server.server_port}",
            "CI_MERGE_REQUEST_PROJECT_ID": "3",
            "CI_MERGE_REQUEST_IID": "7",
        }
        subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, check=True)
        written: list[tuple[str, str, str]] = kind.written  # type: ignore[attr-defined]
        return written

    yield start
    server.shutdown()
    server.server_close()
    thread.join()


def note(number: int, author: int, body: str) -> dict[str, Any]:
    return {"id": number, "author": {"id": author}, "body": body}


def test_a_merge_request_has_one_note_that_is_updated_in_place(noted) -> None:
    others = [note(1, 4, f"{MARKER}\nnot ours"), note(2, 5, "hello")]
    assert noted([*others, note(3, 5, f"{MARKER}\nbefore")]) == [
        ("PUT", "/projects/3/merge_requests/7/notes/3", f"{MARKER}\n→ yes")
    ]


def test_the_first_note_is_a_new_one(noted) -> None:
    assert noted([note(1, 4, f"{MARKER}\nnot ours")]) == [
        ("POST", "/projects/3/merge_requests/7/notes", f"{MARKER}\n→ yes")
    ]


def test_the_merge_request_job_runs_the_command_with_its_inputs(tmp_path) -> None:
    header, job = gitlab()
    program(tmp_path / "calibrate", f'printf "%s\\n" "$@" > {tmp_path}/asked')
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": "abc",
        "CALIBRATE_PROJECT": ".",
        "CALIBRATE_TOLERANCE": "0",
        "CALIBRATE_DROP": header["spec"]["inputs"]["drop"]["default"],
        "CALIBRATE_MAX_USD": "2",
        "CALIBRATE_WORKFLOWS": "a b",
    }
    subprocess.run(["bash", "-c", job["calibrate"]["script"][1]], env=environment, check=True)
    arguments = (tmp_path / "asked").read_text().splitlines()
    parsed = parser_for("ci").parse_args(arguments[1:])
    assert (arguments[0], parsed.base, parsed.workflows) == ("ci", "abc", ["a", "b"])
    assert (parsed.live, str(parsed.max_usd), parsed.drop) == (True, "2", 0.05)
    assert f"{parsed.out}/" in job["calibrate"]["artifacts"]["paths"]
