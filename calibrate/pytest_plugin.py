"""`pytest evals/`: the gate's questions as tests, an item each, from what is stored; offline."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

# Every pytest of an environment that has calibrate imports this module, whatever it tests: the
# harness is imported only where a workflow is collected.
if TYPE_CHECKING:
    from calibrate.cli.gating import Gate
    from calibrate.decide import Calibration
    from calibrate.task import Task

__all__ = ["pytest_collect_file"]


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take `evals/<workflow>.yaml` of a calibrate project; every other file is left to others."""
    name, folder = file_path.name, file_path.parent
    is_workflow = file_path.suffix == ".yaml" and not name.startswith("tiers.")
    if not is_workflow or folder.name != "evals" or not (folder / "tiers.yaml").is_file():
        return None
    return _WorkflowFile.from_parent(parent, path=file_path)


class _No(Exception):
    """The answer is no, and why."""


class _WorkflowFile(pytest.File):
    """One workflow: is its entry in the policy fresh, what its evidence says, and good enough?"""

    def collect(self) -> Iterator[pytest.Item]:
        from calibrate.errors import CalibrateError

        try:
            task = self.task
        except CalibrateError as error:
            raise self.CollectError(str(error)) from error
        questions: dict[str, Callable[[_WorkflowFile], None]] = {
            "fresh": _is_fresh,
            "evidence": _follows_from_its_evidence,
            "status": _meets_the_bar,
        }
        if task.workflow.bar.critical is not None and any(case.critical for case in task.cases):
            questions["critical"] = _passes_the_critical_cases
        for name, question in questions.items():
            yield _Question.from_parent(self, name=name, question=question)

    @cached_property
    def gate(self) -> Gate:
        from calibrate.cli.gating import Gate
        from calibrate.policy import DEFAULT_PATH, load_policy
        from calibrate.pricing import Budget
        from calibrate.project import load_project

        project = load_project(self.path.parent.parent)
        policy = load_policy(project.root / DEFAULT_PATH)
        return Gate(project, policy, None, Budget(None), offline=True)

    @cached_property
    def task(self) -> Task:
        from calibrate.task import load_task

        return load_task(self.gate.project, self.path.stem)

    @cached_property
    def decided(self) -> Calibration:
        """What the stored answers decide; the items of a workflow share it."""
        import asyncio

        from calibrate.cli.gating import decide_again

        return asyncio.run(decide_again(self.task, self.gate))


class _Question(pytest.Item):
    """One question about a workflow: it passes where the answer is yes."""

    parent: _WorkflowFile

    def __init__(self, *, question: Callable[[_WorkflowFile], None], **arguments: Any) -> None:
        super().__init__(**arguments)
        self._question = question

    def runtest(self) -> None:
        self._question(self.parent)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        from calibrate.errors import CalibrateError

        if isinstance(excinfo.value, _No):
            return str(excinfo.value)
        if isinstance(excinfo.value, CalibrateError):
            return f"no answer: {excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"{self.path.stem}: {self.name}"


def _is_fresh(workflow: _WorkflowFile) -> None:
    from calibrate.drift import changes_of, expiry
    from calibrate.policy import utc_today

    task, gate = workflow.task, workflow.gate
    changes = [*changes_of(task, gate.project, gate.policy), *expiry(task, utc_today())]
    if changes:
        raise _No("stale: " + "; ".join(change.text for change in changes))


def _follows_from_its_evidence(workflow: _WorkflowFile) -> None:
    from calibrate.cli.gating import difference

    gate = workflow.gate
    found = difference(
        workflow.decided, gate.policy.workflows.get(workflow.task.name), gate.project
    )
    if found:
        raise _No(found)


def _meets_the_bar(workflow: _WorkflowFile) -> None:
    from calibrate.words import headline

    entry = workflow.gate.policy.workflows.get(workflow.task.name)
    if entry is None:
        raise _No("the policy has no entry")
    if entry.status == "unmet":
        raise _No(headline(workflow.decided))
    if entry.status == "uncertified":
        pytest.skip(f"nothing is certified yet; {entry.model} serves it")


def _passes_the_critical_cases(workflow: _WorkflowFile) -> None:
    decision = workflow.decided.decision
    missed = decision.verdict.critical_missed
    if missed and decision.escalation is None:  # a cascade passes them all, or is none
        raise _No(f"{decision.chosen.alias} fails critical cases: {', '.join(missed)}")
