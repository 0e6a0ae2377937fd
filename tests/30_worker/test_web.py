"""Connections to web servers: encrypted ones keep the name; redirects leak nothing."""

import datetime as dt
import io
import socket
import ssl
import threading

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from candela.contract.addresses import AddressGuard
from candela.contract.job import Reference
from candela.errors import ReferenceUnavailableError
from candela.worker import web as asking
from candela.worker.web import TransientError, ask

NAME = "data.example"


@pytest.fixture
def certificate(tmp_path):
    """Return a certificate of ``data.example``, signed by nobody else, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def encrypted(certificate, monkeypatch):
    """Serve ``data.example`` over TLS on loopback; yield its port and the names asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    names = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.settimeout(5)
            try:
                with context.wrap_socket(connection, server_side=True) as encrypted:
                    encrypted.recv(4096)
                    encrypted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
            except OSError:
                connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    yield port, names
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_an_encrypted_connection_is_to_the_name_and_its_certificate(
    encrypted, certificate, monkeypatch
):
    port, names = encrypted
    monkeypatch.setattr(requests.adapters, "DEFAULT_CA_BUNDLE_PATH", str(certificate))
    reference = Reference(href=f"https://{NAME}:{port}/x")
    with ask(reference, AddressGuard([NAME])) as response:
        assert response.content == b"hi"
    assert names == [NAME]


def test_a_certificate_of_another_name_is_not_accepted(encrypted, certificate, monkeypatch):
    port, _ = encrypted
    monkeypatch.setattr(requests.adapters, "DEFAULT_CA_BUNDLE_PATH", str(certificate))
    reference = Reference(href=f"https://other.example:{port}/x")
    with (
        pytest.raises(TransientError, match="certificate"),
        ask(reference, AddressGuard(["other.example"])),
    ):
        pass


def test_a_certificate_that_nobody_trusts_is_not_accepted(encrypted):
    port, _ = encrypted
    reference = Reference(href=f"https://{NAME}:{port}/x")
    with pytest.raises(TransientError, match="certificate"), ask(reference, AddressGuard([NAME])):
        pass


def test_what_was_meant_for_https_does_not_go_out_in_the_clear(web, answer, monkeypatch):
    """A redirect to the same host and port that differs in its scheme alone."""
    href = web.serve("/x", answer(b"x"))
    request = requests.Session.request

    def redirect_first(session, method, url, **options):
        if url.startswith("https:"):
            assert options["headers"]["Authorization"] == "Bearer secret"
            response = requests.Response()
            response.raw = io.BytesIO()
            response.status_code, response.url = 302, url
            response.headers["Location"] = href
            return response
        return request(session, method, url, **options)

    monkeypatch.setattr(requests.Session, "request", redirect_first)
    reference = Reference(
        href=href.replace("http:", "https:"), headers={"Authorization": "Bearer secret"}
    )
    with ask(reference, AddressGuard(["127.0.0.1"])):
        assert "Authorization" not in web.asked[0].headers


def test_patience_ends(monkeypatch):
    monkeypatch.setattr(asking, "TRIES", 3)
    tries = []

    def fail() -> None:
        tries.append(1)
        raise TransientError("no luck")

    with pytest.raises(ReferenceUnavailableError, match="http://host/x cannot be fetched: no luck"):
        asking.with_patience("http://user:secret@host/x?key=secret", fail)
    assert len(tries) == 3
