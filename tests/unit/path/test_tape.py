"""Batches to records and back: super-frames with their headers, and what is too long for a link."""

from __future__ import annotations

import io
import struct

import pytest

from peers.frames import frame, rejoin, super_frame
from vecwire import Batch, Vnet
from vecwire.capture import CaptureReader, Form
from vecwire.capture.files import header
from vecwire.path.tape import Packer, cut_long
from vecwire.wire.remarks import REMARK
from vecwire.wire.segment import segments


def packed(octets: bytes, vnet: Vnet, *, form: Form = Form.PCAPNG, snaplen: int = 1 << 18) -> bytes:
    """A file of one frame."""
    batch = Batch(1)
    batch.append(octets, vnet)
    out = bytearray(1 << 18)
    packer = Packer(form.number, snaplen=snaplen, segment=False)
    assert packer.pack(batch, out, 0)[0] == 1
    _, end = packer.pack(batch, out, 0)
    return header(form) + bytes(out[:end])


def loaded(file: bytes) -> tuple[bytes, Vnet]:
    """The first frame of a file, and its header."""
    batch = Batch(4)
    assert CaptureReader(io.BytesIO(file)).fill(batch)
    return bytes(batch[0]), batch.vnet(0)


@pytest.mark.parametrize("vnet", [super_frame()[1], Vnet(0, 0x84, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF)])
def test_a_super_frame_keeps_its_header(vnet: Vnet) -> None:
    """What pcapng says of a super-frame is read again, number for number; pcap has no place for it."""
    octets = super_frame()[0]
    assert loaded(packed(octets, vnet)) == (octets, vnet)
    assert loaded(packed(octets, vnet, form=Form.PCAP)) == (octets, Vnet())


def test_a_super_frame_that_is_cut_has_none() -> None:
    """Of a frame that is not all there nobody could send segments."""
    octets, vnet, _ = super_frame()
    assert loaded(packed(octets, vnet, snaplen=100)) == (octets[:100], Vnet())


def test_a_comment_is_read_in_the_order_of_its_file() -> None:
    """A file of the other byte order, with other options before it, says the same."""
    octets, vnet, _ = super_frame(1400)
    text = (
        f"virtio-net: flags={vnet.flags:05} gso_type={vnet.gso_type:05} hdr_len={vnet.hdr_len:05} "
        f"gso_size={vnet.gso_size:05} csum_start={vnet.csum_start:05} csum_offset={vnet.csum_offset:05}"
    ).encode()
    assert len(text) == len(REMARK)
    options = b"".join(
        struct.pack(">HH", code, len(value)) + value + bytes(-len(value) % 4)
        for code, value in ((2, b"\0\0\0\1"), (1, b"mine"), (1, text), (0, b""))
    )
    body = struct.pack(">5I", 0, 0, 7, len(octets), len(octets)) + octets + bytes(-len(octets) % 4) + options
    blocks = (
        (0x0A0D0D0A, struct.pack(">IHHq", 0x1A2B3C4D, 1, 0, -1)),
        (1, struct.pack(">HHI", 1, 0, 0)),
        (6, body),
    )
    file = b"".join(
        struct.pack(">II", kind, len(each) + 12) + each + struct.pack(">I", len(each) + 12)
        for kind, each in blocks
    )
    assert loaded(file) == (octets, vnet)


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"flags=0", b"flags=x"), (b"flags=00001", b"flags=00256"), (b"gso_size=01400", b"gso_size=65536")],
)
def test_a_comment_that_says_something_else_is_none(old: bytes, new: bytes) -> None:
    """What is no number, or too large a one, is somebody's comment: the frame is as if it had none."""
    octets, vnet, _ = super_frame()
    file = packed(octets, vnet)
    assert file.count(old) == 1
    assert loaded(file.replace(old, new)) == (octets, Vnet())


@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("vlan", [None, 42], ids=["untagged", "vlan"])
def test_a_long_tcp_frame_is_cut_to_the_link(ipv6: bool, vlan: int | None) -> None:
    """Its segments have the length of the MTU, right checksums, and its payload."""
    octets, _, payload = super_frame(ipv6=ipv6, vlan=vlan)
    batch = Batch(2)
    batch.append(octets)
    assert cut_long(batch, 1500) == 0
    cut = segments(batch[0], batch.vnet(0))
    assert cut
    assert {len(each) for each in cut[:-1]} == {1514 + (4 if vlan else 0)}
    assert rejoin([(each, Vnet()) for each in cut]) == payload


def test_what_fits_is_left_alone() -> None:
    """Frames of the MTU, tagged or not, those of a known header, and others that are too long stay."""
    octets, vnet, _ = super_frame()
    tagged = frame(1)[:12] + b"\x81\x00\x00\x07" + frame(2, 1514)[12:]
    batch = Batch(8)
    batch.extend([frame(1, 1514), tagged])
    batch.append(octets, vnet)
    batch.append(frame(3, 1515))
    before = [(bytes(each), batch.vnet(place)) for place, each in enumerate(batch)]
    assert cut_long(batch, 1500) == 1
    assert [(bytes(each), batch.vnet(place)) for place, each in enumerate(batch)] == before
    assert cut_long(batch, 10) == 3  # no headers fit such a link
