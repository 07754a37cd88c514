"""Model versions are registered once and refused if altered; the order of champions is kept."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from expectations.errors import ModelRefusedError, UsageError
from storage import schema
from storage.model_files import discard_unfinished
from storage.model_store import champion, load_verified, promote, rollback

FIRST, SECOND, THIRD = (f"nsl_kdd-{digit * 12}" for digit in "abc")


def change(example: SimpleNamespace, to: str) -> None:
    now = example.result().started_at
    promote(example.engine, example.models, to, who="ada", reason="better", now=now)


def undo(example: SimpleNamespace) -> str:
    now = example.result().started_at
    return rollback(example.engine, example.models, "nsl_kdd", who="bob", reason="worse", now=now)


def leave_half(_source: Path, target: Path, **_: object) -> None:
    """Copy as a process does that is killed at it."""
    target.mkdir()
    (target / "model.txt").touch()
    raise SystemExit


class TestRegistering:
    def test_a_version_is_named_by_its_content_and_holds_its_files(
        self, example: SimpleNamespace
    ) -> None:
        folder = load_verified(example.engine, example.models, FIRST)
        assert folder == example.models / FIRST
        assert (folder / "model.txt").read_text() == "trees of a"
        manifest = json.loads((folder / "manifest.json").read_text())
        assert manifest["content_hash"] == "a" * 64
        assert sorted(manifest["files"]) == ["model.txt", "reference/bins.json"]

    def test_the_same_content_is_the_same_version(self, example: SimpleNamespace) -> None:
        before = example.read_all()
        assert example.register("a").version == FIRST
        assert example.read_all() == before

    def test_equal_content_in_other_bytes_leaves_the_stored_files(
        self, example: SimpleNamespace
    ) -> None:
        (example.folder / "fitted-a" / "time.txt").write_text("now")
        example.register("a")
        assert not (example.models / FIRST / "time.txt").exists()

    def test_registering_again_restores_a_version_whose_files_are_lost(
        self, example: SimpleNamespace
    ) -> None:
        shutil.rmtree(example.models / FIRST)
        example.register("a")
        assert load_verified(example.engine, example.models, FIRST)
        assert len(example.read(schema.model_version)) == 1
        assert len(example.read(schema.promotion)) == 1

    def test_registering_again_with_other_features_replaces_what_the_model_says_of_them(
        self, example: SimpleNamespace
    ) -> None:
        (example.folder / "fitted-a" / "training.json").write_text("other features")
        registered = example.register("a", feature_fingerprint="f" * 64)
        assert registered.version == FIRST
        assert registered.training["feature_fingerprint"] == "f" * 64
        folder = load_verified(example.engine, example.models, FIRST)
        assert (folder / "training.json").read_text() == "other features"
        assert len(example.read(schema.promotion)) == 1

    def test_what_a_killed_training_left_is_removed_and_nothing_else(
        self, example: SimpleNamespace
    ) -> None:
        left = [f".{SECOND}-{'0' * 12}", f".{FIRST}-stale-{'1' * 12}", ".fit-k2_x9ab"]
        for name in left:
            (example.models / name / "reference").mkdir(parents=True)
        kept = [".snapshot", f"{SECOND}-old", "notes"]
        for name in kept:
            (example.models / name).mkdir()
        discard_unfinished(example.models)
        assert sorted(path.name for path in example.models.iterdir()) == sorted([*kept, FIRST])
        assert load_verified(example.engine, example.models, FIRST)

    @pytest.mark.parametrize("step", ["copytree", "rmtree"])
    def test_a_registration_killed_at_any_step_leaves_nothing_for_ever(
        self, example: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        (example.models / FIRST / "model.txt").write_text("altered")  # so that it is replaced

        def killed(*_: object, **__: object) -> None:
            raise SystemExit

        with monkeypatch.context() as patch:
            patch.setattr(shutil, "rmtree", killed)  # a kill lets no clean-up run
            if step == "copytree":
                patch.setattr(shutil, "copytree", leave_half)
            with pytest.raises(SystemExit):
                example.register("a")
        assert len(list(example.models.iterdir())) > 1
        discard_unfinished(example.models)
        example.register("a")
        assert [path.name for path in example.models.iterdir()] == [FIRST]

    def test_a_store_that_does_not_exist_has_nothing_unfinished(self, tmp_path: Path) -> None:
        discard_unfinished(tmp_path / "models")
        assert not (tmp_path / "models").exists()

    def test_registering_leaves_nothing_else_in_the_store(self, example: SimpleNamespace) -> None:
        example.register("b")
        assert sorted(path.name for path in example.models.iterdir()) == [FIRST, SECOND]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # it is about files
class TestRefusal:
    @pytest.mark.parametrize(
        ("alter", "complaint"),
        [
            (lambda folder: (folder / "model.txt").write_text("x"), "model.txt was altered"),
            (lambda folder: (folder / "model.txt").unlink(), "model.txt is missing"),
            (lambda folder: (folder / "new.py").write_text("x"), "new.py was not there"),
            (
                lambda folder: (folder / "reference" / "bins.json").write_text("[]"),
                "reference/bins.json was altered",
            ),
            (lambda folder: (folder / "manifest.json").unlink(), "manifest.json is missing"),
            (
                lambda folder: (folder / "manifest.json").write_text('{"files": {}}'),
                "manifest.json is not the one",
            ),
            (shutil.rmtree, "manifest.json is missing"),
        ],
    )
    def test_a_folder_that_is_not_as_registered_is_refused(
        self, example: SimpleNamespace, alter: object, complaint: str
    ) -> None:
        alter(example.models / FIRST)
        with pytest.raises(ModelRefusedError, match=f"Refused model {FIRST}: {complaint}"):
            load_verified(example.engine, example.models, FIRST)

    def test_a_file_and_a_manifest_that_agree_are_refused_all_the_same(
        self, example: SimpleNamespace
    ) -> None:
        shutil.rmtree(example.models / FIRST)
        example.register("b")
        shutil.copytree(example.models / SECOND, example.models / FIRST)
        with pytest.raises(ModelRefusedError, match=r"manifest.json is not the one"):
            load_verified(example.engine, example.models, FIRST)

    def test_a_link_in_place_of_a_file_is_refused(self, example: SimpleNamespace) -> None:
        file = example.models / FIRST / "model.txt"
        file.rename(example.folder / "elsewhere")
        file.symlink_to(example.folder / "elsewhere")
        with pytest.raises(ModelRefusedError, match=r"model.txt is missing, or is no regular file"):
            load_verified(example.engine, example.models, FIRST)

    def test_a_version_nobody_registered_is_refused(
        self, example: SimpleNamespace, tmp_path: Path
    ) -> None:
        with pytest.raises(ModelRefusedError, match="the database does not know it"):
            load_verified(example.engine, tmp_path, "nsl_kdd-ffffffffffff")

    def test_two_contents_that_share_a_name_are_not_confused(
        self, example: SimpleNamespace
    ) -> None:
        row = schema.model_version.update().values(content_hash="a" * 12 + "0" * 52)
        with example.engine.begin() as connection:
            connection.execute(row)
        with pytest.raises(ModelRefusedError, match="another model already has this name"):
            example.register("a")


class TestChampion:
    def test_the_first_model_of_a_contract_becomes_champion(self, example: SimpleNamespace) -> None:
        example.register("b")
        found = champion(example.engine, "nsl_kdd")
        assert (found.version, found.metrics) == (FIRST, {"roc_auc": 0.99})

    def test_a_contract_without_a_model_says_how_to_get_one(self, example: SimpleNamespace) -> None:
        with pytest.raises(UsageError, match="noctule train FILE"):
            champion(example.engine, "zeek_conn")

    def test_champions_of_two_contracts_are_apart(self, example: SimpleNamespace) -> None:
        other = example.register("b", contract="zeek_conn")
        assert champion(example.engine, "zeek_conn") == other
        assert champion(example.engine, "nsl_kdd").version == FIRST

    def test_rolling_back_twice_goes_back_two_promotions(self, example: SimpleNamespace) -> None:
        for content, version in (("b", SECOND), ("c", THIRD)):
            example.register(content)
            change(example, version)
        assert undo(example) == SECOND
        assert undo(example) == FIRST
        assert champion(example.engine, "nsl_kdd").version == FIRST
        with pytest.raises(UsageError, match="no earlier champion"):
            undo(example)

    def test_a_promotion_after_a_rollback_is_what_the_next_rollback_undoes(
        self, example: SimpleNamespace
    ) -> None:
        for content in "bc":
            example.register(content)
        change(example, SECOND)
        undo(example)
        change(example, THIRD)
        assert undo(example) == FIRST

    def test_promoting_the_champion_or_a_stranger_is_refused(
        self, example: SimpleNamespace
    ) -> None:
        with pytest.raises(UsageError, match="already the champion of nsl_kdd"):
            change(example, FIRST)
        with pytest.raises(UsageError, match="there is no such version"):
            change(example, "nsl_kdd-ffffffffffff")
        assert len(example.read(schema.promotion)) == 1

    def test_a_version_that_cannot_score_becomes_champion_in_neither_way(
        self, example: SimpleNamespace
    ) -> None:
        example.register("b")
        damaged = example.models / SECOND / "model.txt"
        whole = damaged.read_bytes()
        damaged.write_text("x")
        with pytest.raises(
            ModelRefusedError, match=r"altered .*; nothing was changed\.$"
        ) as refused:
            change(example, SECOND)
        assert refused.value.exit_code == 2
        assert champion(example.engine, "nsl_kdd").version == FIRST

        damaged.write_bytes(whole)
        change(example, SECOND)
        (example.models / FIRST / "model.txt").unlink()
        with pytest.raises(ModelRefusedError, match=r"missing.*; nothing was changed\.$"):
            undo(example)
        assert champion(example.engine, "nsl_kdd").version == SECOND
