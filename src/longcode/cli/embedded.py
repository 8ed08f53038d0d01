"""Which database a process is on; the folder of the embedded one, and that one `up` at a time has it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from longcode.errors import ConfigurationError
from longcode.settings import Settings, load

DATABASE_FILE = "longcode.db"
LOCK_FILE = "up.lock"


def settings_with(data: Path | None, **replaced: object) -> Settings:
    """The settings, with the embedded database of their folder where they name no other."""
    settings = load()
    update = {name: value for name, value in replaced.items() if value is not None}
    if data is not None:
        update["data"] = data
    settings = settings.model_copy(update=update)
    if settings.database_url is None:
        path = (settings.data / DATABASE_FILE).resolve()
        settings = settings.model_copy(update={"database_url": f"sqlite:///{path}"})
    return settings


def is_embedded(settings: Settings) -> bool:
    """True where the database is a file of one machine."""
    return (settings.database_url or "").startswith("sqlite")


def shared_settings() -> Settings:
    """The settings of a process that shares its database with others. Raises ConfigurationError."""
    settings = settings_with(None)
    if is_embedded(settings):
        raise ConfigurationError(
            ["LONGCODE_DATABASE_URL: serve, worker, beat and link need PostgreSQL; use `longcode up`"]
        )
    return settings


def must_exist(settings: Settings) -> None:
    """Raise ConfigurationError for an embedded database that nobody has made; opening it would make it."""
    _, _, path = (settings.database_url or "").partition(":///")
    if is_embedded(settings) and not Path(path.partition("?")[0]).is_file():
        raise ConfigurationError([f"there is no database {path}: run `longcode up` or `longcode migrate` first"])


def make_folder(folder: Path) -> None:
    """Make the folder of the embedded database where there is none. Raises ConfigurationError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(folder, error) from error


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the folder against a second `up`. Raises ConfigurationError."""
    make_folder(folder)
    try:
        lock = (folder / LOCK_FILE).open("w")
    except OSError as error:
        raise _unusable(folder, error) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigurationError([f"another `longcode up` runs on {folder}"]) from error
        yield


def _unusable(folder: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError([f"the folder {folder} cannot be used: {error.strerror}"])
