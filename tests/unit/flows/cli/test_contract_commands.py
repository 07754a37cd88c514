"""``noctule contracts``: drafts are written with care, and files are checked without a home."""

import json
from pathlib import Path

import pytest

from expectations.errors import UsageError
from flows.cli.contract_check import run_check
from flows.cli.contract_draft import choose_name, write_draft
from flows.cli.contract_list import show_contract, show_contracts
from flows.settings import Settings

ROWS = "\n".join(
    f"2024-05-01 10:00:{n:02};10.0.0.{n};{n * n};{('benign', 'scan')[n % 2]}" for n in range(60)
)
HEADER = "StartTime;SrcAddr;Zähler;Label"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a file of a new source; the user's folder of contracts is ``pages``."""
    monkeypatch.setenv("NOCTULE_CONTRACTS", str(tmp_path / "pages"))
    (tmp_path / "pages").mkdir()
    path = tmp_path / "Mein Log.2024.csv"
    path.write_text(f"{HEADER}\n{ROWS}\n", encoding="utf-8")
    return path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", contracts=tmp_path / "pages")


def test_a_draft_goes_into_the_folder_and_is_a_contract_at_once(
    file: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    write_draft(settings.contracts, file, None, None, is_forced=False)

    said = capsys.readouterr().out
    assert (file.parent / "pages" / "mein_log.toml").is_file()
    assert "Read what begins with LOOK" in said
    assert run_check(settings, file, None, None, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["contract"], found["fits"], found["rows_read"]) == ("mein_log", True, 60)
    assert not settings.home.exists()


def test_a_page_that_is_there_is_replaced_only_by_force(file: Path, settings: Settings) -> None:
    write_draft(settings.contracts, file, "mine", None, is_forced=False)
    page = file.parent / "pages" / "mine.toml"
    page.write_text(page.read_text().replace("Mein Log", "My log"))

    with pytest.raises(UsageError, match="is there already"):
        write_draft(settings.contracts, file, "mine", None, is_forced=False)

    assert "My log" in page.read_text()
    write_draft(settings.contracts, file, "mine", None, is_forced=True)
    assert "My log" not in page.read_text()


def test_a_name_that_is_taken_is_refused(file: Path, settings: Settings) -> None:
    with pytest.raises(UsageError, match="--name"):
        write_draft(settings.contracts, file, "nsl_kdd", None, is_forced=True)
    with pytest.raises(UsageError, match="small letters"):
        choose_name(file, "Mein Log")


@pytest.mark.parametrize(
    ("file_name", "name"),
    [
        ("büro.csv", "buro"),
        ("2026-11 flows.csv", "source_2026_11_flows"),
        ("日本.csv", "source"),
        (f"{'ab' * 40}.csv", "ab" * 27 + "a"),
    ],
)
def test_a_contract_is_named_after_its_file(file_name: str, name: str) -> None:
    assert choose_name(Path(file_name), None) == name


def test_the_next_command_can_be_typed_as_it_is_printed(
    file: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    write_draft(settings.contracts, file, None, None, is_forced=False)

    assert f"contracts check '{file}' --contract mein_log" in capsys.readouterr().out
    page = (file.parent / "pages" / "mein_log.toml").read_text(encoding="utf-8")
    assert f"contracts check '{file.name}' --contract mein_log" in page


def test_a_table_of_columns_fits_a_narrow_terminal(
    file: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    write_draft(settings.contracts, file, "mine", None, is_forced=False)
    capsys.readouterr()

    assert run_check(settings, file, "mine", None, as_json=False)
    shown = capsys.readouterr().out
    assert "started_at, from StartTime" in shown
    assert "label, from" not in shown

    show_contracts(settings, as_json=False)
    table, _, rest = capsys.readouterr().out.partition("Yours: ")
    assert "mine" in table
    assert str(file.parent) not in table
    assert rest.startswith(f"mine, in {file.parent / 'pages' / 'mine.toml'}")


def test_without_a_folder_the_page_is_printed(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_draft(None, file, None, None, is_forced=False)

    assert 'name = "mein_log"' in capsys.readouterr().out


def test_a_file_that_no_contract_knows_is_refused_with_what_each_lacks(
    file: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not run_check(settings, file, None, None, as_json=True)

    found = json.loads(capsys.readouterr().out)
    assert not found["fits"]
    assert {"contract", "has", "lacks", "misfits", "is_claim"} == set(found["candidates"][0])


def test_the_list_names_ours_the_users_and_broken_pages(
    file: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    write_draft(settings.contracts, file, "mine", None, is_forced=False)
    (file.parent / "pages" / "broken.toml").write_text("name = 1")
    capsys.readouterr()

    show_contracts(settings, as_json=True)

    found = json.loads(capsys.readouterr().out)
    by_name = {one["contract"]: one for one in found["contracts"]}
    assert by_name["nsl_kdd"]["page"] == "part of Noctule"
    assert by_name["mine"]["labels"] == "label"
    assert "broken.toml" in found["broken"][0]
    assert not settings.home.exists()


def test_show_prints_the_page_or_the_whole_contract(
    file: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    write_draft(settings.contracts, file, "mine", None, is_forced=False)
    capsys.readouterr()

    show_contract("mine", as_json=False)
    page = capsys.readouterr().out
    show_contract("mine", as_json=True)
    expanded = json.loads(capsys.readouterr().out)

    assert page == (file.parent / "pages" / "mine.toml").read_text(encoding="utf-8")
    assert [one["name"] for one in expanded["columns"]] == [
        "started_at", "src_ip", "zahler", "label",
    ]  # fmt: skip
    assert expanded["columns"][1]["role"] == "identifier"


def test_what_is_unusual_of_a_whole_file_is_said_once(
    file: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    write_draft(settings.contracts, file, "mine", None, is_forced=False)
    with file.open("a", encoding="utf-8") as lines:
        lines.write("broken\nbroken\n")
    capsys.readouterr()

    assert run_check(settings, file, "mine", None, as_json=False)

    shown = capsys.readouterr().out
    assert shown.count("unparsed_ratio") == 1
    assert "2 quarantined" in shown


def test_a_draft_of_a_file_that_fits_another_contract_names_that_one(
    file: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    write_draft(settings.contracts, file, "mine", None, is_forced=False)
    assert "fits other contracts" not in capsys.readouterr().err

    write_draft(settings.contracts, file, "second", None, is_forced=False)

    said = capsys.readouterr().err
    assert "fits other contracts, too: mine." in said
    assert "--contract second" in said
