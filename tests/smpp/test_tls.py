"""Sessions over TLS, with certificates on both ends."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from longcode.smpp import pdu
from longcode.smpp.endpoints import Server, connect, listen
from longcode.smpp.errors import SessionError
from longcode.smpp.session import Session
from longcode.smpp.states import Role
from tests.smpp.loopback import QUICK, accept


@dataclass(frozen=True, slots=True)
class Identity:
    """A self-signed certificate and its key, as one file."""

    pem: Path

    def context(self, purpose: ssl.Purpose) -> ssl.SSLContext:
        """A context that shows this certificate, and demands it of the peer."""
        context = ssl.create_default_context(purpose, cafile=str(self.pem))
        context.load_cert_chain(self.pem)
        context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path_factory.mktemp("tls") / "identity.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return Identity(pem)


async def _server(identity: Identity) -> Server:
    return await listen(
        "127.0.0.1",
        0,
        lambda: Session(Role.SMSC, accept, timers=QUICK),
        ssl=identity.context(ssl.Purpose.CLIENT_AUTH),
    )


async def test_a_client_with_its_certificate_binds_and_submits(identity: Identity) -> None:
    server = await _server(identity)
    session = Session(Role.ESME, accept, timers=QUICK)
    try:
        await connect("127.0.0.1", server.port, session, ssl=identity.context(ssl.Purpose.SERVER_AUTH))
        await session.bind(pdu.BindTransceiver())
        answer = await session.request(pdu.SubmitSm(short_message=b"sealed"))
        assert answer == pdu.SubmitSmResp(message_id="sealed")
        await session.close()
    finally:
        session.abort()
        await server.close()


async def _connect_and_bind(port: int, session: Session, context: ssl.SSLContext) -> None:
    # TLS 1.3 tells a client of its refusal only after the client's own part of the handshake.
    await connect("127.0.0.1", port, session, ssl=context)
    await session.bind(pdu.BindTransceiver())


async def test_a_client_without_one_gets_no_session(identity: Identity) -> None:
    server = await _server(identity)
    session = Session(Role.ESME, accept, timers=QUICK)
    bare = ssl.create_default_context(cafile=str(identity.pem))
    try:
        with pytest.raises(SessionError):
            await _connect_and_bind(server.port, session, bare)
        assert server.sessions == set()
    finally:
        session.abort()
        await server.close()


async def test_a_server_whose_certificate_is_not_trusted_is_left(identity: Identity) -> None:
    server = await _server(identity)
    try:
        with pytest.raises(SessionError) as caught:
            await connect("127.0.0.1", server.port, Session(Role.ESME, accept), ssl=ssl.create_default_context())
        assert not caught.value.written
    finally:
        await server.close()
