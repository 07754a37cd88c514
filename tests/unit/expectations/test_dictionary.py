"""The data dictionary shows the contracts, and the page in docs/ is up to date."""

from dataclasses import replace
from pathlib import Path

from expectations.contract import BatchBound, Column, Contract, Form, Labels, RowRule
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
            sources=("Gewicht",),
            scale=0.001,
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
        "| `weight` | `Gewicht` | number | kg | times 0.001; to 0.000001 | at least 0 "
        "| quarantined | feature | Its weight. |"
    ) in page
    assert (
        "| `kind` | the same | category |  |  | `box`, `tube`, or nothing | reported | feature "
        "| Its form. |"
    ) in page
    assert (
        "| `tubes_are_light` | a tube weighs at most 5 | `kind <> 'tube' OR weight <= 5` "
        "| quarantined |"
    ) in page
    assert "| `rows_read` | at least 1 | rejected | Rows. |" in page
    assert "| Loss |  | `theft`, `fire` |" in page
    assert "| Damage |  | `rain` |" in page
    assert "- Normal: `box`." in page


def test_a_form_is_told_in_sentences() -> None:
    form = Form(
        separators=("\t", "^"), comment="#", trailer="Sum", trailer_lines=3, nulls=("-",),
        orders=(("weight", "kind"),), encoding="cp1252", repeated="first", non_finite="null",
    )  # fmt: skip
    page = render_dictionary([replace(PARCELS, form=form, match=("Gewicht",))]).splitlines()
    for sentence in (
        "Text: lines of fields with tabs or `^` between them; or Parquet.",
        "Recognised by these names in the header: `Gewicht`.",
        "Without a header, 2 fields are `weight` to `kind`.",
        "Of several columns with one name, the first is read.",
        "A line that begins with `#` is no row.",
        "The last 3 lines, from `Sum` on, are no rows.",
        "A line that is no UTF-8 is read as cp1252.",
        "A missing value is an empty field, `-`.",
        "Infinity and NaN are missing values.",
    ):
        assert f"- {sentence}" in page


def test_a_time_is_told_with_its_zone() -> None:
    time = Column(
        name="at", kind="time", formats=("%d/%m/%Y %H:%M",), zone="Europe/Berlin", first_hour=8,
        role="identifier", meaning="When.",
    )  # fmt: skip
    page = render_dictionary([replace(PARCELS, columns=(*PARCELS.columns, time))])
    read = "`%d/%m/%Y %H:%M`; in Europe/Berlin; 12 hours, from 8 in the morning"
    assert f"| {read} | any moment |" in page
    assert "| `earliest.at` | at least 631152000 (1990-01-01) | reported |" in page
