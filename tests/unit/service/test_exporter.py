"""The metrics over HTTP: what is answered, to whom, and that nothing is left behind."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from peers.net import open_descriptors, wait_until
from peers.told import Told
from vecwire.errors import PortError
from vecwire.service import exporter
from vecwire.service.address import Address
from vecwire.service.exporter import MOST_CONNECTIONS, NAME, Exporter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vecwire.service.state import ServiceState

ANY = Address("127.0.0.1", 0)


@pytest.fixture
def service() -> Told:
    """A service that tells."""
    return Told()


@pytest.fixture
def running(service: Told) -> Iterator[Exporter]:
    """An exporter that answers; after the test it has left nothing behind."""
    threads, descriptors = threading.active_count(), open_descriptors()
    with Exporter(service, ANY) as made:
        yield made
    assert threading.active_count() == threads
    assert open_descriptors() == descriptors


def get(where: Exporter, path: str, **headers: str) -> tuple[int, str, str]:
    """The status, the type and the text of what is answered."""
    request = urllib.request.Request(f"http://{where.address}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 the same
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def say(where: Exporter, octets: bytes) -> bytes:
    """What is answered to some octets, up to the end of the connection."""
    with socket.create_connection((where.address.host, where.address.port), timeout=10) as client:
        # It may have been hung up on by then: who says too much is not heard to the end.
        with contextlib.suppress(OSError):
            client.sendall(octets)
            client.shutdown(socket.SHUT_WR)
        found = b""
        with contextlib.suppress(ConnectionResetError):
            while more := client.recv(65536):
                found += more
        return found


def test_metrics_are_read_back(running: Exporter) -> None:
    """GET /metrics gives what Prometheus's parser understands, in the type that it expects."""
    status, kind, text = get(running, "/metrics")
    assert (status, kind.partition(";")[0]) == (200, "text/plain")
    names = {family.name for family in text_string_to_metric_families(text)}
    assert {"vecwire_port_receive_frames", "vecwire_port_drops", "vecwire_port_up"} <= names


def test_openmetrics_is_spoken_where_it_is_asked_for(running: Exporter) -> None:
    """A scraper that prefers OpenMetrics gets it."""
    status, kind, text = get(running, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert (status, kind.partition(";")[0]) == (200, "application/openmetrics-text")
    assert text.endswith("# EOF\n")


def test_health_is_told(running: Exporter) -> None:
    """GET /healthz says that the service answers, and how many ports are up; one that is down is no fault."""
    status, kind, text = get(running, "/healthz")
    assert (status, kind) == (200, "application/json")
    assert json.loads(text) == {"status": "ok", "ports": 2, "up": 1}


@pytest.mark.parametrize("path", ["/", "/metrics/", "/metricsx", "/../etc/passwd"])
def test_there_is_nothing_else(running: Exporter, path: str) -> None:
    """Any other path is not found, and what is there is said."""
    status, _, text = get(running, path)
    assert (status, "/metrics" in text) == (404, True)


def test_a_query_behind_the_path_is_ignored(running: Exporter) -> None:
    """Scrapers may add parameters."""
    assert get(running, "/metrics?module=x")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "CONNECT"])
def test_nothing_can_be_changed(running: Exporter, method: str) -> None:
    """Only GET is there."""
    assert say(running, f"{method} /metrics HTTP/1.1\r\nHost: x\r\n\r\n".encode()).split()[1] == b"501"


@pytest.mark.parametrize("octets", [b"", b"\x16\x03\x01\x00\xff" * 50, b"GET\r\n\r\n", b"G" * 100_000])
def test_what_is_no_request_harms_nobody(running: Exporter, octets: bytes) -> None:
    """Whatever is sent, the next scraper is answered."""
    say(running, octets)
    assert get(running, "/healthz")[0] == 200


def test_a_service_that_cannot_be_asked_is_unavailable(
    running: Exporter, service: Told, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The scraper gets 503 and the log the reason, which is not shown to the network."""

    def broken() -> ServiceState:
        raise RuntimeError("a secret")

    monkeypatch.setattr(service, "status", broken)
    for path in ("/metrics", "/healthz"):
        status, _, text = get(running, path)
        assert (status, "secret" in text) == (503, False)
        assert "a secret" in caplog.text


def test_scrapers_are_answered_side_by_side(running: Exporter) -> None:
    """A client that is silent holds up nobody."""
    with socket.create_connection((running.address.host, running.address.port)) as silent:
        silent.sendall(b"GET /met")
        assert get(running, "/metrics")[0] == 200


def test_silent_clients_are_bounded(running: Exporter, caplog: pytest.LogCaptureFixture) -> None:
    """Where more come than there may be the oldest are closed at once, and nobody has more threads."""
    threads = threading.active_count()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connected(running)) for _ in range(2 * MOST_CONNECTIONS)]
        for client in clients[:MOST_CONNECTIONS]:
            assert gone(client)
        assert not select.select(clients[MOST_CONNECTIONS:], [], [], 0)[0]
        assert threading.active_count() <= threads + MOST_CONNECTIONS
    assert "connections" in caplog.text


def connected(where: Exporter, source: str = "127.0.0.1") -> socket.socket:
    """A client's connection."""
    place = (where.address.host, where.address.port)
    return socket.create_connection(place, timeout=10, source_address=(source, 0))


def gone(client: socket.socket) -> bool:
    """Whether a client is hung up on, before anything is said to it."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_silent_clients_keep_nobody_out(running: Exporter) -> None:
    """However many are silent, and come again when they are hung up on, whoever asks is answered at once."""
    with contextlib.ExitStack() as stack:
        for _ in range(3 * MOST_CONNECTIONS):
            stack.enter_context(connected(running))
            assert get(running, "/healthz")[0] == 200


def test_clients_that_take_no_answer_keep_nobody_out(
    running: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it is with those that ask for more than their sockets hold, and do not read it."""
    begun = threading.Semaphore(0)

    def long(_: object) -> tuple[str, bytes]:
        begun.release()
        return "text/plain", bytes(1 << 24)

    monkeypatch.setattr(exporter._Handler, "_metrics", long)
    with contextlib.ExitStack() as stack:
        for _ in range(MOST_CONNECTIONS):
            stack.enter_context(connected(running)).sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert begun.acquire(timeout=10)
        wait_until(lambda: _answers(running), timeout=1, what="there is room")


def test_who_has_most_connections_gives_way(running: Exporter) -> None:
    """A client that has come before a crowd of another address is served however long it hesitates."""
    with contextlib.ExitStack() as stack:
        slow = stack.enter_context(connected(running, "127.0.0.2"))
        for _ in range(2 * MOST_CONNECTIONS):
            stack.enter_context(connected(running))
        slow.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert slow.recv(15).endswith(b" 200 OK")


def test_an_answer_under_way_is_not_given_up(service: Told, running: Exporter) -> None:
    """Where all connections are being answered it is the new one that is closed."""
    begun, goes_on = threading.Semaphore(0), threading.Event()
    status = service.status

    def slowly() -> ServiceState:
        begun.release()
        goes_on.wait(10)
        return status()

    service.status = slowly  # type: ignore[method-assign]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connected(running)) for _ in range(MOST_CONNECTIONS)]
        for client in clients:
            client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert begun.acquire(timeout=10)
        assert gone(stack.enter_context(connected(running)))
        goes_on.set()
        assert all(client.recv(15).endswith(b" 200 OK") for client in clients)


def _answers(where: Exporter) -> bool:
    try:
        return get(where, "/healthz")[0] == 200
    except OSError:
        return False


def test_a_silent_client_is_given_up(
    running: Exporter, monkeypatch: pytest.MonkeyPatch, service: Told
) -> None:
    """Whoever says nothing for long is hung up on."""
    assert service
    monkeypatch.setattr(exporter._Handler, "timeout", 0.05)
    with socket.create_connection((running.address.host, running.address.port), timeout=10) as silent:
        assert silent.recv(1) == b""


def drip(client: socket.socket) -> bool:
    """Has a client say one octet more; whether it was hung up on."""
    try:
        client.send(b"x")
        return bool(select.select([client], [], [], 0)[0]) and client.recv(1) == b""
    except ConnectionError:
        return True


def test_clients_that_drip_are_given_up(running: Exporter, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many clients as there may be, who never fall silent and never end, are hung up on all the same."""
    monkeypatch.setattr(exporter._Handler, "timeout", 0.5)
    with contextlib.ExitStack() as stack:
        place = (running.address.host, running.address.port)
        clients = [stack.enter_context(socket.create_connection(place)) for _ in range(MOST_CONNECTIONS)]
        for client in clients:
            client.sendall(b"GET /metrics HTTP/1.1\r\nX-Slow: ")

        def given_up() -> bool:
            clients[:] = [client for client in clients if not drip(client)]
            return not clients

        wait_until(given_up, timeout=10, what="all of them are hung up on")
        wait_until(lambda: _answers(running), timeout=10, what="there is room again")


def test_stopping_ends_connections(service: Told) -> None:
    """A client in the middle of a request does not keep the service from ending."""
    threads, descriptors = threading.active_count(), open_descriptors()
    made = Exporter(service, ANY).start()
    with socket.create_connection((made.address.host, made.address.port), timeout=10) as client:
        client.sendall(b"GET /met")
        wait_until(lambda: threading.active_count() == threads + 2, timeout=10, what="it is being served")
        made.stop()
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    made.stop()
    assert threading.active_count() == threads
    assert open_descriptors() == descriptors


def test_it_is_bound_before_it_answers(service: Told) -> None:
    """Made, it has its address and no thread; never started, it gives the address back."""
    made = Exporter(service, ANY)
    try:
        assert NAME not in {thread.name for thread in threading.enumerate()}
        with pytest.raises(PortError, match="cannot serve metrics") as caught:
            Exporter(service, made.address)
        assert "ss -ltnp" in str(caught.value.remedy)
    finally:
        made.stop()
    with Exporter(service, made_address := Address("127.0.0.1", 0)) as again:
        assert again.address != made_address


def test_it_may_be_stopped_before_it_serves(service: Told) -> None:
    """Whoever stops it does not wait for ever for a thread that had not begun."""
    server = exporter._Server(service, ANY)
    try:
        stopping = threading.Thread(target=server.end, daemon=True)
        stopping.start()
        assert server._ending.wait(10)
        server.serve()
        stopping.join(10)
        assert not stopping.is_alive()
    finally:
        server.server_close()


def test_an_address_of_another_host_is_refused(service: Told) -> None:
    """The error names the address."""
    with pytest.raises(PortError, match=r"192\.0\.2\.1:9477"):
        Exporter(service, Address("192.0.2.1", 9477))


def test_ipv6_is_served(service: Told) -> None:
    """The loopback of IPv6 does as well."""
    with Exporter(service, Address("::1", 0)) as made:
        assert get(made, "/healthz")[0] == 200
