"""Settings come from the environment and from secret files, and what is wrong with them is told at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import ValidationError

from longcode.errors import ConfigurationError
from longcode.settings import Settings, load


@dataclass(frozen=True, slots=True)
class Case:
    """A sentence; the secret files and the environment; the dlr_secret that results, or each fault's beginning."""

    name: str
    files: Mapping[str, bytes]
    environ: Mapping[str, str] = field(default_factory=dict)
    dlr_secret: str | None = None
    faults: tuple[str, ...] = ()


CASES = (
    Case("no file and no variable leave it unset", {}),
    Case("a file gives the value", {"longcode_dlr_secret": b"from a file"}, dlr_secret="from a file"),
    Case("the end of the file's line is no part of it", {"longcode_dlr_secret": b"secret\r\n"}, dlr_secret="secret"),
    Case(
        "the environment goes before the file",
        {"longcode_dlr_secret": b"from a file"},
        {"LONGCODE_DLR_SECRET": "from the environment"},
        dlr_secret="from the environment",
    ),
    Case("files of others are left alone", {"postgres_password": b"x", "longcode_tls_key": b"x"}),
    Case("an empty file gives nothing", {"longcode_dlr_secret": b"\n"}),
    Case(
        "a file that is no text is a fault",
        {"longcode_dlr_secret": b"\xff\xfe"},
        faults=("LONGCODE_DLR_SECRET: ",),
    ),
    Case(
        "all faults are told together",
        {"longcode_dlr_secret": b"\xff\xfe", "longcode_database_url": b"mysql://"},
        {"LONGCODE_REDIS": "redis://127.0.0.1", "LONGCODE_SENDER_LIMIT": "0"},
        faults=("LONGCODE_DLR_SECRET: ", "LONGCODE_REDIS: ", "LONGCODE_DATABASE_URL: ", "LONGCODE_SENDER_LIMIT: "),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_secret_files(case: Case, tmp_path: Path) -> None:
    for name, content in case.files.items():
        (tmp_path / name).write_bytes(content)
    environ = {"LONGCODE_SECRETS": str(tmp_path), **case.environ}
    if case.faults:
        with pytest.raises(ConfigurationError) as caught:
            load(environ)
        assert len(caught.value.faults) == len(case.faults)
        for told, expected in zip(caught.value.faults, case.faults, strict=True):
            assert told.startswith(expected)
        return
    settings = load(environ)
    found = settings.dlr_secret.get_secret_value() if settings.dlr_secret is not None else None
    assert found == case.dlr_secret


def load_alone(environ: Mapping[str, str], tmp_path: Path) -> Settings:
    """The settings of an environment, without this machine's secret files."""
    return load({"LONGCODE_SECRETS": str(tmp_path), **environ})


def test_what_is_not_said_has_its_default(tmp_path: Path) -> None:
    settings = load_alone({"PATH": "/bin", "OTHER_SENDER_LIMIT": "1"}, tmp_path)
    assert (settings.database_url, settings.redis_url, settings.anonymous_account) == (None, None, None)
    assert (settings.stop_ttl_seconds, settings.sender_limit, settings.sender_limit_window_seconds) == (
        14400,
        50,
        86400,
    )
    assert (settings.anonymous_sends, settings.inbound_outbound_error_status) == (False, "http")


@dataclass(frozen=True, slots=True)
class ValueCase:
    """A sentence; one variable; its value, or None where it is a fault."""

    name: str
    variable: str
    given: str
    value: object


VALUE_CASES = (
    ValueCase("an empty variable is as if it were not there", "sender_limit", "", 50),
    ValueCase("a number is read", "sender_limit", "7", 7),
    ValueCase("1 is true", "anonymous_sends", "1", True),
    ValueCase("0 is false", "anonymous_sends", "0", False),
    ValueCase("origins are separated by commas", "cors_origins", "https://a/, https://b,", ("https://a", "https://b")),
    ValueCase("PostgreSQL keeps messages", "database_url", "postgresql://a@b/c", "postgresql://a@b/c"),
    ValueCase("SQLite keeps messages", "database_url", "sqlite:///a.db", "sqlite:///a.db"),
    ValueCase("MySQL does not", "database_url", "mysql://a@b/c", None),
    ValueCase("a scheme without its slashes is no URL", "database_url", "postgresql:host", None),
    ValueCase("a bare word is no URL", "database_url", "sqlite", None),
    ValueCase("Redis with TLS is Redis", "redis_url", "rediss://a", "rediss://a"),
    ValueCase("HTTP is not", "redis_url", "http://a", None),
    ValueCase("a limit of none is a fault", "sender_limit", "0", None),
    ValueCase("a word is no number", "stop_ttl_seconds", "4h", None),
    ValueCase("a status that is not known is a fault", "inbound_outbound_error_status", "200", None),
)


@pytest.mark.parametrize("case", VALUE_CASES, ids=lambda case: case.name)
def test_values(case: ValueCase, tmp_path: Path) -> None:
    environ = {f"LONGCODE_{case.variable.upper()}": case.given}
    if case.value is not None:
        assert getattr(load_alone(environ, tmp_path), case.variable) == case.value
        return
    with pytest.raises(ConfigurationError) as caught:
        load_alone(environ, tmp_path)
    (fault,) = caught.value.faults
    assert fault.startswith(f"LONGCODE_{case.variable.upper()}: ")


def test_no_fault_shows_what_was_given(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_alone({"LONGCODE_DATABASE_URL": "mysql://user:hidden@host", "LONGCODE_SECRET": "hidden"}, tmp_path)
    assert "hidden" not in str(caught.value)


def test_secrets_do_not_show_and_settings_do_not_change(tmp_path: Path) -> None:
    settings = load_alone({"LONGCODE_DLR_SECRET": "hidden"}, tmp_path)
    assert "hidden" not in repr(settings)
    with pytest.raises(ValidationError):
        settings.sender_limit = 1  # type: ignore[misc]
