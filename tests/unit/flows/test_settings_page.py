"""``docs/settings.md`` lists every setting as the class declares it."""

from pathlib import Path

import pytest

from flows.settings import PREFIX, Settings
from flows.settings_page import DEFAULT_PATH, render_settings, write_settings

ROOT = Path(__file__).parents[3]


def test_the_page_in_docs_is_up_to_date() -> None:
    page = (ROOT / DEFAULT_PATH).read_text(encoding="utf-8")
    assert page == render_settings(), "generate it again: python -m flows.settings_page"


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    write_settings(tmp_path / "page.md")
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == render_settings()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_a_row_with_a_meaning(name: str) -> None:
    rows = [row.split(" | ") for row in render_settings().splitlines()]
    (row,) = [row for row in rows if row[0] == f"| `{PREFIX}{name.upper()}`"]
    assert row[-1].removesuffix(" |")


@pytest.mark.parametrize(
    "beginning",
    [
        "| `NOCTULE_INBOX` | unset |  | ",
        "| `NOCTULE_CHALLENGERS` | empty |  | ",
        "| `NOCTULE_OPERATING_POINT` | `default` | `default`, `low_alert` | ",
        "| `NOCTULE_LOW_ALERT_RATE` | unset | above 0, below 1 | ",
        "| `NOCTULE_MAX_LINE_BYTES` | `65536` | at least 1,024 | ",
    ],
)
def test_a_row_gives_the_default_and_the_values_allowed(beginning: str) -> None:
    assert any(row.startswith(beginning) for row in render_settings().splitlines())
