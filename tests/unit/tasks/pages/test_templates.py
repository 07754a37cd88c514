"""Templates escape every value, fail on a missing one, and write numbers in one way."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jinja2 import DictLoader, UndefinedError

from tasks.pages.templates import open_template
from tasks.reporting import markdown

if TYPE_CHECKING:
    from jinja2 import Template


def template(source: str) -> "Template":
    """Return a template of the pages' environment with another source."""
    environment = open_template("pages/base.html").environment
    return environment.overlay(loader=DictLoader({"it": source})).get_template("it")


@pytest.mark.parametrize(
    ("expression", "written"),
    [
        ("1234567 | number", "1,234,567"),
        ("0.123456 | decimal", "0.1235"),
        ("1234.5 | decimal(1)", "1,234.5"),
        ("none | decimal", "-"),
        ("0.01234 | percent", "1.23"),
        ("0.5 | percent(0)", "50"),
        ("none | percent", "-"),
    ],
)
def test_numbers(expression: str, written: str) -> None:
    assert template(f"{{{{ {expression} }}}}").render() == written


def test_a_value_is_escaped() -> None:
    assert template("{{ name }}").render(name="<b>") == "&lt;b&gt;"


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        template("{{ name }}").render()


def test_a_markdown_template_escapes_values_of_any_type_and_writes_none_as_a_dash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
{% macro row(name) %}
| {{ name }} | **{{ name ~ "!" }}** |
{% endmacro %}
{{ row(path) }}
{% for name in names %}
- {{ name }}
{% endfor %}



{{ names | join(", ") }} {{ 1.5 }} {{ missing }}
"""
    monkeypatch.setattr(
        markdown,
        "open_template",
        lambda _, finalize: (
            open_template("pages/base.html", finalize)
            .environment.overlay(loader=DictLoader({"it": source}))
            .get_template("it")
        ),
    )
    written = markdown.render("it", path=Path("a|b"), names=["<b>", "_x_"], missing=None)
    assert written == (
        r"| a\|b | **a\|b!** |" + "\n\n" + r"- \<b>" + "\n" + r"- \_x\_" + "\n\n"
        r"\<b>, \_x\_ 1.5 -"
    )
