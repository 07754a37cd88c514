"""``docs/views.md`` lists every view and column as they are declared."""

from pathlib import Path

from storage.views.page import DEFAULT_PATH, render_views, write_views

ROOT = Path(__file__).parents[3]


def test_the_page_in_docs_is_up_to_date() -> None:
    page = (ROOT / DEFAULT_PATH).read_text(encoding="utf-8")
    assert page == render_views(), "generate it again: python -m storage.views.page"


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    write_views(tmp_path / "page.md")
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == render_views()


def test_a_view_has_its_grain_and_its_columns_with_type_and_meaning() -> None:
    page = render_views()
    assert "## `flagged_nsl_kdd`\n\nOne row per flagged connection" in page
    assert "| `batch_date` | date | the night |" in page
    assert "| `src_bytes` | integer | Data sent from source to destination. |" in page
