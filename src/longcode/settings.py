"""The settings of one process, read from the environment once and frozen.

Every name begins with `LONGCODE_`. Everything is checked at the start, all faults are told
together, and a name that is not known is a fault: a misspelt setting must not pass in silence.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from longcode.errors import ConfigurationError

PREFIX = "LONGCODE_"
SECRETS_FOLDER = Path("/run/secrets")


class Settings(BaseSettings):
    """What an operator may choose. Units are in the names."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    database_url: str | None = Field(
        None, description="Where messages are kept: a postgresql:// or sqlite:/// URL. `up` makes a file in DATA."
    )
    redis_url: str | None = Field(
        None, description="Redis or Valkey for STOP pairs, limits and wake-ups. Without it they are SQL tables."
    )
    broker_url: str | None = Field(
        None, description="Redis or Valkey, as the broker of `worker` and `beat`. Default: REDIS_URL."
    )
    secrets: Path = Field(
        SECRETS_FOLDER,
        description="The folder of secret files: its longcode_<name> gives a setting that the environment does not.",
    )
    data: Path = Field(Path("data"), description="The folder of the embedded database.")
    anonymous_account: str | None = Field(
        None, description="The account that a caller without credentials acts as. Default: none; `up`: demo."
    )
    anonymous_sends: bool = Field(
        False, description="1: anonymous calls may use every carrier, not only the simulator."
    )
    secret_key_file: Path | None = Field(
        None, description="The file with the key that encrypts stored passwords and secrets. `up` makes one in DATA."
    )
    public_url: str | None = Field(
        None,
        description="How carriers reach this server, such as https://sms.example; callbacks are addressed to it.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Origins, separated by commas, whose web pages may call the HTTP interfaces."
    )
    dlr_secret: SecretStr | None = Field(
        None, description="The key of the signatures on /api/webhooks/dlr/. Unset: every delivery report is refused."
    )
    stop_ttl_seconds: int = Field(14400, ge=1, le=31_536_000, description="How long a STOP pair holds.")
    sender_limit: int = Field(50, ge=1, description="Calls that one sender may make in a window (/outbound/sms/).")
    sender_limit_window_seconds: int = Field(86400, ge=1, le=31_536_000, description="The length of that window.")
    inbound_outbound_error_status: Literal["http", "ok"] = Field(
        "http", description="ok: /inbound/sms/ and /outbound/sms/ answer 200 where they would answer 400, 404 or 429."
    )
    demo_secret: SecretStr | None = Field(
        None, description="The secret of the account demo, which `up` makes at its first start. Default: a random one."
    )
    intake_limit: int = Field(
        5000, ge=1, le=1_000_000, description="Calls that may wait for their commit in one process before 503."
    )
    api_calls_per_minute: int = Field(
        600_000, ge=0, description="Calls that one account may make of /v1 in one process in a minute; 0: any number."
    )
    webhook_concurrency: int = Field(
        8, ge=1, le=256, description="Webhooks that one process sends to one endpoint at the same time."
    )
    event_retention_days: int = Field(
        30, ge=7, le=3650, description="How long events, and the log of their webhooks, are kept."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least level that is logged."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from `load` alone: the environment is read there, once, with its secrets."""
        return (init_settings,)

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())
        return value

    @field_validator("public_url")
    @classmethod
    def _whole_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", value, re.ASCII):
            raise ValueError("expected https://… without a query")
        return value.rstrip("/")

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str | None) -> str | None:
        if value is not None and ("://" not in value or value.split("://", 1)[0] not in DATABASE_SCHEMES):
            raise ValueError("expected postgresql://… or sqlite:///…")
        return value

    @field_validator("redis_url", "broker_url")
    @classmethod
    def _known_redis(cls, value: str | None) -> str | None:
        if value is not None and value.split("://", 1)[0] not in ("redis", "rediss", "unix"):
            raise ValueError("expected redis://…, rediss://… or unix://…")
        return value


DATABASE_SCHEMES = frozenset({"postgresql", "postgres", "postgresql+asyncpg", "sqlite", "sqlite+aiosqlite"})


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read and check every setting.

    A file `longcode_<name>` in the folder LONGCODE_SECRETS gives a value that the environment does not.
    Raises ConfigurationError with all faults.
    """
    environ = os.environ if environ is None else environ
    given = {name[len(PREFIX) :].lower(): value for name, value in environ.items() if name.startswith(PREFIX)}
    faults = _read_secrets(Path(given.get("secrets") or SECRETS_FOLDER), given)
    faults += [
        f"{PREFIX}{name.upper()}: there is no such setting" for name in given if name not in Settings.model_fields
    ]
    values: dict[str, Any] = {
        name: value for name, value in given.items() if value != "" and name in Settings.model_fields
    }
    try:
        settings = Settings(**values)
    except ValidationError as error:
        faults += [
            f"{PREFIX}{str(fault['loc'][0]).upper()}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors()
        ]
    if faults:
        raise ConfigurationError(faults)
    return settings


def _read_secrets(folder: Path, given: dict[str, str]) -> list[str]:
    """Add the settings that files give to those that are given already; what stands in the way, a line each."""
    faults = []
    for name in Settings.model_fields:
        file = folder / f"{PREFIX}{name}".lower()
        if name in given or not file.is_file():
            continue
        try:
            given[name] = file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            faults.append(f"{PREFIX}{name.upper()}: {file} cannot be read: {error}")
    return faults
