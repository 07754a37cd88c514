"""A scheduled night creates its inbox, has its tags, and leaves no pickle."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prefect.settings import (
    PREFECT_LOCAL_STORAGE_PATH,
    PREFECT_RESULTS_PERSIST_BY_DEFAULT,
    temporary_settings,
)

from expectations.errors import UsageError
from flows.nightly import nightly

if TYPE_CHECKING:
    from tests.support.bad_files_night import NightRun
    from tests.support.prefect_servers import Server


@pytest.fixture
def arrived(night: "NightRun", home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one file lie in the home's inbox, whole."""
    monkeypatch.setenv("NOCTULE_SETTLE_S", "0")
    lines = (night.inbox / "night-2026-11-02.csv").read_text().splitlines()[:40]
    (home / "inbox").mkdir()
    (home / "inbox" / "tonight.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.usefixtures("arrived")
def test_the_runs_of_its_files_are_tagged_and_no_result_is_pickled(
    server: "Server", tmp_path: Path
) -> None:
    storage = tmp_path / "results"
    with temporary_settings(
        {PREFECT_RESULTS_PERSIST_BY_DEFAULT: True, PREFECT_LOCAL_STORAGE_PATH: storage}
    ):
        state = nightly(return_state=True)
    (file,) = state.result().files
    assert file.status == "scored"
    assert [stage.partition("-")[0] for stage in file.costs] == [
        "ingest", "validate", "score", "explain", "drift", "store", "publish",
    ]  # fmt: skip
    (child,) = server.children(str(state.state_details.flow_run_id))
    assert sorted(child["tags"]) == ["noctule"]
    assert not storage.exists() or not list(storage.rglob("*"))


@pytest.mark.usefixtures("server")
def test_the_default_inbox_is_made(home: Path) -> None:
    assert nightly(return_state=True).is_completed()
    assert list((home / "inbox").iterdir()) == []


@pytest.mark.usefixtures("server", "home")
def test_an_inbox_that_was_set_and_is_not_there_is_no_empty_night(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOCTULE_INBOX", str(tmp_path / "mount"))
    with pytest.raises(UsageError, match=r"mount: it is not a folder.*NOCTULE_INBOX"):
        nightly()
    assert not (tmp_path / "mount").exists()
