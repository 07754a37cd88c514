"""Settings come from ``NOCTULE_*`` variables; a wrong one is named, a secret never shown."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from expectations.errors import UsageError
from flows.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("NOCTULE_")]:
        monkeypatch.delenv(name)


def test_without_variables_everything_is_below_the_folder_one_is_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    assert settings.home == tmp_path / ".noctule"
    assert settings.lake == tmp_path / ".noctule" / "lake"
    assert settings.models == tmp_path / ".noctule" / "models"
    assert settings.inbox_folder == tmp_path / ".noctule" / "inbox"
    assert settings.training_folder == tmp_path / ".noctule" / "training"
    assert settings.database_address is None


def test_paths_are_absolute_from_the_moment_they_are_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/analyst")
    monkeypatch.setenv("NOCTULE_HOME", "here")
    monkeypatch.setenv("NOCTULE_INBOX", "~/arrivals")
    settings = load_settings()
    monkeypatch.chdir("/")
    assert settings.home == tmp_path / "here"
    assert settings.inbox_folder == Path("/home/analyst/arrivals")


@pytest.mark.parametrize(
    ("given", "absolute"),
    [
        ("sqlite:///n.db", "sqlite:///{here}/n.db"),
        ("sqlite:///sub/n.db", "sqlite:///{here}/sub/n.db"),
        ("sqlite:///~/n.db", "sqlite:////home/analyst/n.db"),
        ("sqlite:////var/n.db", "sqlite:////var/n.db"),
        ("sqlite://", "sqlite://"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("postgresql:///noctule", "postgresql:///noctule"),
        ("no address", "no address"),
    ],
)
def test_a_database_file_is_absolute_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str, absolute: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/analyst")
    monkeypatch.setenv("NOCTULE_DATABASE_URL", given)
    assert load_settings().database_address == absolute.format(here=tmp_path)


def test_a_process_in_another_folder_finds_the_same_places(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "HOME": "h", "INBOX": "i", "TRAINING": "t", "DATABASE_URL": "sqlite:///d.db"
    }.items():  # fmt: skip
        monkeypatch.setenv(f"NOCTULE_{name}", value)
    here = load_settings()
    assert set(here.places) == {
        f"NOCTULE_{name}" for name in ("HOME", "INBOX", "TRAINING", "DATABASE_URL")
    }
    for name, value in here.places.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir("/")
    assert load_settings() == here


def test_places_that_are_not_set_stay_below_the_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings().places == {"NOCTULE_HOME": str(tmp_path / ".noctule")}


@pytest.mark.parametrize(
    "name", ["NOCTULE_HOME", "NOCTULE_INBOX", "NOCTULE_TRAINING", "NOCTULE_CONTRACTS"]
)
@pytest.mark.parametrize("nothing", ["", " "])
def test_an_empty_path_is_refused_and_not_the_folder_one_is_in(
    monkeypatch: pytest.MonkeyPatch, name: str, nothing: str
) -> None:
    monkeypatch.setenv(name, nothing)
    with pytest.raises(
        UsageError, match=rf"{name}: .*it is empty.* Set it, or unset it"
    ) as refused:
        load_settings()
    assert "where you run 'prefect deploy'" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("NOCTULE_HOME", "~nobody-here/n"), ("NOCTULE_DATABASE_URL", "sqlite:///~nobody-here/n.db")],
)
def test_the_home_of_an_unknown_user_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=f"{name}: .*no home folder that ~nobody-here stands for"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("NOCTULE_INBX", "did you mean NOCTULE_INBOX?"),
        ("NOCTULE_DATABASE", "did you mean NOCTULE_DATABASE_URL?"),
        ("NOCTULE_QQQ", "known are NOCTULE_ALERT_BUDGET, "),
    ],
)
def test_a_variable_that_is_no_setting_is_refused_with_advice(
    monkeypatch: pytest.MonkeyPatch, name: str, advice: str
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(UsageError) as refused:
        load_settings()
    assert f"the environment variable {name}: it is not a setting; {advice}" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("CHUNK_ROWS", "many", "valid integer"),
        ("CHUNK_ROWS", "10", "greater than or equal to 1000"),
        ("THREADS", "0", "greater than or equal to 1"),
        ("MAX_QUARANTINE_RATIO", "1.5", "less than or equal to 1"),
        ("OPERATING_POINT", "loud", "'default' or 'low_alert'"),
        ("SETTLE_S", "-1", "greater than or equal to 0"),
        ("NIGHTLY_CRON", "daily", "at least 9 characters"),
        ("TIME_ZONE", "Mars/Olympus", "there is no time zone 'Mars/Olympus'"),
        ("CONTRACT", "netflow", "no contract named 'netflow'. Known contracts: argus, "),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, problem: str
) -> None:
    monkeypatch.setenv(f"NOCTULE_{name}", value)
    with pytest.raises(UsageError, match=f"^Cannot use the settings: NOCTULE_{name}: ") as refused:
        load_settings()
    assert problem in str(refused.value)


def test_every_problem_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOCTULE_SEED", "x")
    monkeypatch.setenv("NOCTULE_THREADS", "x")
    with pytest.raises(UsageError, match=r"NOCTULE_THREADS: .*; NOCTULE_SEED: "):
        load_settings()


def test_a_password_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "postgresql://noctule:hush@db/noctule"
    monkeypatch.setenv("NOCTULE_DATABASE_URL", address)
    settings = load_settings()
    assert settings.database_address == address
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert "hush" not in shown
    monkeypatch.setenv("NOCTULE_SEED", "x")
    with pytest.raises(UsageError) as refused:
        load_settings()
    assert "hush" not in str(refused.value)
    assert refused.value.__cause__ is None, "pydantic's error holds every value"


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().seed = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"ALERT_BUDGET": "20"}, "NOCTULE_ALERT_BUDGET is used by the operating point low_alert"),
        ({"LOW_ALERT_RATE": "0.01"}, "set NOCTULE_OPERATING_POINT=low_alert too, or unset it"),
        (
            {"LOW_ALERT_RATE": "0.01", "ALERT_BUDGET": "20", "OPERATING_POINT": "low_alert"},
            "NOCTULE_LOW_ALERT_RATE and NOCTULE_ALERT_BUDGET are two ways to choose one threshold",
        ),
        ({"CHALLENGERS": "lightgbm"}, "'lightgbm' is no recipe: expected CLASSIFIER+ONE_CLASS"),
        ({"CHALLENGERS": "lightgbm+pca"}, "'pca' is no one-class detector; known are autoencoder"),
        ({"CHALLENGERS": "a+b+c+d"}, "'a+b+c+d' is no recipe"),
        ({"CHALLENGERS": "voting+pca_error+best"}, "'best' is no selection; known are none"),
        ({"SHADOW": "nsl_kdd-a,nsl_kdd-b"}, "nsl_kdd-a and nsl_kdd-b are two versions of nsl_kdd"),
        ({"SHADOW": "best"}, "NOCTULE_SHADOW: 'best' is no model version. `noctule models` lists"),
        ({"INBOX_PATTERN": ""}, "NOCTULE_INBOX_PATTERN: it holds no pattern; expected names such"),
        ({"INBOX_PATTERN": " , "}, "NOCTULE_INBOX_PATTERN: it holds no pattern"),
        ({"INBOX_PATTERN": "*.{csv,gz}"}, "no name in the inbox matches '*.{csv'; expected a"),
        ({"INBOX_PATTERN": "*.csv,in/*.csv"}, "no name in the inbox matches 'in/*.csv'"),
        ({"INBOX_PATTERN": ".*"}, "no name in the inbox matches '.*'"),
    ],
)
def test_settings_that_contradict_each_other_or_name_nothing_are_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], says: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"NOCTULE_{name}", value)
    with pytest.raises(UsageError) as refused:
        load_settings()
    assert says in str(refused.value)
    assert "Value error" not in str(refused.value)


def test_recipes_are_read_between_commas_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    recipes = "lightgbm+pca_error, voting+mahalanobis+forest,lightgbm+pca_error,"
    monkeypatch.setenv("NOCTULE_CHALLENGERS", recipes)
    assert load_settings().challengers == ("lightgbm+pca_error", "voting+mahalanobis+forest")


def test_patterns_of_names_are_read_between_commas_each_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load_settings().inbox_pattern == ()
    monkeypatch.setenv("NOCTULE_INBOX_PATTERN", "*.csv, night-??.csv.gz,*.csv,")
    assert load_settings().inbox_pattern == ("*.csv", "night-??.csv.gz")


@pytest.mark.parametrize(
    ("given", "versions"),
    [
        ("", ()),
        (" ", ()),
        (" nsl_kdd-b ", ("nsl_kdd-b",)),
        ("nsl_kdd-b, argus-a,nsl_kdd-b", ("nsl_kdd-b", "argus-a")),
    ],
)
def test_shadows_are_read_between_commas(
    monkeypatch: pytest.MonkeyPatch, given: str, versions: tuple[str, ...]
) -> None:
    monkeypatch.setenv("NOCTULE_SHADOW", given)
    settings = load_settings()
    assert settings.shadow == versions
    assert settings.shadow_of("zeek") is None
    assert settings.shadow_of("argus") == ("argus-a" if "argus-a" in versions else None)


def test_the_contract_of_an_option_counts_before_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load_settings().contract is None
    assert load_settings("nsl_kdd").contract == "nsl_kdd"
    with pytest.raises(UsageError, match=r"^There is no contract named 'netflow'\."):
        load_settings("netflow")


def test_the_folder_of_contracts_is_absolute_in_the_variable_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pages").mkdir()
    monkeypatch.setenv("NOCTULE_CONTRACTS", "pages")
    settings = load_settings()
    assert settings.contracts == tmp_path / "pages"
    assert os.environ["NOCTULE_CONTRACTS"] == str(tmp_path / "pages")
    assert settings.places["NOCTULE_CONTRACTS"] == str(tmp_path / "pages")


def test_a_folder_that_is_gone_under_the_command_is_named_as_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with pytest.raises(UsageError, match="NOCTULE_HOME: the folder in which the command was start"):
        load_settings()
