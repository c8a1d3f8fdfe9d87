"""A workflow made ready: everything read and checked before the first request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial

from calibrate.candidates import Field, field_of
from calibrate.config import Workflow
from calibrate.dataset import Case, Example, load_cases, load_examples, seeded_order
from calibrate.errors import CalibrateError, ConfigError, did_you_mean, gather
from calibrate.fingerprint import digest_of_rows
from calibrate.graders import NamedGrader, build_graders
from calibrate.methods import Noting, noting_for
from calibrate.project import Project
from calibrate.prompts import Prompt
from calibrate.providers import provider

__all__ = ["Task", "load_task"]


@dataclass(frozen=True)
class Task:
    """A workflow with its cases in the seeded order, prompt, graders, candidates and signals."""

    name: str
    workflow: Workflow
    cases: tuple[Case, ...]
    examples: tuple[Example, ...]
    prompt: Prompt
    graders: tuple[NamedGrader, ...]
    field: Field
    noting: Noting

    @cached_property
    def dataset_digest(self) -> str:
        """The digest of the cases, whatever their order; a run needs it several times."""
        return digest_of_rows(case.to_json() for case in sorted(self.cases, key=lambda c: c.id))


def load_task(project: Project, name: str) -> Task:
    """Read and check a workflow's data; raises with every problem that can be found offline.

    Each prompt is rendered for each case, so that a template's mistake costs nothing.
    """
    workflow = project.workflow(name)
    problems: list[str] = []
    place = f"evals/{name}.yaml"
    cases = gather(problems, lambda: load_cases(project.path(workflow.dataset), workflow.dataset))
    examples = gather(problems, lambda: _examples(project, workflow, cases or ()))
    graders = gather(
        problems,
        lambda: build_graders(place, workflow.graders, workflow.labels, workflow.output_schema),
    )
    # Without the examples a prompt that shows them would be blamed for what their file has wrong.
    prompt = None
    if examples is not None:
        prompt = gather(problems, partial(Prompt, name, workflow, examples))
    problems += _kind_problems(project)
    problems += _label_problems(workflow, cases or (), examples or ())
    if problems or cases is None or examples is None or graders is None or prompt is None:
        raise ConfigError(problems)
    ordered = seeded_order(cases, workflow.seed)
    field = field_of(place, project.tiers, workflow, ordered, prompt)
    noting = noting_for(name, project.tiers, workflow, prompt, ordered, examples)
    return Task(name, workflow, ordered, examples, prompt, graders, field, noting)


def _examples(project: Project, workflow: Workflow, cases: tuple[Case, ...]) -> tuple[Example, ...]:
    if workflow.examples is None:
        return ()
    return load_examples(project.path(workflow.examples), workflow.examples, cases)


def _label_problems(
    workflow: Workflow, cases: tuple[Case, ...], examples: tuple[Example, ...]
) -> Iterator[str]:
    if workflow.labels is None:
        return
    answers = [(f"{workflow.dataset}: case {case.id!r}", case.expected) for case in cases]
    answers += [
        (f"{workflow.examples}: example {number}", example.expected)
        for number, example in enumerate(examples, start=1)
    ]
    for place, answer in answers:
        if answer not in workflow.labels:
            hint = did_you_mean(str(answer), workflow.labels)
            yield f"{place}: {answer!r} is not one of the labels{hint}"


def _kind_problems(project: Project) -> Iterator[str]:
    for name, endpoint in project.tiers.endpoints.items():
        try:
            provider(endpoint.kind)
        except CalibrateError as error:
            yield from (f"endpoints.{name}.kind: {problem}" for problem in error.problems)
