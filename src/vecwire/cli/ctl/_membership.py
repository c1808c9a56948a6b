"""How a port takes part in its switch, as words of a command line: ``vlan=10 tagged=20,30``."""

from typing import Any

#: The keys that can be changed while a port is open, with what each means.
SETTINGS = {
    "vlan": "the VLAN of its untagged frames",
    "tagged": "the VLANs that it carries tagged, as 10,20",
    "horizon": "its group, whose ports never exchange frames",
    "flood_rate": "frames a second that it may flood",
    "addresses": "addresses learned from it at most",
}


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
    return text if key == "horizon" else _number(text)


def complete_setting(incomplete: str) -> list[tuple[str, str]]:
    """Returns the keys that begin so, with what each means."""
    return [(f"{key}=", meaning) for key, meaning in SETTINGS.items() if f"{key}=".startswith(incomplete)]


def _number(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text
