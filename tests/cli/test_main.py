"""The command line: help, exit statuses, and what a user sees of an error."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from calibrate.cli import COMMANDS, main, parser_for
from calibrate.errors import ConfigError

TOP = """\
usage: calibrate COMMAND [options]

The cheapest model that is good enough, with a guarantee.

options:
  -h, --help  show this help message and exit
  --version   show program's version number and exit

commands:
  init     scaffold a project
  plan     what a run would ask and cost, and whether the data can certify the bar
  run      measure, decide, write the policy and the report
  batch    how far the batches of `run --batch` are, and their answers
  check    offline: is the committed policy what the inputs imply?
  ci       the gate for a pull request: check, decide, compare with before, report
  diff     what another policy moves: routes, quality, money, time, cases
  export   the policy in a gateway's own configuration
  verify   does a deployed gateway still say what the policy says?
  route    what the policy says for a request
  project  what the traffic costs by the baseline, the policy and each alternative
  report   render the HTML again from stored answers, offline, or serve it live
  replay   decide from a table of outcomes that already exist
  audit    simulate calibrations with known truth and count the broken promises
  cache    what is stored of the models' answers: show, thin out, export
  schema   print the JSON Schema of a file format

exit status: 0 yes or done, 1 the answer is no, 2 there is no answer, 3 a bug,
130 interrupted, 141 the output was not read

Example:
  calibrate run support-simple
"""


def test_help_lists_every_command(calibrate) -> None:
    assert calibrate("--help") == (0, TOP, "")


def test_no_arguments_print_the_help_and_are_no_answer(calibrate) -> None:
    assert calibrate() == (2, "", TOP)


def test_the_version_is_printed(calibrate) -> None:
    assert calibrate("--version") == (0, "calibrate 0.1.0\n", "")


def test_an_unknown_command_is_no_answer_and_gets_a_hint(calibrate) -> None:
    assert calibrate("chek") == (
        2,
        "",
        "usage: calibrate COMMAND [options]\n"
        "error: no command is called 'chek'; did you mean 'check'?\n",
    )


def test_an_unknown_option_is_no_answer(calibrate) -> None:
    assert calibrate("--nope") == (
        2,
        "",
        "usage: calibrate COMMAND [options]\nerror: unrecognized arguments: --nope\n",
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_commands_help_ends_in_an_example_of_itself(calibrate, name: str) -> None:
    status, stdout, stderr = calibrate(name, "--help")
    assert (status, stderr) == (0, "")
    *_, title, example = stdout.splitlines()
    assert title == "Example:"
    assert example.startswith(f"  calibrate {name}")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_can_be_parsed_and_every_option_has_help(name: str) -> None:
    module = import_module(f"calibrate.cli.{name}")
    parser = parser_for(name)
    example = module.EXAMPLE.partition(" > ")[0]
    parser.parse_args(example.split()[2:])
    silent = [action.dest for action in parser._actions if action.help is None]
    assert silent in ([], ["folder"], ["workflow"])


def test_every_command_takes_json() -> None:
    for name in COMMANDS:
        assert "--json" in parser_for(name).format_help()


def test_an_option_must_be_written_out(calibrate) -> None:
    assert calibrate("route", "triage", "--input", "5").status == 2


def raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `calibrate schema` end in an error: the command table is the seam."""

    def handle(_: object) -> int:
        raise error

    import calibrate.cli.schema

    monkeypatch.setattr(calibrate.cli.schema, "handle", handle)


def test_an_error_of_ours_prints_each_problem_and_is_no_answer(calibrate, monkeypatch) -> None:
    raising(ConfigError(["a.yaml:1: x", "a.yaml:2: y"]), monkeypatch)
    assert calibrate("schema", "case") == (2, "", "error: a.yaml:1: x\nerror: a.yaml:2: y\n")


def test_an_interruption_is_130(calibrate, monkeypatch) -> None:
    raising(KeyboardInterrupt(), monkeypatch)
    assert calibrate("schema", "case") == (
        *(130, "", "interrupted; every answer that had arrived is kept\n"),
    )


def test_a_failing_disk_is_no_answer_and_no_bug(calibrate, monkeypatch) -> None:
    raising(OSError(28, "No space left on device", "out.html"), monkeypatch)
    assert calibrate("schema", "case") == (2, "", "error: out.html: No space left on device\n")


def test_an_unexpected_exception_is_a_bug_with_a_traceback(calibrate, monkeypatch) -> None:
    raising(ZeroDivisionError("oh"), monkeypatch)
    status, stdout, stderr = calibrate("schema", "case")
    assert (status, stdout) == (3, "")
    assert stderr.startswith("Traceback (most recent call last):\n")
    assert stderr.endswith(
        "ZeroDivisionError: oh\n"
        "error: this is a bug in calibrate; please report it with the traceback on stderr\n"
    )


def run(
    *arguments: str, stdout: int, encoding: str = "utf-8"
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "calibrate", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        check=False,
    )


def test_a_reader_that_goes_away_ends_a_command_without_a_word() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run("schema", "workflow", stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_no_answer() -> None:
    with Path("/dev/full").open("wb") as full:
        done = run("schema", "workflow", stdout=full.fileno())
    assert (done.returncode, done.stderr) == (2, b"error: output: No space left on device\n")


def test_a_terminal_without_unicode_is_no_crash() -> None:
    done = run("schema", "workflow", stdout=subprocess.PIPE, encoding="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()


def test_output_may_go_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.StringIO()
    monkeypatch.setattr(sys, "stdout", output)
    assert main(["--version"]) == 0
    assert output.getvalue() == "calibrate 0.1.0\n"


def test_main_reads_the_command_line_by_default(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["calibrate", "--version"])
    assert main() == 0
    assert capsys.readouterr().out == "calibrate 0.1.0\n"
