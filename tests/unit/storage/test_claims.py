"""One run at a time holds a batch, until it ends or is killed."""

import fcntl
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from storage import schema
from storage.claims import claim, lock_folder
from storage.database import lock_name

DATABASES = ("sqlite", "postgresql", "postgresql15")
BATCH_ID = "ab" * 32

# Claims the batch, says so, and waits to be killed.
OWNER = """
import sys
from pathlib import Path
from storage.claims import claim
from storage.database import connect

url, home, folder, batch_id = sys.argv[1:]
with claim(connect(url or None, Path(home)), Path(folder), batch_id) as held:
    print(held.token, flush=True)
    sys.stdin.read()
"""


def wait_for_lock(engine: Engine) -> None:
    """Return once the dead owner's session is gone, which PostgreSQL notices in its own time."""
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            connection.execute(sa.text("SET LOCAL statement_timeout = '20s'"))
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(lock_name(BATCH_ID))))


def test_a_batch_that_is_held_is_not_given_to_another(example: SimpleNamespace) -> None:
    with example.claim() as held, example.claim() as other:
        assert (held.token, held.is_finished) == (1, False)
        assert other is None


def test_another_batch_can_be_claimed_meanwhile(example: SimpleNamespace) -> None:
    example.deliver("cd" * 32)
    with example.claim(), example.claim("cd" * 32) as other:
        assert other.batch_id == "cd" * 32


def test_each_claim_of_an_unfinished_batch_takes_the_next_token(example: SimpleNamespace) -> None:
    for expected in (1, 2, 3):
        with example.claim() as held:
            assert held.token == expected


def test_claiming_a_finished_batch_changes_nothing(example: SimpleNamespace) -> None:
    example.commit()
    before = example.read_all()
    with example.claim() as held:
        assert (held.status, held.is_finished) == ("scored", True)
    assert example.read_all() == before


def test_a_batch_is_free_again_after_an_error_inside(example: SimpleNamespace) -> None:
    with pytest.raises(ZeroDivisionError), example.claim():
        _ = 1 / 0
    with example.claim() as held:
        assert held is not None


def test_a_batch_that_never_arrived_cannot_be_claimed(example: SimpleNamespace) -> None:
    with pytest.raises(LookupError, match="record its delivery first"), example.claim("ef" * 32):
        pass


def test_a_claim_dies_with_its_owner(
    example: SimpleNamespace, database: tuple[str | None, Path], tmp_path: Path
) -> None:
    url, home = database
    folder = tmp_path / BATCH_ID
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, url or "", str(home), str(folder), BATCH_ID],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert owner.stdout.readline() == b"1\n"
        with claim(example.engine, folder, BATCH_ID) as refused:
            assert refused is None
    finally:
        owner.kill()
        owner.communicate()
    wait_for_lock(example.engine)
    with claim(example.engine, folder, BATCH_ID) as held:
        assert held.token == 2


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_lost_session_leaves_the_token_to_guard_the_batch(example: SimpleNamespace) -> None:
    with example.claim() as held:
        with example.engine.connect() as connection:
            connection.execute(
                sa.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
                )
            )
            connection.commit()
        wait_for_lock(example.engine)
        with example.claim() as other:
            assert other.token == held.token + 1
    (found,) = example.read(schema.batch)
    assert (found["status"], found["claim_token"]) == ("received", 2)


def test_a_folder_that_its_holders_remove_is_locked_by_one_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "7"
    alone = threading.Lock()  # tells within one process what the folder's lock must tell

    def hammer(times: int) -> list[bool]:
        """Lock and remove it so many times; was this thread alone whenever it had it?"""
        seen: list[bool] = []
        while len(seen) < times:
            with lock_folder(folder) as is_held:
                if is_held:
                    seen.append(alone.acquire(blocking=False))
                    if seen[-1]:
                        alone.release()
                    folder.rmdir()
        return seen

    with ThreadPoolExecutor(4) as threads:
        seen = [was_alone for of_one in threads.map(hammer, [200] * 4) for was_alone in of_one]
    assert all(seen)
    assert not folder.exists()


def test_a_folder_removed_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "7"
    removed = []
    flock = fcntl.flock

    def removed_first(descriptor: int, operation: int) -> None:
        if not removed:
            removed.append(folder.rmdir())
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", removed_first)
    with lock_folder(folder) as is_held, lock_folder(folder) as is_held_twice:
        assert (is_held, is_held_twice) == (True, False)


def test_a_link_that_leads_nowhere_cannot_be_locked(tmp_path: Path) -> None:
    (tmp_path / "batch").symlink_to(tmp_path / "absent")
    with pytest.raises(FileNotFoundError), lock_folder(tmp_path / "batch"):
        pass
