"""The data dictionary shows the contracts, and the page in docs/ is up to date."""

from pathlib import Path

from expectations.contract import BatchBound, Column, Contract, Labels, RowRule
from expectations.dictionary import DEFAULT_PATH, render_dictionary, write_dictionary
from expectations.registry import own_contracts

ROOT = Path(__file__).parents[3]

PARCELS = Contract(
    name="parcels",
    title="Parcels",
    source="a made-up depot",
    columns=(
        Column(
            name="weight",
            kind="number",
            unit="kg",
            resolution=1e-6,
            minimum=0,
            meaning="Its weight.",
        ),
        Column(
            name="kind",
            kind="category",
            values=("box", "tube"),
            severity="advisory",
            nullable=True,
            meaning="Its form.",
        ),
    ),
    row_rules=(
        RowRule(
            name="tubes_are_light",
            meaning="a tube weighs at most 5",
            holds="kind <> 'tube' OR weight <= 5",
        ),
    ),
    profile=(BatchBound(name="rows_read", minimum=1, severity="required", meaning="Rows."),),
    labels=Labels(
        column="kind", normal=("box",), families={"theft": "Loss", "fire": "Loss", "rain": "Damage"}
    ),
)


def test_the_page_in_docs_is_fresh() -> None:
    page = (ROOT / DEFAULT_PATH).read_text(encoding="utf-8")
    assert page == render_dictionary(own_contracts().values()), (
        "regenerate it: python -m expectations.dictionary"
    )


def test_the_command_writes_what_is_rendered(tmp_path: Path) -> None:
    write_dictionary(tmp_path / "page.md")
    written = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert written == render_dictionary(own_contracts().values())


def test_columns_rules_and_bounds_have_the_result_of_a_violation() -> None:
    page = render_dictionary([PARCELS]).splitlines()
    assert (
        "| `weight` | Float64 | kg | 0.000001 | at least 0 | quarantined | feature | Its weight. |"
        in page
    )
    assert (
        "| `kind` | String |  |  | `box`, `tube`, or nothing | reported | feature | Its form. |"
        in page
    )
    assert (
        "| `tubes_are_light` | `kind`, `weight` | a tube weighs at most 5 | quarantined |" in page
    )
    assert "| `rows_read` | at least 1 | rejected | Rows. |" in page
    assert "- Loss: `theft`, `fire`" in page
    assert "- Damage: `rain`" in page
