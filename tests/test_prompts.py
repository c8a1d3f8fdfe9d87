"""A case and a workflow to the messages of a request."""

from __future__ import annotations

import pytest

from calibrate.completion import ChatMessage
from calibrate.config import Bar, Message, Shots, Workflow
from calibrate.dataset import Case, Example
from calibrate.errors import PromptError
from calibrate.prompts import Prompt, input_text

CASE = Case("c-1", {"ticket": "hi <b>", "items": "three", "n": 3}, "a", {"language": "en"})


def workflow(*contents: str) -> Workflow:
    return Workflow(
        version=1,
        dataset="d.jsonl",
        prompt=[Message(role="user", content=content) for content in contents],
        max_output_tokens=8,
        labels=["a", "b"],
        graders=["one_of"],
        bar=Bar(pass_rate=0.9),
    )


def rendered(content: str, case: Case = CASE) -> str:
    examples = (Example({"ticket": "ü"}, {"z": 1, "a": "</script>"}), Example("x", "b"))
    (message,) = Prompt("w", workflow(content), examples).messages(case)
    return message.content


def problems_of(*contents: str) -> tuple[str, ...]:
    with pytest.raises(PromptError) as caught:
        Prompt("w", workflow(*contents)).messages(CASE)
    return caught.value.problems


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("Ticket: {{ input.ticket }}\n", "Ticket: hi <b>\n"),
        ("{{ input['ticket'] }} {{ input.n * 2 }} {{ 7 % 4 }}", "hi <b> 6 3"),
        ("{{ id }} {{ tags.language }}", "c-1 en"),
        ("{{ labels | join(' or ') }}", "a or b"),
        ("{{ examples[0].expected | tojson }}", '{"z": 1, "a": "</script>"}'),
        ("{{ examples[0].input | tojson(indent=1) }}", '{\n "ticket": "ü"\n}'),
        ("{{ 'a\nb' | indent(2) }}", "a\n  b"),
        ("{% for e in examples %}{{ e.input }};{% endfor %}", "{'ticket': 'ü'};x;"),
        ("{% set n = namespace(i=0) %}{% set n.i = 2 %}{{ n.i }}", "2"),
        ("{% for i in range(3) %}{{ i }}{% endfor %}", "012"),
        ("{{ input.other is defined }}", "False"),
        ("{{ input.items }}", "three"),
    ],
)
def test_a_template_sees_the_case(template: str, text: str) -> None:
    assert rendered(template) == text


def test_an_input_that_is_a_text_is_the_text() -> None:
    assert rendered("{{ input }}!", Case("c", "{{ not a template }}", "a")) == (
        "{{ not a template }}!"
    )


def test_messages_keep_their_roles_and_order() -> None:
    flow = workflow("x").model_copy(
        update={
            "prompt": [
                Message(role="system", content="s"),
                Message(role="assistant", content="{{ id }}"),
            ]
        }
    )
    assert Prompt("w", flow).messages(CASE) == (
        ChatMessage("system", "s"),
        ChatMessage("assistant", "c-1"),
    )


KNOWN = "known: `examples`, `labels`, `id`, `tags`, `input.ticket`, `input.items`, `input.n`"


def test_an_undefined_variable_names_message_case_and_what_is_known() -> None:
    assert problems_of("ok", "{{ inputt.ticket }}", "{{ input.tickt }}") == (
        f"evals/w.yaml: prompt[1]: 'inputt' is undefined; {KNOWN} (case 'c-1')",
        f"evals/w.yaml: prompt[2]: 'dict object' has no attribute 'tickt'; {KNOWN} (case 'c-1')",
    )


SHOTS = Shots(
    examples=[
        Message(role="user", content="Ticket: {{ example.input }}"),
        Message(role="assistant", content="{{ example.expected }} of {{ labels | length }}"),
    ]
)


def test_a_message_without_the_case_is_one_message_for_all_of_them() -> None:
    prompt = Prompt("w", workflow("Sort into {{ labels | join(', ') }}.", "{{ input }}"))
    first, second = (prompt.messages(Case(text, text, "a")) for text in "xy")
    assert first[0] is second[0]
    assert (first[1].content, second[1].content) == ("x", "y")


def test_shots_stand_once_for_each_example() -> None:
    flow = workflow("{{ input.ticket }}")
    flow = flow.model_copy(update={"prompt": [SHOTS, *flow.prompt]})
    messages = Prompt("w", flow, (Example("x", "a"), Example("y", "b"))).messages(CASE)
    assert [(message.role, message.content) for message in messages] == [
        ("user", "Ticket: x"),
        ("assistant", "a of 2"),
        ("user", "Ticket: y"),
        ("assistant", "b of 2"),
        ("user", "hi <b>"),
    ]


def test_shots_need_examples() -> None:
    flow = workflow("x").model_copy(update={"prompt": [SHOTS]})
    with pytest.raises(PromptError) as caught:
        Prompt("w", flow)
    assert caught.value.problems == (
        "evals/w.yaml: prompt[0]: needs `examples: FILE` in the workflow",
    )


def test_shots_do_not_see_the_case() -> None:
    shots = Shots(examples=[Message(role="user", content="{{ input }}")])
    flow = workflow("x").model_copy(update={"prompt": [shots]})
    with pytest.raises(PromptError) as caught:
        Prompt("w", flow, (Example("x", "a"),))
    assert caught.value.problems == (
        "evals/w.yaml: prompt[0].examples[0]: 'input' is undefined; known: `labels`, `example`",
    )


def test_what_does_not_compile_is_told_for_every_message_at_once() -> None:
    with pytest.raises(PromptError) as caught:
        Prompt("w", workflow("{% if %}", "ok", "\n{{ x", "{{ x | nope }}"))
    assert caught.value.problems == (
        "evals/w.yaml: prompt[0]: line 1: Expected an expression, got 'end of statement block'",
        "evals/w.yaml: prompt[2]: line 2: unexpected end of template, "
        "expected 'end of print statement'.",
        "evals/w.yaml: prompt[3]: line 1: No filter named 'nope'.",
    )


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (
            "{{ ''.__class__.__mro__ }}",
            "access to attribute '__class__' of 'str' object is unsafe.",
        ),
        ("{{ input.__class__ }}", "access to attribute '__class__' of 'dict' object is unsafe."),
        ("{{ input['__class__'] }}", "access to attribute '__class__' of 'dict' object is unsafe."),
        (
            "{{ input | attr('__class__') }}",
            "access to attribute '__class__' of 'dict' object is unsafe.",
        ),
        (
            "{{ namespace.__init__.__globals__ }}",
            "access to attribute '__init__' of 'type' object is unsafe.",
        ),
        (
            "{{ self.__init__.__globals__ }}",
            "access to attribute '__init__' of 'TemplateReference' object is unsafe.",
        ),
        (
            "{{ '{0.__class__}'.format(input) }}",
            "access to attribute 'format' of 'str' object is unsafe.",
        ),
        (
            "{{ ('{0.__class__}' | attr('for' ~ 'mat'))(input) }}",
            "access to attribute 'format' of 'str' object is unsafe.",
        ),
        (
            "{{ '{x.__class__}'.format_map({'x': input}) }}",
            "access to attribute 'format_map' of 'str' object is unsafe.",
        ),
        (
            "{{ '{:1000000000}'['format'](1) }}",
            "access to attribute 'format' of 'str' object is unsafe.",
        ),
        ("{{ [1].append(2) }}", "access to attribute 'append' of 'list' object is unsafe."),
        ("{{ input.update({}) }}", "access to attribute 'update' of 'dict' object is unsafe."),
        ("{{ 'a' * 1000000000 }}", "`*` on these values is not allowed in a prompt"),
        ("{{ [0] * 1000000000 }}", "`*` on these values is not allowed in a prompt"),
        ("{{ 10 ** 1000000000 }}", "`**` on these values is not allowed in a prompt"),
        ("{{ '%01000000000d' % 1 }}", "`%` on these values is not allowed in a prompt"),
        (
            "{{ 'a'.center(1000000000) }}",
            "access to attribute 'center' of 'str' object is unsafe.",
        ),
        (
            "{{ range(1000000000) | list }}",
            "Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).",
        ),
        ("{{ 'a' | indent(1000000000) }}", "`indent` takes a width of 0 to 100"),
        ("{{ 'a' | indent('xxxx') }}", "`indent` takes a width of 0 to 100"),
        ("{{ input | tojson(indent=1000000000) }}", "`tojson` takes an indent of 0 to 100"),
        (
            "{% for i in range(99999) %}{% for j in range(99999) %}"
            + "x" * 1000
            + "{% endfor %}{% endfor %}",
            "over 16,777,216 characters",
        ),
        ("{{ input.keys }}", "a function cannot be written; name a field, or call it with `()`"),
        ("{{ range }}", "a function cannot be written; name a field, or call it with `()`"),
        (
            "{{ labels | map('upper') }}",
            "a sequence cannot be written; end it in `| list` or `| join(', ')`",
        ),
        ("{% include '/etc/passwd' %}", "TypeError: no loader for this environment specified"),
        ("{% import 'os' as os %}", "TypeError: no loader for this environment specified"),
        ("{{ 'x'.encode('nope') }}", "LookupError: unknown encoding: nope"),
        ("{{ 1 / 0 }}", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_template_that_reaches_for_python_or_explodes_is_refused(
    template: str, reason: str
) -> None:
    assert problems_of(template) == (f"evals/w.yaml: prompt[0]: {reason} (case 'c-1')",)


@pytest.mark.parametrize("name", ["cycler", "joiner", "lipsum", "self.x", "config", "request"])
def test_what_other_environments_offer_is_undefined_here(name: str) -> None:
    (problem,) = problems_of(f"{{{{ {name} }}}}")
    assert "undefined" in problem or "not defined" in problem or "no attribute" in problem


@pytest.mark.parametrize("name", ["batch", "center", "format", "random", "slice"])
def test_a_filter_that_explodes_or_rolls_dice_is_not_there(name: str) -> None:
    assert problems_of(f"{{{{ 'x' | {name} }}}}") == (
        f"evals/w.yaml: prompt[0]: line 1: No filter named '{name}'.",
    )


def test_a_macro_without_end_is_a_message() -> None:
    (problem,) = problems_of("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}")
    assert problem.startswith("evals/w.yaml: prompt[0]: RecursionError: maximum recursion depth")


@pytest.mark.parametrize(
    "template",
    ["{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "{% for x in y %}" * 40 + "{% endfor %}" * 40],
)
def test_a_template_that_python_cannot_compile_is_a_message(template: str) -> None:
    with pytest.raises(PromptError, match=r"^evals/w\.yaml: prompt\[0\]: (Recursion|Syntax)Error"):
        Prompt("w", workflow(template))


def test_the_input_of_an_embedding_is_its_values_a_line_each() -> None:
    assert input_text("plain") == "plain"
    assert input_text({"subject": "a", "count": 2}) == "a\n2"
