"""The files of a training are of one contract, which their names or the settings say."""

from pathlib import Path

import pytest

from expectations.errors import InputRejectedError, UsageError
from flows.settings import Settings
from flows.training_files import list_labelled, require_files
from tests.support.sensor_pages import write_night, write_page


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a home with a page, and a training folder with a file of it and a letter."""
    write_page(tmp_path / "pages")
    monkeypatch.setenv("NOCTULE_CONTRACTS", str(tmp_path / "pages"))
    folder = tmp_path / "training"
    folder.mkdir()
    write_night(folder / "sensor.csv", 4, 1, is_labelled=True)
    (folder / "letter.csv").write_text("to;from\nyou;me\n")
    return tmp_path


def test_files_are_listed_by_the_contract_that_their_names_show(home: Path) -> None:
    listed = list_labelled(Settings(home=home, settle_s=0), None)
    assert listed.by_contract == {"sensor": (home / "training" / "sensor.csv",)}
    (refused,) = listed.refused
    assert "no contract knows it" in refused
    with pytest.raises(InputRejectedError, match="no contract knows it"):
        require_files(listed, [home])


def test_a_contract_that_is_said_takes_what_no_other_claims(home: Path) -> None:
    settings = Settings(home=home, settle_s=0, contract="nsl_kdd")
    listed = list_labelled(settings, None)
    assert listed.by_contract == {"nsl_kdd": (home / "training" / "letter.csv",)}
    assert listed.refused == ()
    assert listed.notes == (), "a folder is for all contracts"
    found = require_files(listed, [home])
    assert found.notes == ("left out: sensor.csv (a file of contract sensor)",)
    named = list_labelled(settings, [home / "training" / "sensor.csv"])
    assert list(named.by_contract) == ["nsl_kdd"], "a file that is named has it"


def test_files_of_two_contracts_are_refused_by_name(home: Path) -> None:
    write_page(home / "pages", "other", """
name = "other"
title = "Another"
source = "none"
[columns]
alpha = "count"
beta = "count"
""")  # fmt: skip
    other = home / "other.csv"
    other.write_text("alpha,beta\n1,2\n")
    files = [other, home / "training" / "sensor.csv"]
    listed = list_labelled(Settings(home=home), files)
    with pytest.raises(UsageError, match=r"several contracts \(other: other.csv; sensor: sensor"):
        require_files(listed, files)


def test_a_folder_without_a_file_of_the_contract_says_what_is_there(home: Path) -> None:
    (home / "training" / "letter.csv").unlink()
    listed = list_labelled(Settings(home=home, settle_s=0, contract="nsl_kdd"), None)
    with pytest.raises(UsageError, match=r"the contract that is asked for; left out: sensor.csv"):
        require_files(listed, [home / "training"])
