"""Finding contracts by their names: ours, and those of a user's folder."""

import os
from pathlib import Path

import pytest

from expectations.errors import PageError, UsageError
from expectations.registry import (
    broken_pages,
    get_contract,
    load_contracts,
    own_contracts,
)
from expectations.suites import batch_bounds

PAGE = """name = "{name}"
[columns]
size = "count"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NOCTULE_CONTRACTS", str(tmp_path))
    return tmp_path


def write(folder: Path, name: str, text: str | None = None) -> Path:
    path = folder / f"{name}.toml"
    path.write_text(PAGE.format(name=name) if text is None else text)
    return path


def test_a_known_name_finds_its_contract() -> None:
    assert get_contract("nsl_kdd").name == "nsl_kdd"
    assert get_contract("nsl_kdd") is load_contracts()["nsl_kdd"]


def test_each_of_our_pages_has_the_name_of_its_contract() -> None:
    ours = own_contracts()
    assert {"nsl_kdd", "argus", "suricata"} <= set(ours)
    assert {name: contract.name for name, contract in ours.items()} == {name: name for name in ours}


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no contract named 'zeek9'.*nsl_kdd"):
        get_contract("zeek9")


def test_every_contract_can_reject_a_batch() -> None:
    for contract in own_contracts().values():
        required = {one.name for one in batch_bounds(contract) if one.severity == "required"}
        assert required >= {"rows_accepted", "quarantine_ratio"}


def test_pages_of_the_folder_are_contracts_too(folder: Path) -> None:
    write(folder, "mine")
    (folder / "notes.txt").write_text("no page")
    (folder / ".draft.toml").write_text("no page")
    assert get_contract("mine").feature_names == ("size",)
    assert "mine" in load_contracts()
    assert "mine" not in own_contracts()
    assert broken_pages() == ()


def test_a_page_is_read_again_only_if_it_changed(folder: Path) -> None:
    path = write(folder, "mine")
    first = get_contract("mine")
    assert get_contract("mine") is first
    path.write_text(path.read_text() + 'weight = "number"\n')
    assert get_contract("mine").feature_names == ("size", "weight")
    path.unlink()
    with pytest.raises(UsageError, match="no contract named 'mine'"):
        get_contract("mine")


def test_a_broken_page_stops_no_other(folder: Path) -> None:
    write(folder, "mine")
    write(folder, "theirs", 'name = "theirs"\n[columns]\nsize = "cuont"\n')
    assert get_contract("mine").name == "mine"
    (error,) = broken_pages()
    assert isinstance(error, PageError)
    assert error.path == folder / "theirs.toml"
    with pytest.raises(UsageError, match=r"no contract named 'theirs'.*theirs\.toml, line 3, "):
        get_contract("theirs")


@pytest.mark.parametrize("taken", ["nsl_kdd", "mine"])
def test_a_name_that_another_page_has_is_an_error_of_the_later_one(
    folder: Path, taken: str
) -> None:
    write(folder, "mine")
    write(folder, "other", PAGE.format(name=taken))
    assert set(load_contracts()) - set(own_contracts()) == {"mine"}
    (error,) = broken_pages()
    assert error.path == folder / "other.toml"
    assert f"has the name {taken} too" in str(error)


@pytest.mark.parametrize("what", ["a link to nothing", "a folder", "a pipe"])
def test_what_is_no_file_is_a_broken_page(folder: Path, what: str) -> None:
    path = folder / "odd.toml"
    if what == "a folder":
        path.mkdir()
    elif what == "a pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(folder / "nothing")
    assert [error.path for error in broken_pages()] == [path]


def test_a_folder_that_is_not_there_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOCTULE_CONTRACTS", str(folder / "nothing"))
    (error,) = broken_pages()
    assert "cannot read the folder that NOCTULE_CONTRACTS names" in str(error)
    assert set(load_contracts()) == set(own_contracts())
