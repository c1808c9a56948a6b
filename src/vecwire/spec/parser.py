"""Items of text to the values of one spec class, every fault with its place and the nearest name.

The rules of single values and of options together are the classes' own; an error that a class raises is
given its place here, by the name of the option at fault.
"""

from collections.abc import Mapping
from typing import Any

from vecwire.errors import SpecError
from vecwire.spec.base import Spec
from vecwire.spec.options import Option
from vecwire.spec.text import Item, nearest, scan, shown

_TRANSPORT = "transport"


def parse_as_one_of(text: str, classes: Mapping[str, type[Spec]]) -> Spec:
    """Returns the spec that the text means, of the class that its transport names.

    Raises:
        SpecError: The text is wrong.
    """
    items = scan(text)
    chosen = _transport_item(text, items, classes)
    name = chosen.key if chosen.value is None else chosen.value
    spec_class = classes[name]
    known = _names(spec_class)
    given: dict[str, Item] = {_TRANSPORT: chosen}
    values: dict[str, Any] = {}
    for item in items:
        if item is chosen:
            continue
        option = _option(text, item, known, spec_class, classes)
        if option.name in given:
            raise _twice(text, option.name, given[option.name], item)
        given[option.name] = item
        try:
            values[option.name] = option.read(item.value or "")
        except SpecError as error:
            raise error.at(text, item.value_start, item.value_end) from None
    passed = "fd" in given
    if missing := [
        option.name
        for option in spec_class.options()
        if option.name not in given and (option.required or (option.essential and not passed))
    ]:
        raise SpecError(f"{name} needs {_listed(missing, 'and')}", option=missing[0]).at(
            text, *_place(chosen)
        )
    try:
        return spec_class(**values)
    except SpecError as error:
        at_fault = given.get(error.option or _TRANSPORT, chosen)
        raise error.at(text, *_place(at_fault)) from None


def place_of(option: str, text: str) -> tuple[int, int]:
    """Returns where the value of an option begins and ends in the text of a spec; the whole text without it.

    Raises:
        SpecError: The text is not of the grammar.
    """
    for item in scan(text):
        if item.key == option and item.value is not None:
            return item.value_start, item.value_end
    return 0, len(text)


def _transport_item(text: str, items: list[Item], classes: Mapping[str, type[Spec]]) -> Item:
    """Returns the item that names the transport: ``transport=NAME`` anywhere, or a bare name in front."""
    assigned = [item for item in items if item.key == _TRANSPORT]
    first = items[0]
    if first.value is None and first.key in classes:
        if assigned:
            raise _twice(text, _TRANSPORT, first, assigned[0])
        return first
    if len(assigned) > 1:
        raise _twice(text, _TRANSPORT, assigned[0], assigned[1])
    if assigned:
        return _known_transport(text, assigned[0], classes)
    if first.value is None and not any(first.key in _names(spec_class) for spec_class in classes.values()):
        return _known_transport(text, first, classes)
    choice = _listed(list(classes), "or")
    for item in items:
        if item.value is None and item.key in classes:
            message = f"a bare transport stands first: move {item.key} there, or write transport={item.key}"
            raise SpecError(message, option=_TRANSPORT, allowed=choice).at(text, *_place(item))
    message = f"no transport is given: write transport= and {choice}"
    raise SpecError(message, option=_TRANSPORT, allowed=choice).at(text, *_place(first))


def _known_transport(text: str, item: Item, classes: Mapping[str, type[Spec]]) -> Item:
    """Returns the item if the transport that it names exists."""
    bare = item.value is None
    if bare and item.key == _TRANSPORT:
        raise SpecError("transport has no value", option=_TRANSPORT).at(text, *_place(item))
    name = item.key if item.value is None else item.value
    if name in classes:
        return item
    choice = _listed(list(classes), "or")
    raise SpecError(
        f"unknown transport {shown(name)}: there are {_listed(list(classes), 'and')}",
        option=_TRANSPORT,
        given=name,
        allowed=choice,
        suggestion=nearest(name, classes),
    ).at(text, *(_place(item) if bare else (item.value_start, item.value_end)))


def _option(
    text: str,
    item: Item,
    known: Mapping[str, Option],
    spec_class: type[Spec],
    classes: Mapping[str, type[Spec]],
) -> Option:
    """Returns the option that an item gives a value to."""
    if (option := known.get(item.key)) is None:
        raise _unknown(item.key, known, spec_class.transport, classes).at(text, item.key_start, item.key_end)
    if item.value is None:
        message = f"{item.key} has no value: it must be {option.kind.allowed}"
        raise SpecError(message, option=option.name, allowed=option.kind.allowed).at(text, *_place(item))
    return option


def _unknown(
    key: str, known: Mapping[str, Option], transport: str, classes: Mapping[str, type[Spec]]
) -> SpecError:
    """Returns the error of an option that the transport does not have."""
    owners = [name for name, spec_class in classes.items() if key in _names(spec_class)]
    if owners:
        message = f"{transport} has no option {key}: it belongs to {_listed(owners, 'and')}"
        return SpecError(message, option=key, suggestion=nearest(key, known))
    return SpecError(
        f"{transport} has no option {shown(key)}", option=key, suggestion=nearest(key, [*known, _TRANSPORT])
    )


def _twice(text: str, name: str, first: Item, second: Item) -> SpecError:
    """Returns the error of an option that is given again."""
    also = "" if first.key == second.key else f", as {first.key} and as {second.key}"
    error = SpecError(f"{name} is given twice{also}", option=name, given=second.value)
    return error.at(text, *_place(second))


def _names(spec_class: type[Spec]) -> dict[str, Option]:
    """Returns the options of a class by their names and aliases."""
    return {name: option for option in spec_class.options() for name in (option.name, *option.aliases)}


def _place(item: Item) -> tuple[int, int]:
    """Returns where a whole item begins and ends."""
    return item.key_start, max(item.key_end, item.value_end if item.value is not None else 0)


def _listed(names: list[str], word: str) -> str:
    """Returns names as one reads them: ``a``, ``a and b``, ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"
