"""Completion of a SPEC in the shells."""

import os
import subprocess
import sys

import pytest

from vecwire.cli._completion import complete_spec, continuations, split_at_equals
from vecwire.spec import SPEC_CLASSES


def texts(text: str) -> list[str]:
    """Returns the continuations of a text without their meanings."""
    return [whole for whole, _ in continuations(text)]


def test_begins_with_the_transports() -> None:
    """The first item is a transport, bare or written out, and the comma that must follow it."""
    assert texts("") == texts("ta") == [f"{name}," for name in SPEC_CLASSES]
    assert texts("transport=") == [f"transport={name}," for name in SPEC_CLASSES]


def test_goes_on_with_the_options_of_the_transport() -> None:
    """Behind the transport come its options in their order, without those that are there, by any name."""
    names = [option.name for option in SPEC_CLASSES["tap"].options()]
    for begun in ("tap", "transport=tap"):
        assert texts(f"{begun},") == [f"{begun},{name}=" for name in names]
    assert "tap,iface=a,ifname=" not in texts("tap,iface=a,")
    assert "tap,iface=a,depth=" in texts("tap,iface=a,dep")


def test_knows_the_values_of_booleans() -> None:
    """A boolean's values are known, a number's and a name's are not."""
    assert texts("tap,gro=") == ["tap,gro=0", "tap,gro=1"]
    assert texts("tap,depth=") == []
    assert texts("tap,zzz=") == []


def test_knows_nothing_of_an_unknown_transport() -> None:
    """Behind what is no transport nothing is proposed."""
    assert texts("zzz,") == []


@pytest.mark.parametrize("transport", SPEC_CLASSES)
def test_every_proposal_has_a_meaning(transport: str) -> None:
    """Every proposal comes with a line that says what it is."""
    for proposals in (continuations(""), continuations(f"{transport},")):
        assert all(meaning and "\n" not in meaning for _, meaning in proposals)


def test_only_what_begins_as_typed_is_proposed() -> None:
    """The shell is given the proposals that begin with what was typed."""
    assert [text for text, _ in complete_spec("tap,dep")] == ["tap,depth="]


@pytest.mark.parametrize(
    ("words", "index", "result"),
    [
        (["vecwire", "spec", "ta"], 2, (["vecwire", "spec", "ta"], 2, "")),
        (["vecwire", "spec"], 2, (["vecwire", "spec", ""], 2, "")),
        (["vecwire", "spec", "a", "=", "b"], 4, (["vecwire", "spec", "b"], 2, "a=")),
        (["vecwire", "spec", "a", "="], 3, (["vecwire", "spec", ""], 2, "a=")),
        (["vecwire", "spec", "a", "=", "b,c", "=", "d"], 6, (["vecwire", "spec", "d"], 2, "a=b,c=")),
        (
            ["vecwire", "cable", "a", "=", "b", "c", "=", "d"],
            7,
            (["vecwire", "cable", "a", "=", "b", "d"], 5, "c="),
        ),
    ],
)
def test_bash_words_are_joined(words: list[str], index: int, result: tuple[list[str], int, str]) -> None:
    """What bash cuts off in front of the last equals sign is put aside, and the rest is the word."""
    assert split_at_equals(words, index) == result


@pytest.mark.parametrize(
    ("request_of_shell", "answer"),
    [
        (
            {"_VECWIRE_COMPLETE": "complete_bash", "COMP_WORDS": "vecwire\nspec\nta", "COMP_CWORD": "2"},
            ["tap,"],
        ),
        (
            {
                "_VECWIRE_COMPLETE": "complete_bash",
                "COMP_WORDS": "vecwire\nspec\ntap,ifname\n=\ntap0,dep",
                "COMP_CWORD": "4",
            },
            ["tap0,depth="],
        ),
        (
            {
                "_VECWIRE_COMPLETE": "complete_bash",
                "COMP_WORDS": "vecwire\nswitch\ntap,ifname\n=\ntap0\nbess,dst\n=\n@a\nraw,ifname\n=\ne0,dep",
                "COMP_CWORD": "10",
            },
            ["e0,depth="],
        ),
        (
            {"_VECWIRE_COMPLETE": "complete_bash", "COMP_WORDS": "vecwire\nswi", "COMP_CWORD": "1"},
            ["switch"],
        ),
        (
            {"_VECWIRE_COMPLETE": "complete_bash", "COMP_WORDS": "vecwire\nsp", "COMP_CWORD": "1"},
            ["spec"],
        ),
        (
            {
                "_VECWIRE_COMPLETE": "complete_fish",
                "_TYPER_COMPLETE_ARGS": "vecwire spec tap,ifname=tap0,dep",
                "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            },
            ["tap,ifname=tap0,depth=\tHow many frames one system call moves."],
        ),
    ],
)
def test_a_shell_gets_its_answer(request_of_shell: dict[str, str], answer: list[str]) -> None:
    """The command answers a shell's request for completions with those of the SPEC."""
    done = subprocess.run(
        [sys.executable, "-m", "vecwire"],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
        env={**os.environ, **request_of_shell},
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == answer
