"""Settings come from the environment and from secret files, and what is wrong with them is told at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from longcode.errors import ConfigurationError
from longcode.settings import load


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
