"""What each byte of a pickle has the machine do, as pickletools.py of Python's library documents them.

Left out are the extension registry and buffers that lie elsewhere, which no file has.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from detres.pickles.values import Inert, checked_key, described

if TYPE_CHECKING:
    from detres.pickles.machine import PickleMachine

Operation = Callable[["PickleMachine"], Any]

STOP = ord(".")
_LONGEST_INTEGER = 1024


def _protocol(machine: PickleMachine) -> None:
    if (version := machine.number("<B")) > 5:
        raise ValueError(f"a pickle of protocol {version}, expected 5 at most")


def _parsed(kind: Callable[[bytes], Any], line: bytes) -> Any:
    try:
        return kind(line)
    except ValueError:
        raise ValueError(f"{line[:40]!r} where a number belongs") from None


def _int_line(machine: PickleMachine) -> None:
    line = machine.line()
    machine.push({b"00": False, b"01": True}[line] if line in (b"00", b"01") else _parsed(int, line), 40 + len(line))


def _long_line(machine: PickleMachine) -> None:
    line = machine.line()
    machine.push(_parsed(int, line.removesuffix(b"L")), 40 + len(line))


def _long(machine: PickleMachine, count: int) -> None:
    if not 0 <= count <= _LONGEST_INTEGER:
        raise ValueError(f"a whole number of {count} bytes")
    machine.push(int.from_bytes(machine.take(count), "little", signed=True), 32 + 2 * count)


def _string_line(machine: PickleMachine) -> None:
    """Python 2 wrote how a string looks in its source; an array's bytes, too."""
    line = machine.line(None)
    if len(line) < 2 or line[:1] not in (b"'", b'"') or line[:1] != line[-1:]:
        raise ValueError("a string without quotes")
    machine.push_bytes(codecs.escape_decode(line[1:-1])[0].decode("latin1"))


def _text_line(machine: PickleMachine) -> None:
    text = codecs.decode(machine.line(1 << 20), "raw-unicode-escape")
    machine.push(text, 64 + 4 * len(text))


def _global(machine: PickleMachine) -> None:
    module = machine.line().decode("utf-8", "replace")
    machine.name(module, machine.line().decode("utf-8", "replace"))


def _stack_global(machine: PickleMachine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.name(module, name)


def _instance(machine: PickleMachine) -> None:
    _global(machine)
    function, arguments = machine.stack.pop(), machine.pop_mark()
    machine.call(function, tuple(arguments))


def _object(machine: PickleMachine) -> None:
    items = machine.pop_mark()
    machine.call(items[0], tuple(items[1:]))


def _reduce(machine: PickleMachine) -> None:
    arguments, function = machine.stack.pop(), machine.stack.pop()
    machine.call(function, arguments)


def _new_with_names(machine: PickleMachine) -> None:
    names, function = machine.stack.pop(), machine.stack[-2]
    if not isinstance(function, Inert):
        raise ValueError(f"it calls {described(function)} with {described(names)} as named arguments")
    _reduce(machine)


def _append(machine: PickleMachine) -> None:
    item = machine.stack.pop()
    machine.extend([item])


def _set_item(machine: PickleMachine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.update([key, value])


def _pop(machine: PickleMachine) -> None:
    if machine.stack:
        machine.stack.pop()
    else:  # as Python's own: at a mark, the mark itself
        machine.pop_mark()


def _frame(machine: PickleMachine) -> None:
    machine.number("<Q")  # a hint of how much to read at once


def _list(machine: PickleMachine) -> None:
    items = machine.pop_mark()
    machine.push(items, 80 + 9 * len(items))


def _marked_tuple(machine: PickleMachine) -> None:
    items = machine.pop_mark()
    machine.push(tuple(items), 48 + 8 * len(items))


def _frozen_set(machine: PickleMachine) -> None:
    items = machine.pop_mark()
    machine.spend(300 + 64 * len(items))
    machine.push(frozenset(map(checked_key, items)))


def _dict(machine: PickleMachine) -> None:
    items = machine.pop_mark()
    machine.push({}, 300)
    machine.update(items)


def _tuple(machine: PickleMachine, count: int) -> None:
    if len(machine.stack) < count:
        raise IndexError
    items = tuple(machine.stack[-count:])
    del machine.stack[-count:]
    machine.push(items, 48 + 8 * count)


_BY_BYTE: dict[bytes, Operation] = {
    b"\x80": _protocol,
    b"\x95": _frame,
    # Numbers
    b"N": lambda m: m.push(None, 8),
    b"\x88": lambda m: m.push(True, 8),
    b"\x89": lambda m: m.push(False, 8),
    b"I": _int_line,
    b"L": _long_line,
    b"J": lambda m: m.push(m.number("<i")),
    b"K": lambda m: m.push(m.number("<B")),
    b"M": lambda m: m.push(m.number("<H")),
    b"\x8a": lambda m: _long(m, m.number("<B")),
    b"\x8b": lambda m: _long(m, m.number("<i")),
    b"F": lambda m: m.push(_parsed(float, m.line())),
    b"G": lambda m: m.push(m.number(">d")),
    # Text and bytes. latin1 maps each byte to one character: how Python 2's strings survive, and arrays' bytes in them.
    b"S": _string_line,
    b"V": _text_line,
    b"T": lambda m: m.push_bytes(m.take(m.number("<i")).decode("latin1")),
    b"U": lambda m: m.push_bytes(m.take(m.number("<B")).decode("latin1")),
    b"B": lambda m: m.push_bytes(m.take(m.number("<I"))),
    b"C": lambda m: m.push_bytes(m.take(m.number("<B"))),
    b"\x8e": lambda m: m.push_bytes(m.take(m.number("<Q"))),
    b"\x96": lambda m: m.push_bytes(m.take(m.number("<Q"))),
    b"X": lambda m: m.push_bytes(m.text(m.number("<I"))),
    b"\x8c": lambda m: m.push_bytes(m.text(m.number("<B"))),
    b"\x8d": lambda m: m.push_bytes(m.text(m.number("<Q"))),
    # Lists, tuples, dicts, sets
    b"]": lambda m: m.push([], 80),
    b"l": _list,
    b"a": _append,
    b"e": lambda m: m.extend(m.pop_mark()),
    b")": lambda m: m.push((), 8),
    b"t": _marked_tuple,
    b"\x85": lambda m: _tuple(m, 1),
    b"\x86": lambda m: _tuple(m, 2),
    b"\x87": lambda m: _tuple(m, 3),
    b"}": lambda m: m.push({}, 300),
    b"d": _dict,
    b"s": _set_item,
    b"u": lambda m: m.update(m.pop_mark()),
    b"\x8f": lambda m: m.push(set(), 300),
    b"\x90": lambda m: m.add(m.pop_mark()),
    b"\x91": _frozen_set,
    # The stack and the memory
    b"(": lambda m: m.mark(),
    b"0": _pop,
    b"1": lambda m: m.pop_mark(),
    b"2": lambda m: m.push(m.stack[-1], 8),
    b"g": lambda m: m.recall(_parsed(int, m.line())),
    b"h": lambda m: m.recall(m.number("<B")),
    b"j": lambda m: m.recall(m.number("<I")),
    b"p": lambda m: m.remember(_parsed(int, m.line())),
    b"q": lambda m: m.remember(m.number("<B")),
    b"r": lambda m: m.remember(m.number("<I")),
    b"\x94": lambda m: m.remember(),
    # Names, calls, states, references
    b"c": _global,
    b"\x93": _stack_global,
    b"i": _instance,
    b"o": _object,
    b"R": _reduce,
    b"\x81": _reduce,
    b"\x92": _new_with_names,
    b"b": lambda m: m.give_state(),
    b"P": lambda m: m.resolve(m.line().decode("utf-8", "replace")),
    b"Q": lambda m: m.resolve(m.stack.pop()),
}
OPERATIONS: dict[int, Operation] = {code[0]: operation for code, operation in _BY_BYTE.items()}
"""By the number of their byte."""
