"""Expressions: compiled by libpcap, refused with its word for why, done without where it is missing."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from vecwire import SpecError, UnsupportedError, bpf
from vecwire.bpf import _libpcap

MAC = "02:00:00:00:00:01"
ARP = bytes(12) + b"\x08\x06" + bytes(46)


def test_an_expression_becomes_a_program() -> None:
    """``arp`` is the four instructions that everybody knows."""
    assert bpf.compile_expression("arp") == (
        (0x28, 0, 0, 12),
        (0x15, 0, 1, 0x0806),
        (0x06, 0, 0, bpf.SNAP_LENGTH),
        (0x06, 0, 0, 0),
    )


def test_the_snap_length_is_what_an_accepting_program_returns() -> None:
    """``snap`` shows in the program, for those who cut frames by it."""
    assert bpf.matcher(bpf.compile_expression("arp", snap=96)).run(ARP) == 96


def test_an_expression_can_be_run_at_once() -> None:
    """``matcher`` takes an expression as it takes a program."""
    assert bpf.matcher("arp").accepts(ARP)
    assert not bpf.matcher("ip").accepts(ARP)
    with pytest.raises(ValueError, match="instruction 0"):
        bpf.matcher((bpf.Instruction(0x0E, 0, 0, 0),))


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("ip and", "syntax error"),
        ("nosuchword", "syntax error"),
        ("port 99999", "99999"),
        ("tcp port nosuchservice", "unknown port 'nosuchservice'"),
        ("vlan 5000", "VLAN tag 5000"),
        ("ip broadcast", "netmask not known"),
        ("ether[0] / 0 = 1", "division by zero"),
        ("h\xe4", "syntax error"),
        ("\udcff", "syntax error"),
        ("", "empty"),
        (" ", "empty"),
        ("ip\0", "control character"),
        ("ip or " * 1000 + "ip", "at most 4096 are taken"),
        ("not " * 1000 + "no", "syntax error"),
        ("ip6 protochain 58", "its program cannot be run: instruction 18: it jumps over"),
    ],
)
def test_what_libpcap_refuses_is_an_error_with_its_word(expression: str, reason: str) -> None:
    """The error shows the expression and says why it is none."""
    with pytest.raises(SpecError) as caught:
        bpf.compile_expression(expression)
    assert reason in str(caught.value)
    assert caught.value.given == expression
    assert caught.value.option == "filter"
    if expression.isprintable() and len(expression) > 1 and len(expression) < 60:
        assert f"  {expression}\n  {'^' * len(expression)}" in caught.value.explain()


def test_a_program_that_is_too_long_for_the_kernel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An expression of more instructions than a program may have is an error that says how many."""
    monkeypatch.setattr(_libpcap, "MAXIMUM", 3)
    with pytest.raises(SpecError, match="it takes 4 instructions, and a program has 3"):
        bpf.compile_expression("ether proto 0x4321")


def test_a_host_without_libpcap_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no library is found, or none can be loaded, the error has the remedy."""

    def refuse(name: str) -> Any:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    for found in (None, "libpcap.so.9"):
        monkeypatch.setattr(ctypes.util, "find_library", lambda _, found=found: found)
        _libpcap._library.cache_clear()
        with pytest.raises(UnsupportedError, match="libpcap") as caught:
            bpf.compile_expression("ether proto 0x4322")
        assert "apt-get install" in caught.value.remedy


def test_another_name_of_the_library_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that has neither of the usual names is looked for as the linker does."""
    load = ctypes.CDLL
    monkeypatch.setattr(_libpcap, "NAMES", ())
    monkeypatch.setattr(ctypes.util, "find_library", lambda _: "libpcap.so.0.8")
    monkeypatch.setattr(ctypes, "CDLL", load)
    _libpcap._library.cache_clear()
    assert len(bpf.compile_expression("ether proto 0x4323")) == 4


def test_what_the_kernel_is_given_agrees_with_libpcap() -> None:
    """Programs that the kernel would run otherwise, or has no room for, are not given to it."""
    ret_a = (bpf.Instruction(0x80, 0, 0, 0), bpf.Instruction(0x16, 0, 0, 0))
    shift = (bpf.Instruction(0x6C, 0, 0, 0), *bpf.accept_all())
    computed = (bpf.Instruction(0x07, 0, 0, 0), bpf.Instruction(0x40, 0, 0, 0), *bpf.accept_all())
    far = (bpf.Instruction(0x40, 0, 0, 0x80000000), *bpf.accept_all())
    long = bpf.accept_all() * 4094
    for program in (ret_a, shift, computed, far, long):
        bpf.validate(program)
        assert bpf.for_kernel(program) is None
    cut = (bpf.Instruction(0x06, 0, 0, 96),)
    assert bpf.for_kernel(cut) == (
        (0x20, 0, 0, 0xFFFFF000 + 48),
        (0x15, 1, 0, 0),
        (0x06, 0, 0, bpf.ACCEPT),
        (0x06, 0, 0, bpf.ACCEPT),
    )
    assert bpf.for_kernel(bpf.drop_all(), bpf.only(outgoing=True)) == (
        *bpf.only(outgoing=True),
        *(bpf.for_kernel(bpf.drop_all()) or ()),
    )
