"""`longcode serve` where it cannot start."""

from __future__ import annotations

import socket

import pytest

from tests.processes import run_cli


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_that_somebody_has_is_named_in_words(postgres_url: str, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        env = {"LONGCODE_DATABASE_URL": postgres_url}
        done = run_cli("serve", "--port", str(port), "--workers", workers, env=env, status=1)
    assert done.stderr == f"Error: cannot listen on 127.0.0.1:{port}: Address already in use\n"
    assert done.stdout == ""
