"""Addresses: public ones, and those that the operator allows; whatever their notation."""

import ipaddress
import socket

import pytest

from candela.contract.addresses import AddressGuard, AllowedHost, is_public
from candela.errors import ReferenceUnavailableError

PUBLIC = "93.184.216.34"


@pytest.fixture
def resolve(monkeypatch):
    """Let names lead to the addresses given: one list of them for each time it is asked."""

    def resolve(*answers: list[str]) -> None:
        remaining = list(answers)

        def look_up(host, port, *_, **__):
            found = remaining.pop(0) if len(remaining) > 1 else remaining[0]
            return [
                (
                    socket.AF_INET6 if ":" in address else socket.AF_INET,
                    socket.SOCK_STREAM,
                    0,
                    "",
                    (address, port),
                )
                for address in found
            ]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)

    return resolve


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:2800:220:1::1", "2a00:1450:4001::5"])
def test_public_addresses_are_public(address):
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",  # shared by carriers
        "100.100.100.200",
        "127.0.0.1",
        "127.8.8.8",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.192",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        f"::ffff:{PUBLIC}",
        "64:ff9b::7f00:1",  # NAT64
        "64:ff9b:1::a00:1",
        "100::1",
        "2001::1",  # Teredo
        "2001:db8::1",
        "2002:7f00:1::1",  # 6to4
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_other_addresses_are_not(address):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::a9fe:a9fe]",
        "169.254.169.254",
        "2130706433",
        "017700000001",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "127.0.0.1.",
        "0",
        "0x",
    ],
)
def test_a_private_address_is_refused_in_every_notation(host):
    with pytest.raises(ReferenceUnavailableError):
        AddressGuard().check(f"http://{host}/x.tif")
    with pytest.raises(ReferenceUnavailableError):
        AddressGuard().check(f"https://{host}:8443/x.tif")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/x",
        "file:///etc/passwd",
        "gopher://example.org/x",
        "//example.org/x",
        "http://",
        "http:///x",
        "http://[::1/x",
        "http://example.org:99999/x",
        "http://example.org\\@127.0.0.1/x",
        "http://example.org /x",
        "http://example.org\r\nX-A: b/x",
        "",
    ],
)
def test_what_is_no_plain_web_address_is_refused(url):
    with pytest.raises(ReferenceUnavailableError):
        AddressGuard().check(url)


def test_a_public_address_and_a_name_pass_the_first_look():
    for host in ("example.org", PUBLIC, "[2606:2800:220:1::1]", "xn--mnchen-3ya.de"):
        AddressGuard().check(f"https://{host}/x.tif?a=b")


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["10.0.0.1"], ["::1"], [PUBLIC, "169.254.169.254"]]
)
def test_a_name_that_leads_inside_is_not_connected_to(resolve, addresses):
    resolve(addresses)
    with pytest.raises(ReferenceUnavailableError, match=r"example\.org:80") as caught:
        AddressGuard().connect("example.org", 80, 1)
    assert "10.0" not in caught.value.message
    assert "169" not in caught.value.message


def test_the_address_that_was_checked_is_the_one_connected_to(resolve, web):
    port = int(web.url.rpartition(":")[2])
    resolve(["127.0.0.1"], ["127.0.0.2"])  # a name server that changes its mind
    guard = AddressGuard(["127.0.0.1"])
    with guard.connect("rebinding.example", port, 1) as connection:
        assert connection.getpeername() == ("127.0.0.1", port)
    with pytest.raises(ReferenceUnavailableError):
        guard.connect("rebinding.example", port, 1)


def test_the_second_address_is_tried_when_the_first_does_not_answer(resolve, web):
    resolve(["::1", "127.0.0.1"])
    port = int(web.url.rpartition(":")[2])
    with AddressGuard(["localhost"]).connect("localhost", port, 1) as connection:
        assert connection.getpeername() == ("127.0.0.1", port)


@pytest.mark.parametrize(
    ("allowed", "url", "passes"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080/", True),
        ("127.0.0.1", "http://127.0.0.2/", False),
        ("127.0.0.1:8080", "http://127.0.0.1:8080/", True),
        ("127.0.0.1:8080", "http://127.0.0.1/", False),
        ("127.0.0.1:80", "http://127.0.0.1/", True),
        ("127.0.0.1:443", "https://127.0.0.1/", True),
        ("10.0.0.0/8", "http://10.255.0.1/", True),
        ("10.0.0.0/8", "http://11.0.0.1/", True),
        ("10.0.0.0/8", "http://192.168.0.1/", False),
        ("[::1]:8080", "http://[::1]:8080/", True),
        ("[::1]:8080", "http://[::1]:8081/", False),
        ("::1", "http://[::1]/", True),
        ("fd00::/8", "http://[fd12::1]/", True),
        ("127.0.0.1", "http://2130706433/", False),
    ],
)
def test_an_operator_allows_addresses(allowed, url, passes):
    guard = AddressGuard([allowed])
    if passes:
        guard.check(url)
    else:
        with pytest.raises(ReferenceUnavailableError):
            guard.check(url)


def test_an_operator_allows_names(resolve, web):
    resolve(["127.0.0.1"])
    port = int(web.url.rpartition(":")[2])
    for allowed in ("Data.Internal", "data.internal", f"data.internal:{port}", "127.0.0.0/8"):
        AddressGuard([allowed]).connect("data.internal", port, 10).close()
        AddressGuard([allowed]).connect("DATA.internal.", port, 10).close()
    for allowed in ("internal", "xdata.internal", "data.internal:1", "data"):
        with pytest.raises(ReferenceUnavailableError):
            AddressGuard([allowed]).connect("data.internal", port, 1)


@pytest.mark.parametrize(
    "text", ["", ":80", "http://host", "host/path", "10.0.0.1/8", "user@host", "a b", "300.1.1.1"]
)
def test_what_is_no_host_cannot_be_allowed(text):
    with pytest.raises(ValueError):
        AllowedHost.parse(text)
