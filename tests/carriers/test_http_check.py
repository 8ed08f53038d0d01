"""The try of an HTTP carrier: what went well, what did not, and that no message is sent."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from longcode.carriers.check import CheckFailed
from longcode.carriers.http_check import check
from longcode.carriers.http_port import Site
from longcode.carriers.registry import KINDS
from longcode.domain.clock import utc_now
from tests.carriers.conformance import MANUALS, SECRET, Manual
from tests.carriers.http_carrier import Ending, Reply, http_carrier
from tests.processes import free_port


async def steps(manual: Manual, url: str) -> list[str]:
    make = KINDS[manual.kind].vendor
    assert make is not None
    vendor = make(Site(carrier_id=7, name="north"), {**manual.settings, manual.address: url + manual.address_path})
    return [step async for step in check(vendor, utc_now)]


@pytest.mark.parametrize(
    ("what", "asked"),
    [("twilio", "/2010-04-01/Accounts/AC" + "0" * 32 + ".json"), ("plivo", "/v1/Account/MA" + "0" * 18 + "/")],
)
async def test_an_account_is_read(what: str, asked: str) -> None:
    async with http_carrier(lambda _: Reply(200, b"{}")) as carrier:
        said = await steps(MANUALS[what], carrier.url)
    assert said == [f"connected to 127.0.0.1:{carrier.port}", "the carrier takes our credentials"]
    assert [(taken.method, taken.target) for taken in carrier.log] == [("GET", asked)]


async def test_where_nothing_can_be_asked_the_request_is_shown_without_its_secret() -> None:
    async with http_carrier(lambda _: Reply()) as carrier:
        said = await steps(MANUALS["http by GET"], carrier.url)
    assert said[1:] == [f"a message goes as: GET {carrier.url}/send?key=•••&to=12025550101&text=Hello"]
    assert not carrier.log
    assert SECRET not in "".join(said)


@dataclass(frozen=True, slots=True)
class FailureCase:
    what: str
    reply: Reply | None
    says: str


FAILURES = [
    FailureCase("nobody is there", None, "refused: nothing listens on"),
    FailureCase("credentials that are wrong", Reply(401), "the carrier refuses our credentials: it answered 401"),
    FailureCase("an account that there is not", Reply(404), "the carrier knows no such account"),
    FailureCase("a fault", Reply(500), "the carrier answered 500"),
    FailureCase("a connection that ends", Reply(ending=Ending.CUT), "a request failed: The answer did not come whole"),
]


@pytest.mark.parametrize("case", FAILURES, ids=lambda case: case.what)
async def test_it_says_what_failed(case: FailureCase) -> None:
    async with http_carrier(lambda _: case.reply or Reply()) as carrier:
        url = carrier.url if case.reply is not None else f"http://127.0.0.1:{free_port()}"
        with pytest.raises(CheckFailed, match=case.says):
            await steps(MANUALS["twilio"], url)
