"""How a port takes part in its switch, as words of a command line: ``vlan=10 tagged=20,30``."""

from typing import Any

#: The keys of :data:`vecwire.service.keys.CHANGEABLE`, with what each means.
SETTINGS = {
    "vlan": "the VLAN of its untagged frames",
    "tagged": "the VLANs that it carries tagged, as 10,20",
    "horizon": "its group, whose ports never exchange frames",
    "flood_rate": "frames a second that it may flood",
    "addresses": "addresses learned from it at most",
    "mirror": "the port that gets a copy of its frames",
    "trace": "a line of the log for each frame: true or false",
    "capture": "the files that its frames are written to, as /var/log/vecwire/guest.pcapng",
    "capture_size": "octets of a file of its capture",
    "capture_keep": "how many files of its capture are kept",
    "delay": "how long each frame that it sends waits, as 50ms",
    "jitter": "by how much that varies, as 5ms",
    "loss": "the share of sent frames that are dropped, as 1%",
    "duplicate": "the share of sent frames that are sent twice",
    "reorder": "the share of sent frames that overtake others",
    "rate": "bits a second at which it sends, as 100mbit",
    "limit": "how many frames may wait for delay and rate",
    "seed": "what the random numbers follow from",
}

#: Those whose values are text.
_TEXTS = ("horizon", "mirror", "capture", "delay", "jitter", "loss", "duplicate", "reorder", "rate")


def setting(key: str, text: str) -> Any:
    """Returns the value of a key as the file would have it; the service judges it.

    Args:
        key: the key; one that is not known is the service's to refuse.
        text: what was typed; empty takes the key away.
    """
    if not text:
        return None
    if key == "tagged":
        return [_number(each) for each in text.split(",")]
    if key == "trace":
        return {"true": True, "false": False}.get(text.lower(), text)
    return text if key in _TEXTS else _number(text)


def complete_setting(incomplete: str) -> list[tuple[str, str]]:
    """Returns the keys that begin so, with what each means."""
    return [(f"{key}=", meaning) for key, meaning in SETTINGS.items() if f"{key}=".startswith(incomplete)]


def _number(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text
