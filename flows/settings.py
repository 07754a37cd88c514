"""The settings: one frozen class, read from ``NOCTULE_*`` environment variables.

Belongs here: names, defaults and their reasons. Does not belong here: anything a command takes as
an option, or a secret in clear text.
"""

import difflib
import os
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from expectations.errors import UsageError
from tasks.detectors.names import read_recipe

PREFIX = "NOCTULE_"

Cron = Annotated[str, StringConstraints(strip_whitespace=True, min_length=9)]


class Settings(BaseSettings):
    """Where things are, and how a night is run."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", use_attribute_docstrings=True
    )

    home: Path = Path(".noctule")
    """Folder of the embedded database, the lake, the models and, by default, the inbox."""
    database_url: SecretStr | None = None
    """Address of the database: ``postgresql://user:password@host:port/name`` or
    ``sqlite:///file``. Unset: ``noctule.db`` in the home."""
    inbox: Path | None = None
    """Folder where nightly files arrive. Unset: ``inbox/`` in the home."""
    inbox_pattern: Annotated[tuple[str, ...], NoDecode] = ()
    """Names of files that are deliveries, in the inbox and in folders given to ``noctule run``:
    patterns such as ``night-*.csv,*.parquet``, separated by commas. Upper and lower case do not
    matter. Empty: every name except those of companions such as ``night.csv.md5``."""
    training: Path | None = None
    """Folder of labelled files for training and retraining, of all contracts. Unset: ``training/``
    in the home."""
    contracts: Path | None = None
    """Folder of your own contracts, one TOML page for each. Unset: only those of Noctule."""
    contract: str | None = None
    """The contract that every file is read under. Unset: each file is recognised by its names."""
    operating_point: Literal["default", "low_alert"] = "default"
    """Which of the champion's thresholds flags connections."""
    low_alert_rate: float | None = Field(default=None, gt=0, lt=1)
    """Share of normal connections that ``low_alert`` may flag. Unset: the model's own, 0.001."""
    alert_budget: int | None = Field(default=None, ge=1)
    """Most alerts that ``low_alert`` may give in a night. Set this or ``low_alert_rate``."""
    budget_nights: int = Field(default=7, ge=1)
    """Number of earlier nights from which the budget's threshold and the usual flag rate are
    computed. A guess: a week, with its weekend."""
    explain_top: int = Field(default=500, ge=0)
    """Most flagged connections of a batch that get reasons: first one of each kind, then the
    highest scores. A guess: 500 is more than an analyst reads in a day, and takes about one CPU
    second."""
    max_quarantine_ratio: float = Field(default=0.5, ge=0, le=1)
    """A batch with a larger share of unusable rows is rejected whole. A guess: such a file is more
    likely in another format than damaged."""
    max_line_bytes: int = Field(default=65_536, ge=1_024)
    """A longer line is quarantined, and only this many bytes of it are kept. A guess: a line of
    NSL-KDD has 150 bytes, and a file without line ends must not fill the memory."""
    max_file_bytes: int = Field(default=20_000_000_000, ge=1_000_000)
    """A file with more bytes after decompression is rejected. A guess: this is 130 million lines of
    NSL-KDD; a small file that holds more was made to fill the disk."""
    max_quarantined_rows: int = Field(default=100_000, ge=1)
    """Most quarantined rows of a batch that the database keeps. All are counted, and all are in the
    batch's folder of the lake. A guess: more than anyone reads, and 60 MB of NSL-KDD."""
    min_free_bytes: int = Field(default=2_000_000_000, ge=0)
    """Noctule starts a file only if the disk of the home has this many bytes free, plus twice the
    size of the file's content. A guess: a full disk stops everything on its host."""
    database_wait_s: float = Field(default=30, ge=0)
    """Seconds for which a command keeps asking a PostgreSQL server that does not answer. Then it
    ends with exit code 4. A guess: a restart takes seconds."""
    settle_s: float = Field(default=60, ge=0)
    """Seconds for which a file in the inbox must stay unchanged before it is read. A guess: longer
    than a stalled copy over a network usually pauses."""
    drift_sample_rows: int = Field(default=25_000, ge=2_000)
    """Rows of each side in Evidently's report, whose cost grows with them (measured). Whether a
    column has drifted is computed from all rows."""
    chunk_rows: int = Field(default=250_000, ge=1_000)
    """Rows held in memory at a time. 250,000 keep a night under 1.8 GB (``make bench``)."""
    threads: int = Field(default=1, ge=1)
    """Threads of LightGBM and ONNX Runtime. Results do not depend on it. More threads than idle
    cores make both slower."""
    seed: int = 42
    """Seed of training and of samples."""
    challengers: Annotated[tuple[str, ...], NoDecode] = ()
    """Recipes that a retraining fits in addition to the champion's own, such as
    ``random_forest+mahalanobis``, separated by commas."""
    promotion_margin: float = Field(default=0.002, ge=0, lt=1)
    """How many more attacks a challenger must find to be promoted, as a share of all attacks; the
    lower end of the gain's 95 % interval counts. A guess: two in a thousand."""
    judged_nights: int = Field(default=1, ge=1)
    """Number of latest nights with labels that a retraining compares models on, and does not fit
    on."""
    retrain_max_rows: int = Field(default=1_000_000, ge=1_000)
    """Most connections that a retraining fits on, and most that it compares models on; the latest
    are taken. A million take about 4 GB for each fit (a guess from 126,000, which take 1.4 GB)."""
    retrain_jobs: int = Field(default=2, ge=1)
    """Challengers that a retraining fits at once, each on ``threads`` cores; never more than the
    machine has cores for. A guess at spare memory: two at a million rows take 8 GB."""
    shadow: Annotated[tuple[str, ...], NoDecode] = ()
    """Model versions that score every night beside the champion, separated by commas, at most one
    of each contract. Their flags do not count."""
    nightly_cron: Cron = "30 4 * * *"
    """When ``noctule serve`` runs the nightly flow. No zone changes its clock at 04:30."""
    training_cron: Cron = "0 6 * * 0"
    """When ``noctule serve`` runs the retraining flow: Sundays, after the night."""
    time_zone: str = "UTC"
    """IANA name of the time zone of both schedules."""

    @field_validator("home", "inbox", "training", "contracts", mode="before")
    @classmethod
    def _require_place(cls, given: object) -> object:
        """Refuse an empty path, which would mean the current folder."""
        if isinstance(given, str) and not given.strip():
            msg = (
                "it is empty, where the path of a folder was expected. Set it, or unset it to have "
                "the default; of a deployment of prefect.yaml, set it where you run 'prefect "
                "deploy', and deploy again"
            )
            raise ValueError(msg)
        return given

    @field_validator("shadow", mode="before")
    @classmethod
    def _read_shadows(cls, given: object) -> object:
        """Read versions separated by commas, and refuse two of one contract."""
        versions = _between_commas(given)
        if versions is None:
            return given
        of_contract: dict[str, str] = {}
        for version in versions:
            contract = contract_of(version)
            if not contract:
                msg = f"{version!r} is no model version. `noctule models` lists them"
                raise ValueError(msg)
            if of_contract.setdefault(contract, version) != version:
                msg = (
                    f"{of_contract[contract]} and {version} are two versions of {contract};"
                    " expected at most one of each contract"
                )
                raise ValueError(msg)
        return versions

    @field_validator("home", "inbox", "training", "contracts")
    @classmethod
    def _make_absolute(cls, path: Path | None) -> Path | None:
        """Make paths absolute: a deployment may run in another folder."""
        return _absolute(path) if path is not None else None

    @field_validator("database_url")
    @classmethod
    def _make_file_absolute(cls, url: SecretStr | None) -> SecretStr | None:
        """Make the path of a SQLite file absolute; leave every other address unchanged."""
        address = url.get_secret_value() if url is not None else ""
        scheme, separator, file = address.partition(":///")
        if scheme != "sqlite" or not separator or file in {"", ":memory:"}:
            return url
        return SecretStr(f"{scheme}:///{_absolute(Path(file))}")

    @field_validator("challengers", mode="before")
    @classmethod
    def _read_challengers(cls, given: object) -> object:
        """Read recipes separated by commas, and refuse what is not a recipe."""
        recipes = _between_commas(given)
        if recipes is None:
            return given
        for recipe in recipes:
            read_recipe(recipe)
        return recipes

    @field_validator("inbox_pattern", mode="before")
    @classmethod
    def _read_patterns(cls, given: object) -> object:
        """Read patterns separated by commas, and refuse those that no file name can match."""
        patterns = _between_commas(given)
        if patterns is None:
            return given
        if isinstance(given, str) and not patterns:
            msg = (
                "it holds no pattern; expected names such as night-*.csv, separated by commas. Set"
                " it, or unset it to take every name except those of companions"
            )
            raise ValueError(msg)
        for pattern in patterns:
            if "/" in pattern or pattern.startswith(".") or set("{}") & set(pattern):
                msg = (
                    f"no name in the inbox matches {pattern!r}; expected a file's name, without a"
                    " folder, a leading dot or braces: *.csv,*.csv.gz rather than *.{csv,csv.gz}"
                )
                raise ValueError(msg)
        return patterns

    @field_validator("contract")
    @classmethod
    def _require_contract(cls, name: str | None) -> str | None:
        """Refuse an unknown contract."""
        from expectations.registry import get_contract

        try:
            return None if name is None else get_contract(name).name
        except UsageError as error:
            raise ValueError(str(error)) from None

    @field_validator("time_zone")
    @classmethod
    def _require_time_zone(cls, name: str) -> str:
        """Refuse an unknown time zone."""
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            msg = f"there is no time zone {name!r}; expected a name such as Europe/Berlin"
            raise ValueError(msg) from None
        return name

    @model_validator(mode="after")
    def _require_low_alert(self) -> "Settings":
        """Refuse a rate or a budget where the operating point is not ``low_alert``."""
        given = {"LOW_ALERT_RATE": self.low_alert_rate, "ALERT_BUDGET": self.alert_budget}
        set_ones = [f"{PREFIX}{name}" for name, value in given.items() if value is not None]
        if len(set_ones) > 1:
            msg = f"{' and '.join(set_ones)} are two ways to choose one threshold: set one of them"
            raise ValueError(msg)
        if set_ones and self.operating_point != "low_alert":
            msg = (
                f"{set_ones[0]} is used by the operating point low_alert only: set"
                f" {PREFIX}OPERATING_POINT=low_alert too, or unset it"
            )
            raise ValueError(msg)
        return self

    def shadow_of(self, contract: str) -> str | None:
        """Return the model version that scores beside the champion of a contract; None if none."""
        return next((one for one in self.shadow if contract_of(one) == contract), None)

    @property
    def lake(self) -> Path:
        """The folder of the Parquet lake."""
        return self.home / "lake"

    @property
    def training_lake(self) -> Path:
        """The folder of the lake for labelled files that models are fitted on."""
        return self.lake / "training"

    @property
    def models(self) -> Path:
        """The folder of the model store."""
        return self.home / "models"

    @property
    def inbox_folder(self) -> Path:
        """The inbox; ``inbox`` in the home where the setting is not set."""
        return self.inbox or self.home / "inbox"

    @property
    def training_folder(self) -> Path:
        """The folder of labelled files; ``training`` in the home where the setting is not set."""
        return self.training or self.home / "training"

    @property
    def places(self) -> dict[str, str]:
        """The variables of folders and database, absolute, for a process in another folder."""
        found = {
            "HOME": self.home,
            "INBOX": self.inbox,
            "TRAINING": self.training,
            "CONTRACTS": self.contracts,
            "DATABASE_URL": self.database_address,
        }
        return {f"{PREFIX}{name}": str(place) for name, place in found.items() if place is not None}

    @property
    def database_address(self) -> str | None:
        """The database's address with its password, only for ``storage.database``."""
        return self.database_url.get_secret_value() if self.database_url is not None else None


def contract_of(version: str) -> str:
    """Return the contract of a model version, which its name begins with."""
    return version.rpartition("-")[0]


def _between_commas(given: object) -> tuple[str, ...] | None:
    """Return the distinct words of a list, or of a text with commas, without blanks around them.

    Returns:
        None where the value is neither a list nor a text.
    """
    words = given.split(",") if isinstance(given, str) else given
    if not isinstance(words, list | tuple):
        return None
    return tuple(dict.fromkeys(word for one in words if (word := str(one).strip())))


def _absolute(path: Path) -> Path:
    """Return a path as an absolute path.

    Raises:
        ValueError: it begins with the home of a user who has none, or the present folder is gone.
    """
    try:
        return path.expanduser().absolute()
    except FileNotFoundError:
        msg = "the folder in which the command was started is gone. Change to another"
        raise ValueError(msg) from None
    except RuntimeError:
        msg = f"there is no home folder that {path.parts[0]} stands for. Write the path in full"
        raise ValueError(msg) from None


def _place(loc: tuple[int | str, ...]) -> str:
    """Return the variable that has a problem, with a colon; nothing if it is several variables."""
    return f"{PREFIX}{'.'.join(str(part) for part in loc).upper()}: " if loc else ""


def load_settings(contract: str | None = None) -> Settings:
    """Read the settings from the environment.

    The folder of contracts becomes absolute there too: ``expectations.registry`` reads the variable
    itself. ``contract``, of an option or of a flow's parameter, counts before its variable.

    Raises:
        UsageError: a value cannot be used, or a ``NOCTULE_*`` variable is not a setting.
    """
    if contract is not None:
        from expectations.registry import get_contract

        get_contract(contract)  # its error does not name the variable
    known = sorted(name.upper() for name in Settings.model_fields)
    for name in sorted(os.environ):
        setting = name.upper().removeprefix(PREFIX)
        if name.upper().startswith(PREFIX) and setting not in known:
            near = difflib.get_close_matches(setting, known, n=1)
            names = ", ".join(PREFIX + one for one in near or known)
            advice = f"did you mean {names}?" if near else f"known are {names}"
            msg = f"Cannot use the environment variable {name}: it is not a setting; {advice}"
            raise UsageError(msg)
    try:
        settings = Settings() if contract is None else Settings(contract=contract)
    except ValidationError as error:
        problems = "; ".join(
            f"{_place(detail['loc'])}{detail['msg'].removeprefix('Value error, ')}"
            for detail in error.errors(include_url=False, include_input=False)
        )
        msg = f"Cannot use the settings: {problems}"
        raise UsageError(msg) from None
    if settings.contracts is not None:
        os.environ[f"{PREFIX}CONTRACTS"] = str(settings.contracts)
    return settings
