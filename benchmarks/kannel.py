"""Kannel beside us, on the same scripted SMSC with the same load generator: is the SMSC fair, and are we ahead?

    python -m benchmarks.kannel

Needs Debian's package `kannel` (bearerbox and smsbox on the PATH); says so and ends where it is missing.
Kannel runs as shipped: without a store, so what it accepted is lost with its process.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from benchmarks import outbound
from benchmarks.accept import CONNECTIONS, show
from benchmarks.load import saturate
from tests.processes import Process, free_port, wait_until

SECONDS = 5.0
PATHS = {"PATH": os.environ["PATH"]}

CONFIGURATION = """
group = core
admin-port = {admin}
admin-password = bench
smsbox-port = {box}
box-allow-ip = 127.0.0.1
log-file = {folder}/bearerbox.log
log-level = 4

group = smsc
smsc = smpp
host = 127.0.0.1
port = {smsc}
smsc-username = bench
smsc-password = secret
system-type = ""
transceiver-mode = true
max-pending-submits = 100

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {http}
log-file = {folder}/smsbox.log
log-level = 4

group = sendsms-user
username = bench
password = bench
max-messages = 10
"""


def kannel_request(run: str) -> Callable[[int], bytes]:
    """Builds the n-th request: the same texts and recipients as ours."""

    def build(number: int) -> bytes:
        query = f"username=bench&password=bench&from=MyCorp&to=4477009{number % 100000:05d}&text={run}+{number:06d}"
        return f"GET /cgi-bin/sendsms?{query} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()

    return build


@contextmanager
def _once_open(port: int, what: str) -> Iterator[None]:
    def listens() -> bool:
        with socket.socket() as knock:
            return knock.connect_ex(("127.0.0.1", port)) == 0

    wait_until(listens, 10, 0.1, what=what)
    yield


def kannel() -> None:
    """Kannel's figures, one run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        smsc_port, http_port, log = free_port(), free_port(), folder / "smsc.log"
        configuration = folder / "kannel.conf"
        values = {"admin": free_port(), "box": free_port(), "smsc": smsc_port, "http": http_port, "folder": folder}
        configuration.write_text(CONFIGURATION.format(**values))
        for box in ("bearerbox", "smsbox"):
            (folder / box).mkdir()
        root = Path(__file__).resolve().parent.parent
        script = json.dumps({"receipts": False})
        smsc = [sys.executable, "-m", "tests.smpp.smsc", "--port", str(smsc_port), "--log", str(log)]
        with (
            Process([*smsc, "--script", script], folder=folder, env={"PYTHONPATH": str(root)}),
            Process([str(shutil.which("bearerbox")), str(configuration)], folder=folder / "bearerbox", env=PATHS),
            _once_open(values["box"], "bearerbox"),
            Process([str(shutil.which("smsbox")), str(configuration)], folder=folder / "smsbox", env=PATHS),
            _once_open(http_port, "smsbox"),
        ):
            time.sleep(1)
            for rate in outbound.LONE_RATES:
                outbound.paced(http_port, log, kannel_request, rate)
            before = len(outbound.read_log(log))
            started = time.time()
            figures = uvloop.run(saturate(http_port, kannel_request("k"), connections=CONNECTIONS, seconds=SECONDS))
            ended = time.time()
            taken = outbound.wait_log(log, before + sum(figures.statuses.values()))
        sent = sum(started <= moment <= ended for moment in taken)
        rest = [moment for moment in taken if moment > ended]
        show("Kannel accepted, saturated", figures)
        print(f"at the SMSC meanwhile        {sent / (ended - started):8.0f}/s")
        if len(rest) > 1:
            print(f"draining the rest            {len(rest) / (max(rest) - ended):8.0f}/s   {len(rest)} messages")


def main() -> None:
    """Interleaved, twice each."""
    if shutil.which("bearerbox") is None or shutil.which("smsbox") is None:
        print("Kannel is not installed: this comparison is left out")
        return
    for _ in range(2):
        kannel()
        print("Longcode")
        outbound.lone()
        outbound.saturated(receipts=False)


if __name__ == "__main__":
    main()
