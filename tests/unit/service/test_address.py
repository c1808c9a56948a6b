"""Where metrics are served: one reader of the text, for what judges files and for what serves."""

from __future__ import annotations

import socket

import pytest

from peers.told import Told
from vecwire.service.address import Address
from vecwire.service.config import ConfigError, loads
from vecwire.service.exporter import Exporter

SPOKEN = {
    "9477": Address("127.0.0.1", 9477),
    ":9477": Address("127.0.0.1", 9477),
    "0.0.0.0:1": Address("0.0.0.0", 1),  # noqa: S104 what somebody may write
    "127.0.0.1:65535": Address("127.0.0.1", 65535),
    "[::]:0": Address("::", 0),
    "[0:0::1]:9477": Address("::1", 9477),
    "[fe80::1%lo]:9477": Address("fe80::1%lo", 9477),
}
WRONG = (
    *("", ":", "a", "a:", "a b:1", "localhost:80", "myhost:9000", "1.2.3:4", "1.2.3.4", "0x7f000001:1"),
    *("127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:9477:1", "127.0.0.1:٣", " 127.0.0.1:1"),
    *("::1", "[::1]", "::1:9477", "[]:9477", "[127.0.0.1]:9477", "[::1:9477", "[a:1", "65536"),
    *("224.0.0.1:1", "[ff02::1]:1", "255.255.255.255:1"),
)


@pytest.mark.parametrize(("text", "address"), SPOKEN.items())
def test_addresses_are_read(text: str, address: Address) -> None:
    """The loopback unless told otherwise; what is shown means the same."""
    assert Address.parse(text) == address
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_address_is_told(text: str) -> None:
    """What names no address or no port is refused, by the file as well."""
    with pytest.raises(ValueError, match=r"^"):
        Address.parse(text)
    with pytest.raises(ConfigError, match=r"metrics: must be text like"):
        loads(f'[service]\nmetrics = "{text}"')


@pytest.mark.parametrize("text", ["0", "127.0.0.2:0", "0.0.0.0:0", "[::1]:0", "[0::0]:0"])
def test_what_a_file_may_say_can_be_served(text: str) -> None:
    """The exporter is bound at what a right file says, and says where that is."""
    told = loads(f'[service]\nmetrics = "{text}"').service.metrics
    assert told is not None
    exporter = Exporter(Told(), Address.parse(told))
    try:
        assert exporter.address.host == Address.parse(text).host
        with socket.create_connection((exporter.address.host, exporter.address.port), timeout=10) as client:
            assert client.getpeername()[1] == exporter.address.port
    finally:
        exporter.stop()
