"""The reference of specs, as Markdown, from the tables that parsing uses.

``python -m vecwire.spec.reference > docs/spec.md`` writes the page; a test holds that it is up to date.
"""

import sys
from collections.abc import Iterable

from vecwire.spec import SPEC_CLASSES, Spec, SpecError, parse
from vecwire.spec.options import Option, options_of

_PREFACE = """\
# The spec

<!-- Written by `python -m vecwire.spec.reference > docs/spec.md`: change the code's tables, not this. -->

A spec is one line of text that says which transport to open, with which options:

```
transport=l2tpv3,udp=1,src=10.0.0.1,dst=10.0.0.2,srcport=1701,dstport=1701,rx_session=1,tx_session=2
```

- The syntax is that of User Mode Linux's vector driver; a leading `vecN:` is accepted, so the text of a UML
  command line works as it is.
- The transport may stand first and bare: `tap,ifname=tap0`. Its name is matched exactly.
- Options are separated by commas. White space around names, values and commas, line ends too, is nothing.
- A value may be quoted with `"` or `'`, and must be if it holds `,`, `=` or a quote, or has white space at
  its ends: `bess,dst="/run/a,b"`. Inside quotes a backslash stands before a quote or another backslash.
- Integers are decimal, without a leading zero, or hexadecimal with `0x`.
- Booleans are `0` and `1`; `off` and `on`, `no` and `yes`, `false` and `true` mean the same.
- An option that is given must count: one that is unknown, given twice, of another transport, without a value,
  or in contradiction to another is an error. Nothing is ignored.

`vecwire spec SPEC` explains one: every value, what the encapsulation costs, what the host must allow. In
Python `vecwire.spec.parse(text)` returns it as a frozen value whose attributes are the options, and `str()`
of that is the canonical text, which parses back to an equal value.

An error is one line; the command shows the place too:

```
{error}
```
"""
_WRONG = "l2tpv3,src=10.0.0.1,dst=10.0.0.2,rx_session=1,tx_sesion=2"
_COLUMNS = ("option", "value", "default", "meaning", "also accepted as")
_ENCAPSULATED = (
    "gre,src=10.0.0.1,dst=10.0.0.2",
    "gre,src=10.0.0.1,dst=10.0.0.2,rx_key=1,tx_key=2,sequence=1",
    "gre,v6=1,src=fd00::1,dst=fd00::2",
    "l2tpv3,src=10.0.0.1,dst=10.0.0.2,rx_session=1,tx_session=2",
    "l2tpv3,src=10.0.0.1,dst=10.0.0.2,rx_session=1,tx_session=2,udp=1,srcport=1701,dstport=1701",
    "l2tpv3,src=10.0.0.1,dst=10.0.0.2,rx_session=1,tx_session=2,rx_cookie=1,tx_cookie=2,counter=1",
    "l2tpv3,v6=1,src=fd00::1,dst=fd00::2,rx_session=1,tx_session=2,rx_cookie=1,tx_cookie=2,cookie64=1",
)


def reference() -> str:
    """Returns the whole page."""
    return "\n".join(
        [
            _PREFACE.format(error=_error_of(_WRONG)),
            "## Options of every transport\n",
            _options(options_of(Spec)),
            "\n".join(f"- {rule.statement()}" for rule in Spec.common_rules) + "\n",
            *(_transport(spec_class) for spec_class in SPEC_CLASSES.values()),
            "## What the encapsulation costs\n",
            "Octets in front of the inner layer-3 packet, and its longest length for an outer MTU of 1500.",
            "Transports that are not listed add nothing.\n",
            _table(("spec", "headers", "overhead", "inner MTU"), map(_cost, _ENCAPSULATED)),
        ]
    )


def _error_of(text: str) -> str:
    try:
        parse(text)
    except SpecError as error:
        return error.explain()
    raise AssertionError(f"{text} is right")


def _transport(spec_class: type[Spec]) -> str:
    """Returns the section of one transport."""
    common = set(options_of(Spec))
    lines = [line.strip() for line in (spec_class.__doc__ or "").strip().splitlines()]
    parts = [
        f"## {spec_class.transport}\n",
        "\n".join(lines).replace("``", "`") + "\n",
        _options(option for option in spec_class.options() if option not in common),
    ]
    if spec_class.rules:
        parts.append("\n".join(f"- {rule.statement()}" for rule in spec_class.rules) + "\n")
    return "\n".join(parts)


def _options(options: Iterable[Option]) -> str:
    return _table(_COLUMNS, map(_row, options))


def _row(option: Option) -> tuple[str, ...]:
    default = f"`{option.show(option.default)}`" if option.default is not None else "none"
    return (
        f"`{option.name}`",
        f"`{option.kind.placeholder}`" + (f" {option.unit}" if option.unit else ""),
        "required" if option.required else "required without `fd`" if option.essential else default,
        f"{option.meaning} Must be {option.kind.allowed}." if _needs_words(option) else option.meaning,
        ", ".join(f"`{alias}`" for alias in option.aliases),
    )


def _needs_words(option: Option) -> bool:
    """Returns whether the placeholder alone does not say what is allowed."""
    return option.kind.placeholder[0].isalpha()


def _cost(text: str) -> tuple[str, ...]:
    spec = parse(text)
    headers = ", ".join(f"{name} {octets}" for name, octets in spec.headers)
    return (f"`{text}`", headers, str(spec.overhead), str(spec.inner_mtu()))


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Returns a Markdown table, with a line end."""
    lines = [columns, ("---",) * len(columns), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(reference())
