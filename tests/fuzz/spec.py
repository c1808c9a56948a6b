"""Any text is a spec whose own text is read as the same spec, or an error of one line with a place in it."""

from __future__ import annotations

from oracle.specs import hold
from vecwire.spec import SPEC_CLASSES

WORDS = sorted(
    {
        word
        for spec_class in SPEC_CLASSES.values()
        for option in spec_class.options()
        for word in (option.name, *option.aliases)
    }
)


def target(octets: bytes) -> None:
    """Takes the input as text; what is no UTF-8 of it as a command line has it."""
    hold(octets.decode("utf-8", "surrogateescape"))


def seeds() -> list[bytes]:
    """A spec of every transport, and one with all that may be asked of a port."""
    return [
        b"tap,ifname=tap0",
        b"vec0:transport=raw,ifname=eth1,filter='tcp port 80 or arp',promisc=0",
        b'hybrid,ifname="tap 0",depth=0x80,mtu=9000',
        b"gre,src=10.0.0.1,dst=10.0.0.2,rx_key=1,tx_key=4294967295,sequence=on,pin_sequence=1",
        b"gre,v6=1,src=fd00::1,dst=fd00::2",
        b"l2tpv3,udp=1,src=a.example,dst=b.example,srcport=1701,dst_port=l2tp,rx_session=1,tx_session=0xffffffff",
        b"l2tpv3,src=10.0.0.1,dst=10.0.0.2,rx_session=1,tx_session=1,rx_cookie=1,tx_cookie=2,cookie64=1,counter=1",
        b"bess,listen=@name,confirm_connect=1",
        b"bess,dst=/run/a\\\\b,mac=02:00:00:00:00:01",
        b"tap,ifname=tap%d,netns=blue,delay=10ms,jitter=1us,loss=1.5%,duplicate=0.1,reorder=2%,rate=10mbit,seed=7",
        *(f"transport=gre, {word} = 1".encode() for word in WORDS),
    ]
