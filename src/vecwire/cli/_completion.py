"""Shell completion of a SPEC: transports, then option names, then the values of booleans. And of a FILE.

Bash cuts the line into words at ``=`` too, and replaces only what follows the last one; zsh and fish see a
SPEC as the one word that it is. :func:`join_bash_words` hides the difference: it takes the pieces in front
of the last ``=`` out of the line that bash hands over, keeps them, and the completion answers for the rest.
"""

import os
from pathlib import Path

from vecwire.spec import SPEC_CLASSES, Option

_BASH = {"_VECWIRE_COMPLETE": "complete_bash"}
_PREFIX = "_VECWIRE_COMPLETE_PREFIX"


def complete_spec(incomplete: str) -> list[tuple[str, str]]:
    """Returns how a SPEC can go on, with the meaning of each way."""
    prefix = os.environ.get(_PREFIX, "")
    return [
        (whole.removeprefix(prefix), meaning)
        for whole, meaning in continuations(prefix + incomplete)
        if whole.startswith(prefix + incomplete)
    ]


def complete_file(incomplete: str) -> list[str]:
    """Returns the directories and the TOML files whose paths begin so."""
    folder, slash, begun = incomplete.rpartition("/")
    try:
        entries = sorted(Path(folder + slash).iterdir())
    except OSError:
        return []
    return [
        f"{folder}{slash}{entry.name}" + ("/" if entry.is_dir() else "")
        for entry in entries
        if entry.name.startswith(begun)
        and (begun or not entry.name.startswith("."))
        and (entry.suffix == ".toml" or entry.is_dir())
    ]


def continuations(text: str) -> list[tuple[str, str]]:
    """Returns the texts, one item longer than ``text``, that a spec beginning so may have."""
    done, comma, item = text.rpartition(",")
    if not comma:
        written = "transport=" if item.startswith("transport=") else ""
        return [(f"{written}{name},", _summary(name)) for name in SPEC_CLASSES]
    items = [part.partition("=") for part in done.split(",")]
    transport = next((value for key, _, value in items if key == "transport"), items[0][0])
    if transport not in SPEC_CLASSES:
        return []
    taken = {key for key, _, _ in items}
    options = [option for option in SPEC_CLASSES[transport].options() if taken.isdisjoint(_names(option))]
    key, equals, _ = item.partition("=")
    if equals:
        of_key = [option for option in options if key in _names(option)]
        return [(f"{done},{key}={value}", option.meaning) for option in of_key for value in _values(option)]
    return [(f"{done},{option.name}=", option.meaning) for option in options]


def join_bash_words() -> None:
    """Rewrites the words of bash's request for completions, if there is one, to those of the other shells."""
    environment = os.environ
    if any(environment.get(name) != value for name, value in _BASH.items()):
        return
    words, index, prefix = split_at_equals(
        environment["COMP_WORDS"].split("\n"), int(environment["COMP_CWORD"])
    )
    environment["COMP_WORDS"] = "\n".join(words)
    environment["COMP_CWORD"] = str(index)
    environment[_PREFIX] = prefix


def split_at_equals(words: list[str], index: int) -> tuple[list[str], int, str]:
    """Returns bash's words without the pieces of a word in front of its last ``=``, and those pieces.

    Args:
        words: The words as bash has them: ``a=b`` is three of them.
        index: Which of them is being completed.

    Returns:
        The words, the index of the one that is being completed, and what stands in front of it.
    """
    current = words[index] if index < len(words) else ""
    first = index
    if current == "=":  # the cursor is right behind it: what is being completed is empty
        current, first = "", index + 1
    while first >= 2 and words[first - 1] == "=":
        first -= 2
    prefix = "".join(words[first : index if current else index + 1])
    return [*words[:first], current], first, prefix


def _summary(transport: str) -> str:
    return (SPEC_CLASSES[transport].__doc__ or "").partition(":")[0].partition("\n")[0]


def _names(option: Option) -> tuple[str, ...]:
    return (option.name, *option.aliases)


def _values(option: Option) -> tuple[str, ...]:
    return ("0", "1") if isinstance(option.default, bool) else ()
