"""A try of an SMPP carrier's settings: connect, bind, ask whether it is there, unbind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from longcode.carriers.check import CONNECT_SECONDS, CheckFailed, why_unconnected
from longcode.carriers.smpp_link import KINDS, Kind, bind_of, tls_context
from longcode.carriers.smpp_settings import SmppSettings
from longcode.smpp.constants import CommandStatus, status_name
from longcode.smpp.endpoints import connect
from longcode.smpp.errors import BindRefused, ConnectionCut, ResponseTimeout, SmppError
from longcode.smpp.pdu import EnquireLink, Pdu, Response, refusal
from longcode.smpp.session import Session
from longcode.smpp.states import Role
from longcode.smpp.terms import Timers

RESPONSE_SECONDS: Final = 10.0

_REFUSALS: Final[dict[int, str]] = {
    CommandStatus.ESME_RINVPASWD: "the password is wrong",
    CommandStatus.ESME_RINVSYSID: "the carrier does not know this system_id",
    CommandStatus.ESME_RINVSYSTYP: "the carrier does not take this system_type",
    CommandStatus.ESME_RBINDFAIL: "no cause is given; credentials, our IP address or the kind of bind may be wrong",
    CommandStatus.ESME_RALYBND: "it is bound already, perhaps by `longcode link`, and no more binds are allowed",
    CommandStatus.ESME_RINVBNDSTS: "the carrier does not allow this kind of bind",
    CommandStatus.ESME_RINVCMDID: "the carrier does not know this kind of bind; see the setting mode",
    CommandStatus.ESME_RTHROTTLED: "the carrier allows no more binds now",
    CommandStatus.ESME_RSYSERR: "the carrier has a fault of its own",
}


async def check(settings: SmppSettings) -> AsyncGenerator[str, None]:
    """Each step that went well, as it does. Raises CheckFailed at the first that does not.

    Nothing is submitted. What the carrier delivers meanwhile is refused for now, so that it is
    delivered again to who is to have it.
    """
    for kind in KINDS[settings.mode]:
        session = await _connected(settings)
        try:
            yield f"connected to {session.peer}{' with TLS' if settings.tls else ''}"
            await _bind(session, kind, settings)
            yield f"bound as {kind} with system_id {settings.system_id}"
            await _enquire(session)
            yield "enquire_link was answered"
            await session.close()
            yield "unbound"
        finally:
            session.abort()
            await session.wait_closed()


async def _connected(settings: SmppSettings) -> Session:
    timers = Timers(response=RESPONSE_SECONDS, enquire_link=None)
    session = Session(Role.ESME, _not_now, timers=timers)
    try:
        context = tls_context(settings)
    except OSError as error:
        raise CheckFailed(f"TLS: a certificate or key file cannot be used: {error}") from error
    try:
        return await connect(
            settings.host,
            settings.port,
            session,
            ssl=context,
            server_hostname=settings.tls_server_name or None,
            timeout_seconds=CONNECT_SECONDS,
        )
    except ConnectionCut as error:
        raise CheckFailed(why_unconnected(error.__cause__, settings.host, settings.port)) from error


def _not_now(_session: Session, request: Pdu) -> Response:
    return refusal(request.command_id, CommandStatus.ESME_RX_T_APPN)


async def _bind(session: Session, kind: Kind, settings: SmppSettings) -> None:
    try:
        await session.bind(bind_of(kind, settings))
    except BindRefused as error:
        name = status_name(error.command_status)
        meaning = _REFUSALS.get(error.command_status)
        raise CheckFailed(f"the bind as {kind} was refused with {name}{f': {meaning}' if meaning else ''}") from error
    except ResponseTimeout as error:
        raise CheckFailed(
            f"connected, but the bind was not answered within {RESPONSE_SECONDS:g} s; is it an SMPP port?"
        ) from error
    except SmppError as error:
        tls_hint = "" if settings.tls else "; does this port want TLS?"
        raise CheckFailed(f"connected, but the carrier ended the connection at the bind ({error}){tls_hint}") from error


async def _enquire(session: Session) -> None:
    try:
        async with asyncio.timeout(RESPONSE_SECONDS):
            response = await session.request(EnquireLink())
    except (SmppError, TimeoutError) as error:
        raise CheckFailed(f"bound, but enquire_link was not answered: {error}") from error
    if response.command_status:
        raise CheckFailed(f"bound, but enquire_link was answered with {status_name(response.command_status)}")
