"""Two Longcodes carry each other's messages, by the settings that docs/carriers/http.md shows."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.http import Http
from tests.processes import Longcode, free_port, run_cli, wait_until

PAGE = Path(__file__).parents[1] / "docs" / "carriers" / "http.md"
SECRET = "s3cret-of-a-test"
NUMBER = "12025550199"
STRANGER = "12025550177"


@dataclass(frozen=True, slots=True)
class Site:
    """One Longcode with an account of the name `demo`."""

    process: Longcode

    @property
    def demo(self) -> Http:
        return Http(self.process.port or 0).basic("demo", SECRET)

    def longcode(self, *args: str) -> str:
        """What a command prints."""
        return run_cli(*args, env=self.process.env, folder=self.process.folder).stdout


def site(folder: Path) -> Site:
    """One that is not started."""
    folder.mkdir()
    port = free_port()
    env = {
        "LONGCODE_DATA": str(folder / "data"),
        "LONGCODE_DEMO_SECRET": SECRET,
        "LONGCODE_PUBLIC_URL": f"http://127.0.0.1:{port}",
    }
    return Site(Longcode("up", folder=folder, port=port, env=env))


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Site]]:
    """Ours, and the one that carries for us, connected by the page's own commands."""
    folder = tmp_path_factory.mktemp("two")
    ours, theirs = site(folder / "ours"), site(folder / "theirs")
    with ours.process, theirs.process:
        for command in commands(ours, theirs):
            where = theirs if command[:2] in (["sender", "add"], ["number", "add"], ["webhook", "add"]) else ours
            where.longcode(*command)
        ours.longcode("number", "add", NUMBER, "--account", "demo")
        yield ours, theirs


def commands(ours: Site, theirs: Site) -> list[list[str]]:
    """The commands of the page's section, with the addresses and names of these two."""
    section = PAGE.read_text().partition("## Another Longcode")[2].partition("\n## ")[0]
    written = "\n".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL))
    for name, value in (
        ("https://theirs.example", theirs.process.url),
        ("https://ours.example", ours.process.url),
        ("--account us", "--account demo --allow-private"),
        ("username=us password=secret", f"username=demo password={SECRET}"),
    ):
        assert name in written
        written = written.replace(name, value)
    lines = [shlex.split(line)[1:] for line in written.replace("\\\n", " ").splitlines() if line.startswith("longcode")]
    return [[word for word in line if word != "--allow-private" or line[0] == "webhook"] for line in lines]


def test_what_we_send_is_carried_by_the_other_and_its_receipts_come_back(sites: tuple[Site, Site]) -> None:
    ours, theirs = sites
    for recipient, end in (("+12025550123", "DELIVERED"), ("+12025550002", "FAILED")):
        made = ours.demo.create(recipient, recipient)
        assert made.status == 201
        path = f"/api/messages/{made.json['id']}/"
        wait_until(lambda path=path, end=end: ours.demo.call("GET", path).json["status"] == end, 20, what=end)
        reference = ours.demo.call("GET", path).json["provider_reference"]
        assert theirs.demo.call("GET", f"/api/messages/{reference}/").json["client_message_id"] == made.json["id"]


def test_what_comes_to_the_other_comes_to_us(sites: tuple[Site, Site]) -> None:
    ours, theirs = sites
    assert theirs.demo.inbound(STRANGER, NUMBER, "Hello there").status == 200
    conversation = f"/api/get-conversation/{STRANGER}"
    wait_until(lambda: ours.demo.call("GET", conversation).status == 200, 20, what="the message")
    [message] = ours.demo.call("GET", conversation).json["messages"]
    assert (message["message_text"], message["phone_number"]) == ("Hello there", NUMBER)
