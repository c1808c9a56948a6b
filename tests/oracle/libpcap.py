"""libpcap's own verdicts: its compiler, interpreter, printer of instructions and reader of files."""

from __future__ import annotations

import ctypes
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from vecwire.bpf import Program

_library = ctypes.CDLL("libpcap.so.0.8")
_library.pcap_open_dead.restype = ctypes.c_void_p
_library.bpf_filter.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint, ctypes.c_uint)
_library.bpf_filter.restype = ctypes.c_uint
_library.pcap_geterr.restype = ctypes.c_char_p


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_ushort),
        ("jt", ctypes.c_ubyte),
        ("jf", ctypes.c_ubyte),
        ("k", ctypes.c_uint),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint), ("instructions", ctypes.POINTER(_Instruction)))


class _Header(ctypes.Structure):
    """``struct pcap_pkthdr``."""

    _fields_ = (
        ("seconds", ctypes.c_long),
        ("microseconds", ctypes.c_long),
        ("captured", ctypes.c_uint),
        ("length", ctypes.c_uint),
    )


_libc = ctypes.CDLL(None)
_libc.fmemopen.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p)
_libc.fmemopen.restype = ctypes.c_void_p
_NANOSECONDS = 1
_library.pcap_fopen_offline_with_tstamp_precision.argtypes = (ctypes.c_void_p, ctypes.c_uint, ctypes.c_char_p)
_library.pcap_fopen_offline_with_tstamp_precision.restype = ctypes.c_void_p
_library.pcap_next_ex.argtypes = (
    ctypes.c_void_p,
    ctypes.POINTER(ctypes.POINTER(_Header)),
    ctypes.POINTER(ctypes.POINTER(ctypes.c_ubyte)),
)
_library.pcap_close.argtypes = (ctypes.c_void_p,)
_libc.fclose.argtypes = (ctypes.c_void_p,)
_library.bpf_image.argtypes = (ctypes.POINTER(_Instruction), ctypes.c_int)
_library.bpf_image.restype = ctypes.c_char_p
_library.pcap_offline_filter.argtypes = (
    ctypes.POINTER(_Program),
    ctypes.POINTER(_Header),
    ctypes.c_char_p,
)


def run(program: Program, frame: bytes) -> int:
    """What ``bpf_filter`` returns for a frame."""
    octets = b"".join(struct.pack("=HBBI", *each) for each in program)
    found: int = _library.bpf_filter(octets, frame, len(frame), len(frame))
    return found


def image(place: int, code: int, jt: int, jf: int, k: int) -> str:
    """How ``bpf_image``, and so ``tcpdump -d``, prints an instruction."""
    printed: bytes = _library.bpf_image(ctypes.byref(_Instruction(code, jt, jf, k)), place)
    return printed.decode()


class Expression:
    """An expression as libpcap compiles it, and judges frames by ``pcap_offline_filter``."""

    def __init__(self, text: str) -> None:
        handle = ctypes.c_void_p(_library.pcap_open_dead(1, 262144))
        self._program = _Program()
        compiled = _library.pcap_compile(
            handle, ctypes.byref(self._program), text.encode(), 1, ctypes.c_uint(0xFFFFFFFF)
        )
        assert compiled == 0, _library.pcap_geterr(handle)

    def accepts(self, frame: bytes) -> bool:
        """Whether libpcap wants the frame."""
        header = _Header(0, 0, len(frame), len(frame))
        return bool(_library.pcap_offline_filter(ctypes.byref(self._program), ctypes.byref(header), frame))


class Saved(NamedTuple):
    """A frame of a file: when it was seen, in nanoseconds since 1970, and the octets that are there."""

    time: int
    frame: bytes


def read(octets: bytes) -> list[Saved]:
    """The frames of a file as ``pcap_next_ex`` gives them, up to its end or to what libpcap does not like."""
    if not octets:
        return []
    file = _libc.fmemopen(octets, len(octets), b"rb")
    why = ctypes.create_string_buffer(256)
    handle = _library.pcap_fopen_offline_with_tstamp_precision(file, _NANOSECONDS, why)
    if handle is None:
        _libc.fclose(file)
        return []
    header = ctypes.POINTER(_Header)()
    data = ctypes.POINTER(ctypes.c_ubyte)()
    found = []
    while _library.pcap_next_ex(handle, ctypes.byref(header), ctypes.byref(data)) == 1:
        seen = header.contents
        time = seen.seconds * 10**9 + seen.microseconds
        found.append(Saved(time, bytes(data[: seen.captured])))
    _library.pcap_close(handle)
    return found
