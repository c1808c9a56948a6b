"""What a port can have and can do without: one name for each, for what is in force, refused, and tried."""

from enum import StrEnum


class Offload(StrEnum):
    """The names by which ``PortInfo`` has them, in ``offloads`` and ``refused``."""

    RECEIVE_BUFFER = "receive buffer"
    SEND_BUFFER = "send buffer"
    VNET_HEADER = "virtio-net header"
    UDP_SUPER_FRAMES = "udp super-frames"
    TCP_SUPER_FRAMES = "tcp super-frames"
    CHECKSUM = "checksum"
    SUPER_FRAMES = "super-frames"
    UDP_SEGMENTATION = "udp segmentation"
    UDP_COALESCING = "udp coalescing"
    QDISC_BYPASS = "qdisc bypass"
    IGNORE_OUTGOING = "ignore outgoing"
    KERNEL_FILTER = "filter in the kernel"
    PROMISCUOUS = "promiscuous mode"
    TIMESTAMPS = "timestamps"
