"""The compiled functions that have no Python name, called through the addresses that Cython exports.

Every function of a ``.pxd`` is in its module's ``__pyx_capi__``, as a capsule. Only tests reach for them
there: to write into memory of their own choice, and to read what the path reads.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

_name_of = ctypes.pythonapi.PyCapsule_GetName
_name_of.restype = ctypes.c_char_p
_name_of.argtypes = (ctypes.py_object,)
_address_of = ctypes.pythonapi.PyCapsule_GetPointer
_address_of.restype = ctypes.c_void_p
_address_of.argtypes = (ctypes.py_object, ctypes.c_char_p)


def function(module: ModuleType, name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """A function of a module's ``.pxd``.

    Args:
        module: the compiled module.
        name: the function's name.
        result: the ctypes type of what it returns; None for void.
        arguments: the ctypes types of its arguments.
    """
    capsule = module.__pyx_capi__[name]
    return ctypes.CFUNCTYPE(result, *arguments)(_address_of(capsule, _name_of(capsule)))


def address(view: memoryview | bytearray) -> int:
    """Where a writable buffer begins; valid while somebody holds the buffer."""
    return ctypes.addressof(ctypes.c_char.from_buffer(view))


class VnetHeader(ctypes.Structure):
    """``struct VnetHeader`` of ``wire/vnet.pxd``."""

    _fields_ = (
        ("flags", ctypes.c_uint8),
        ("gso_type", ctypes.c_uint8),
        ("hdr_len", ctypes.c_uint16),
        ("gso_size", ctypes.c_uint16),
        ("csum_start", ctypes.c_uint16),
        ("csum_offset", ctypes.c_uint16),
        ("num_buffers", ctypes.c_uint16),
    )


class Segments(ctypes.Structure):
    """``struct Segments`` of ``wire/segment.pxd``, with the ``Layout`` that it begins with."""

    _fields_ = (
        ("network", ctypes.c_uint32),
        ("transport", ctypes.c_uint32),
        ("payload", ctypes.c_uint32),
        ("end", ctypes.c_uint32),
        ("version", ctypes.c_uint32),
        ("protocol", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("count", ctypes.c_uint32),
    )


class Rule(ctypes.Structure):
    """``struct Rule`` of ``path/errnos.pxd``."""

    _fields_ = (("action", ctypes.c_int), ("counter", ctypes.c_int))


class Train(ctypes.Structure):
    """``struct Train`` of ``wire/coalesce.pxd``, its ``Layout`` written out."""

    _fields_ = (
        ("first", ctypes.c_void_p),
        ("network", ctypes.c_uint32),
        ("transport", ctypes.c_uint32),
        ("payload", ctypes.c_uint32),
        ("end", ctypes.c_uint32),
        ("version", ctypes.c_uint32),
        ("protocol", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("octets", ctypes.c_uint32),
        ("count", ctypes.c_uint32),
        ("next_sequence", ctypes.c_uint32),
        ("next_id", ctypes.c_uint32),
        ("same_id", ctypes.c_int),
        ("verified", ctypes.c_int),
        ("ended", ctypes.c_int),
        ("last_flags", ctypes.c_uint8),
    )
