"""The control socket: what it answers, whom it lets in, and what it does not let happen."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from peers.controlled import Fake, Peer, Server, serving
from peers.net import wait_until
from vecwire.errors import PortError, SpecError, UnsupportedError
from vecwire.service import control as module
from vecwire.service.jsonrpc import LONGEST_BATCH, LONGEST_LINE, Code
from vecwire.service.methods import METHODS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def peer(server: Server) -> Iterator[Peer]:
    """A client of it."""
    with Peer(server.control.path) as made:
        yield made


# Answers.


def test_a_result_comes_with_the_id_of_its_request(peer: Peer) -> None:
    """An id may be a number, a text or null, and comes back as it is."""
    for number in (7, "seven", None, 1.5):
        response = peer.ask("flush", {"switch": "lan"}, number)
        assert response == {"jsonrpc": "2.0", "id": number, "result": 2}


def test_parameters_come_by_name_or_in_order(fake: Fake, peer: Peer) -> None:
    """Both are the same; null is the same as not given."""
    for params in ({"switch": "lan", "port": "guest1"}, ["lan", "guest1"]):
        assert peer.ask("flush", params)["result"] == 1
    assert peer.ask("flush", {"switch": "lan", "port": None})["result"] == 2
    assert fake.told == [("flush", "lan", "guest1")] * 2 + [("flush", "lan", None)]


@pytest.mark.parametrize(
    ("line", "code", "number"),
    [
        (b"{\n", Code.PARSE_ERROR, None),
        (b"\xff\n", Code.PARSE_ERROR, None),
        (
            '{"jsonrpc": "2.0", "id": 3, "method": "status"}'.encode("utf-16-le") + b"\n",
            Code.PARSE_ERROR,
            None,
        ),
        (b'{"jsonrpc": "2.0", "id": NaN, "method": "status"}\n', Code.PARSE_ERROR, None),
        (b"[]\n", Code.INVALID_REQUEST, None),
        (b"7\n", Code.INVALID_REQUEST, None),
        (b'{"id": 3, "method": "status"}\n', Code.INVALID_REQUEST, 3),
        (b'{"jsonrpc": "2.0", "id": 3}\n', Code.INVALID_REQUEST, 3),
        (b'{"jsonrpc": "2.0", "id": true, "method": "status"}\n', Code.INVALID_REQUEST, None),
        (b'{"jsonrpc": "2.0", "id": 3, "method": "status", "params": 1}\n', Code.INVALID_REQUEST, 3),
        (b'{"jsonrpc": "2.0", "id": 3, "method": "sttus"}\n', Code.METHOD_NOT_FOUND, 3),
        (b'{"jsonrpc": "2.0", "id": 3, "method": "reset", "params": {"nme": "a"}}\n', Code.INVALID_PARAMS, 3),
        (b'{"jsonrpc": "2.0", "id": 3, "method": "reset", "params": ["a", 1]}\n', Code.INVALID_PARAMS, 3),
        (b'{"jsonrpc": "2.0", "id": 3, "method": "reset", "params": [1]}\n', Code.INVALID_PARAMS, 3),
        (b'{"jsonrpc": "2.0", "id": 3, "method": "flush"}\n', Code.INVALID_PARAMS, 3),
    ],
)
def test_what_is_wrong_gets_the_code_of_the_specification(
    peer: Peer, line: bytes, code: Code, number: Any
) -> None:
    """The error has the code and the id, and the connection goes on."""
    peer.send(line)
    response = peer.read()
    assert (response["id"], response["error"]["code"]) == (number, code)
    assert peer.ask("status")["result"]["pid"] == 4711


def test_the_nearest_name_is_the_remedy(peer: Peer) -> None:
    """A method, a parameter or a port that is not there is answered with the one that was meant."""
    assert peer.ask("sttus")["error"]["data"]["remedy"] == "did you mean status?"
    assert peer.ask("reset", {"nme": "a"})["error"]["data"]["remedy"] == "did you mean name?"
    error = peer.ask("ports", {"name": "guest"})["error"]
    assert (error["code"], error["data"]) == (
        Code.FAILED,
        {"remedy": "did you mean guest1?", "errno": None},
    )


def test_a_batch_is_answered_as_one(peer: Peer) -> None:
    """Responses come in order, none for a notification; what is wrong in it spoils nothing else."""
    peer.send(
        [
            {"jsonrpc": "2.0", "id": 1, "method": "reset"},
            {"jsonrpc": "2.0", "method": "reset"},
            7,
            {"jsonrpc": "2.0", "id": 2, "method": "cables"},
        ]
    )
    first, second, third = peer.read()
    assert first == {"jsonrpc": "2.0", "id": 1, "result": None}
    assert second["error"]["code"] == Code.INVALID_REQUEST
    assert [cable["name"] for cable in third["result"]] == ["backhaul"]


def test_a_batch_has_a_limit(peer: Peer) -> None:
    """One request too many, and none is done."""
    peer.send([{"jsonrpc": "2.0", "id": 1, "method": "status"}] * (LONGEST_BATCH + 1))
    assert peer.read()["error"]["code"] == Code.INVALID_REQUEST


def test_a_notification_gets_no_answer_but_is_done(fake: Fake, peer: Peer) -> None:
    """Neither one that is done nor one that fails is answered; a batch of them alone is not either."""
    notification = {"jsonrpc": "2.0", "method": "reset", "params": {"name": "a"}}
    wrong = {"jsonrpc": "2.0", "method": "reset", "params": {"name": "nothere"}}
    capture = {"jsonrpc": "2.0", "method": "capture", "params": {"port": "a"}}
    for each in (notification, wrong, capture, [notification, wrong]):
        peer.send(each)
    assert peer.ask("status", number=9)["id"] == 9
    assert fake.told == [("reset", "a")] * 2
    assert fake.captures == []


def test_every_method_is_told(peer: Peer) -> None:
    """The method ``methods`` tells each with its parameters."""
    told = {each["name"]: each for each in peer.ask("methods")["result"]}
    assert list(told) == list(METHODS)
    assert [(each["name"], each["required"]) for each in told["stations"]["params"]] == [
        ("switch", True),
        ("port", False),
    ]


@pytest.mark.parametrize(
    ("error", "code", "data"),
    [
        (
            PortError("lost", errno=errno.ENODEV, remedy="plug it in"),
            Code.FAILED,
            {"remedy": "plug it in", "errno": errno.ENODEV},
        ),
        (
            UnsupportedError("not allowed", remedy="be root", errno=errno.EPERM),
            Code.UNSUPPORTED,
            {"remedy": "be root", "errno": errno.EPERM},
        ),
    ],
)
def test_errors_of_the_service_come_with_what_to_do(
    fake: Fake, peer: Peer, error: Exception, code: Code, data: dict[str, Any]
) -> None:
    """An application's error has the message, and remedy and errno in its data."""
    fake.status_error = error
    told = peer.ask("status")["error"]
    assert (told["code"], told["message"], told["data"]) == (code, str(error), data)


def test_a_wrong_spec_comes_with_its_place(fake: Fake, peer: Peer) -> None:
    """What a caret needs is in the data."""
    fake.status_error = SpecError("no such option", suggestion="ifname").at("tap,ifnam=x", 4, 9)
    told = peer.ask("status")["error"]
    assert told["code"] == Code.WRONG
    assert told["data"]["text"][told["data"]["start"] : told["data"]["end"]] == "ifnam"


def test_wrong_options_come_with_all_their_faults(peer: Peer) -> None:
    """Each fault has its key, what is allowed and the remedy."""
    told = peer.ask("add_port", {"name": "c", "options": {"spec": "tap,ifname=x", "vlan": 9999}})["error"]
    assert told["code"] == Code.WRONG
    first, second = told["data"]["faults"]
    assert (first["key"], first["allowed"]) == ("ports.c.vlan", "1 to 4094")
    assert second["line"] == 2


def test_an_error_in_vecwire_is_told_as_such(
    fake: Fake, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    """The client sees no traceback; the log has it. The connection goes on."""
    fake.status_error = ZeroDivisionError("secret")
    told = peer.ask("status")["error"]
    assert told["code"] == Code.INTERNAL_ERROR
    assert "secret" not in json.dumps(told)
    assert "secret" in caplog.text
    assert "result" in peer.ask("ports")


def test_a_capture_comes_with_its_descriptor(fake: Fake, peer: Peer) -> None:
    """The descriptor is another's end of the service's socket, and the service keeps no copy of it."""
    peer.send({"jsonrpc": "2.0", "id": 1, "method": "capture", "params": {"port": "a"}})
    data, (number,), _, _ = socket.recv_fds(peer.socket, 4096, 4)
    assert json.loads(data)["result"] == {"port": "a", "descriptors": 1}
    (service,) = fake.captures
    with socket.socket(fileno=number) as frames:
        service.send(b"frame")
        assert frames.recv(100) == b"frame"
    assert peer.ask("status")["id"] == 1  # its own copy is closed before the next answer
    with pytest.raises(BrokenPipeError):
        service.send(b"frame")


def test_captures_of_a_batch_come_in_order(fake: Fake, peer: Peer) -> None:
    """The descriptors are in the order of the responses; one that fails brings none."""
    peer.send(
        [
            {"jsonrpc": "2.0", "id": name, "method": "capture", "params": {"port": name}}
            for name in ("a", "nothere", "b")
        ]
    )
    data, numbers, _, _ = socket.recv_fds(peer.socket, 4096, 4)
    assert ["result" in each for each in json.loads(data)] == [True, False, True]
    for service, number in zip(fake.captures, numbers, strict=True):
        with socket.socket(fileno=number) as frames:
            service.send(str(service.fileno()).encode())
            assert frames.recv(100) == str(service.fileno()).encode()


# Several clients.


def test_a_long_call_keeps_nobody_waiting(fake: Fake, server: Server, peer: Peer) -> None:
    """While a reload takes its time others are answered; another change waits for its turn."""
    goes_on, begun = threading.Event(), threading.Event()

    def reloading() -> None:
        begun.set()
        goes_on.wait(30)

    fake.reloading = reloading
    peer.send({"jsonrpc": "2.0", "id": 1, "method": "reload"})
    assert begun.wait(30)
    with Peer(server.control.path) as other, Peer(server.control.path) as changer:
        changer.send({"jsonrpc": "2.0", "id": 2, "method": "reset"})
        assert other.ask("status")["result"]["pid"] == 4711
        assert fake.told == []
        goes_on.set()
        assert changer.read()["id"] == 2
    assert peer.read()["result"]["added"] == ["guest2"]
    assert fake.told == [("reload",), ("reset", None)]


def test_a_client_that_never_reads_costs_one_answer(fake: Fake, path: Path) -> None:
    """Its requests are not read any more, others are answered, and in the end it is hung up on."""
    with serving(fake, path, patience=0.2), Peer(path) as deaf, Peer(path) as other:
        deaf.socket.setblocking(False)
        request = b'{"jsonrpc": "2.0", "id": 1, "method": "ports"}\n' * 100
        sent = 0

        def full() -> bool:
            nonlocal sent
            try:
                sent += deaf.socket.send(request)
            except OSError:  # the buffers are full, or it was hung up on already
                return True
            return False

        wait_until(full, timeout=30, what="no more is taken", interval=0)
        assert other.ask("status")["id"] == 1
        # More than the kernel's buffers was never taken, let alone answered.
        assert sent < 16 * LONGEST_LINE

        def gone() -> bool:
            try:
                deaf.socket.send(request)
            except BlockingIOError:
                return False
            except OSError:
                return True
            return False

        wait_until(gone, timeout=30, what="it is hung up on")
        assert other.ask("status")["id"] == 1


def test_a_line_has_a_limit(server: Server, peer: Peer) -> None:
    """A line that has no end is answered with an error, and its client hung up on."""
    peer.send(b"x" * (LONGEST_LINE + 1))
    assert peer.read()["error"]["code"] == Code.INVALID_REQUEST
    with Peer(server.control.path) as other:
        assert other.ask("status")["id"] == 1


@pytest.mark.parametrize("more", [b"", b" "], ids=["silent", "dripping"])
def test_a_line_has_to_end_in_time(fake: Fake, path: Path, more: bytes) -> None:
    """Who leaves half a line is told so and hung up on, and so is who goes on without ever ending it."""
    with serving(fake, path, patience=0.2, clients=2), Peer(path) as quiet, Peer(path) as slow:
        assert quiet.ask("status")["id"] == 1
        slow.send(b'{"jsonrpc": "2.0", "id": 1, "method": "status"}\n{"half')
        assert slow.read()["id"] == 1

        def hung_up() -> bool:
            with contextlib.suppress(OSError):
                slow.send(more)
            return bool(select.select([slow.socket], [], [], 0.01)[0])

        wait_until(hung_up, timeout=30, what="it is hung up on")
        assert slow.read()["error"]["code"] == Code.INVALID_REQUEST
        with contextlib.suppress(ConnectionResetError):  # what it went on to say was not read
            assert slow.read() is None
        assert quiet.ask("status")["id"] == 1


def test_a_last_line_needs_no_end(peer: Peer) -> None:
    """Who sends a request and then no more, as socat does, is answered."""
    peer.send(b'{"jsonrpc": "2.0", "id": 1, "method": "status"}')
    peer.socket.shutdown(socket.SHUT_WR)
    assert peer.read()["result"]["pid"] == 4711
    assert peer.read() is None


def test_clients_have_a_limit(fake: Fake, path: Path) -> None:
    """One too many is told so and hung up on; when another goes there is room again."""
    with serving(fake, path, clients=1):
        with Peer(path) as first:
            assert first.ask("status")["id"] == 1
            with Peer(path) as second:
                assert second.read()["error"]["code"] == Code.NOT_SERVED
                assert second.read() is None

        def served() -> bool:
            with Peer(path) as third:
                return "result" in third.ask("status")

        wait_until(served, timeout=30, what="there is room again")


def test_other_users_are_turned_away(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is neither root nor the user of the service is told so and hung up on."""
    monkeypatch.setattr(module, "user_of", lambda _: os.geteuid() + 1)
    with Peer(server.control.path) as peer:
        error = peer.read()["error"]
        assert error["code"] == Code.NOT_SERVED
        assert f"user {os.geteuid() + 1} may not" in error["message"]
        assert peer.read() is None


def test_the_kernel_says_who_asks() -> None:
    """The user of the other end is this one."""
    one, other = socket.socketpair()
    with one, other:
        assert module.user_of(one) == os.geteuid()
