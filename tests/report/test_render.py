from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from calibrations import TIERS, tickets
from jinja2 import UndefinedError

from calibrate.dataset import Case
from calibrate.errors import OutputError
from calibrate.policy import Policy
from calibrate.report import write_reports
from calibrate.report.index import build_index
from calibrate.report.render import render_index, render_page
from calibrate.report.view import build_page

Make = Callable[..., Any]

HOSTILE = (
    "</script></style></details><script>alert(1)</script>"
    "<img src=x onerror=alert(1)>\" onmouseover='x' {{ 7 * 7 }}\u202e\x00\ud800"
)


class Elements(HTMLParser):
    """Every start tag with its attributes, and the style sheet."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice: {tag} {attrs}"
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def page_text(sample: Any) -> str:
    return render_page(build_page(sample.calibration, sample.project))


def index_text(sample: Any) -> str:
    return render_index(build_index(sample.policy, sample.project, {"tickets"}))


@pytest.fixture(params=["page", "index", "hostile"])
def text(request: pytest.FixtureRequest, certified: Any, calibrated: Make) -> str:
    if request.param == "hostile":
        return page_text(hostile(calibrated))
    return page_text(certified) if request.param == "page" else index_text(certified)


def hostile(calibrated: Make) -> Any:
    """Return a sample in which every text that is not ours attacks the page."""
    # Data sets are read as UTF-8 and digested: they hold no lone surrogate, answers may.
    bad = HOSTILE.replace("\ud800", "")
    cases = [Case(f"{bad}{i}", {bad: bad}, "billing", tags={bad: bad}) for i in range(3)]
    return calibrated(
        {"small": HOSTILE, "medium": [HOSTILE, "billing", "billing"]},
        cases=cases,
        description=bad,
        prompt=[{"role": "user", "content": f"{{% raw %}}{bad}{{% endraw %}}"}],
    )


def test_a_page_is_well_formed_with_one_heading_and_a_language(text: str) -> None:
    elements = Elements(text)
    assert elements.open == []
    assert len(elements.named("h1")) == 1
    assert elements.named("html") == [{"lang": "en"}]
    assert len(elements.named("table")) == len(elements.named("caption"))
    assert all("scope" in cell for cell in elements.named("th"))
    identifiers = [attributes["id"] for _, attributes in elements.tags if "id" in attributes]
    assert len(set(identifiers)) == len(identifiers)


def test_nothing_runs_loads_or_is_styled_in_place(text: str) -> None:
    for tag, attributes in Elements(text).tags:
        assert tag not in ("img", "link", "iframe", "object", "embed", "base")
        for name, value in attributes.items():
            assert name != "style"
            assert not name.startswith("on")
            assert name not in ("action", "formaction", "srcset", "ping", "srcdoc")
            if name in ("href", "src", "xlink:href"):
                assert re.fullmatch(r"#[\w-]+|[\w.-]+\.html", value or "")
    assert "url(" not in text.split("</style>")[0]
    assert "@import" not in text


def digest_of(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_the_security_policy_names_the_style_and_the_script_by_their_digests(text: str) -> None:
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    (policy,) = [
        meta["content"]
        for meta in Elements(text).named("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    script = "".join(f"; script-src '{digest_of(one)}'" for one in scripts)
    assert policy == (
        f"default-src 'none'; style-src '{digest_of(style)}'{script}; base-uri 'none'; "
        "form-action 'none'"
    )
    assert len(scripts) == ("details" in dict(Elements(text).tags))


def test_hostile_text_is_shown_and_never_obeyed(calibrated: Make) -> None:
    text = page_text(hostile(calibrated))
    assert text.count("<script") == 1  # ours
    assert "<img" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "{{ 7 * 7 }}" in text
    assert "\u202e" not in text
    assert "⟨U+202E⟩␀\ufffd" in text
    text.encode("utf-8")


def test_foreign_text_is_isolated_and_finds_its_own_direction(certified: Any) -> None:
    text = page_text(certified)
    assert '<dd class="text" dir="auto">ticket 0</dd>' in text
    assert '<bdi class="line" dir="auto">ticket 0</bdi>' in text


def test_the_same_evidence_gives_the_same_bytes(calibrated: Make) -> None:
    answers = {"small": 2, "medium": 30}
    assert page_text(calibrated(answers)) == page_text(calibrated(answers))
    assert index_text(calibrated(answers)) == index_text(calibrated(answers))


def test_no_path_of_this_machine_is_shown(certified: Any) -> None:
    assert "/somewhere" not in page_text(certified)


def test_a_megabyte_in_each_answer_makes_no_megabytes_of_page(calibrated: Make) -> None:
    text = page_text(
        calibrated({"small": "<" * 1_000_000}, cases=[Case("a", {"ticket": "t"}, "other")])
    )
    assert len(text) < 60_000
    assert "the first 2,000 of 1,000,000 characters" in text


def test_a_misspelt_field_is_an_error_and_not_a_gap(certified: Any) -> None:
    with pytest.raises(UndefinedError):
        render_page(object())  # type: ignore[arg-type]


def test_every_state_is_a_word_and_a_shape(certified: Any) -> None:
    text = page_text(certified)
    for shape, word in (("good", "certified"), ("bad", "failed"), ("open", "not asked")):
        assert re.search(rf'<use href="#{shape}"/></svg>{word}', text)


def test_an_empty_policy_has_an_index(certified: Any) -> None:
    text = render_index(build_index(Policy(1, ""), certified.project, ()))
    assert "The policy has no workflow yet." in text
    assert "<code>calibrate run tickets</code>" in text


def test_reports_are_a_page_each_and_the_index(certified: Any, tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    calibrations = [certified.calibration]
    paths = write_reports(calibrations, certified.project, certified.policy, folder)
    assert paths == [folder / "tickets.html"]
    assert sorted(path.name for path in folder.iterdir()) == ["index.html", "tickets.html"]
    assert '<a href="tickets.html">' in (folder / "index.html").read_text("utf-8")
    first = (folder / "tickets.html").read_bytes()
    write_reports(calibrations, certified.project, certified.policy, folder)
    assert (folder / "tickets.html").read_bytes() == first


def test_the_index_links_pages_of_earlier_runs_and_no_missing_ones(
    certified: Any, tmp_path: Path
) -> None:
    entry = certified.policy.workflows["tickets"]
    policy = replace(certified.policy, workflows={"earlier": entry, "never": entry})
    (tmp_path / "earlier.html").write_text("")
    assert write_reports([], certified.project, policy, tmp_path) == []
    links = [a["href"] for a in Elements((tmp_path / "index.html").read_text("utf-8")).named("a")]
    assert links == ["#content", "earlier.html"]


def test_a_workflow_without_a_page_is_told_how_to_make_it(certified: Any) -> None:
    hint = "no page yet: <code>calibrate report</code> makes it"
    assert hint not in index_text(certified)
    text = render_index(build_index(certified.policy, certified.project, ()))
    assert hint in text
    assert text.count("30 days") == 1
    policy = replace(certified.policy, workflows={"gone": certified.policy.workflows["tickets"]})
    assert hint not in render_index(build_index(policy, certified.project, ()))


def test_captions_say_the_order_and_where_dashes_come_from(certified: Any) -> None:
    text = page_text(certified)
    assert "in the order of the tiers, in which they are tried" in text
    assert "Cheapest first" not in text
    assert "Each bound is one-sided at α = 0.015" in text
    assert "A p95 is shown of 20 calls or more" in text


def test_a_folder_that_cannot_be_written_is_an_output_error(certified: Any, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(OutputError, match=r"tickets\.html: cannot be written"):
        write_reports([certified.calibration], certified.project, certified.policy, blocked)


def test_fifty_models_with_long_names_have_room(
    calibrated: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{'x' * 190}-{i:02}" for i in range(49)]
    price = {"input_usd_per_mtok": 0.1, "output_usd_per_mtok": 0.2}
    models = {n: {"endpoint": "local", "name": n, "price": price} for n in (*names, "large")}
    tiers = {"cheap": names, "frontier": ["large"]}
    monkeypatch.setattr("calibrations.TIERS", {**TIERS, "models": models, "tiers": tiers})
    made = calibrated({**dict.fromkeys(names, 1), "large": 0}, cases=tickets(40))
    text = page_text(made)
    assert text.count('<div class="chart"') == 3 + 8  # and of fifty paths the first eight
    assert len(text) < 1_500_000
    assert "49 of 50 fail" in text
    assert "numbers are those of the chart" in text
