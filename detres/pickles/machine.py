"""The machine that pickles are programs for: a stack, marks on it, a memory, and a budget."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from detres.pickles.operations import OPERATIONS, STOP
from detres.pickles.values import SPARE, Builder, Inert, Unfinished, check_tree, checked_key, described

Find = Callable[[str, str], "Builder | Inert"]
"""(module, name) -> what stands for it."""

_MOST_OPERATIONS = 2_000_000
_SHARED = 100_000  # values that stand in several places, beside four times as many as there were operations
_LONGEST_TEXT, _LONGEST_LINE = 16 << 20, 1 << 16


class PickleMachine:
    """Runs a pickle that lies in `data`, bytes or an mmap, from `place` on.

    find: what stands for a name. persistent: what stands for a reference to something beside the pickle, as torch's
    tensors lie; None: nothing does. file_length: of the file that the pickle is a part of; None: of `data`. inert: how
    many values of each name were asked for and not built. stack: what was built since the last mark.
    """

    def __init__(
        self,
        data: Any,
        find: Find,
        *,
        place: int = 0,
        persistent: Callable[[Any], Any] | None = None,
        file_length: int | None = None,
    ) -> None:
        self.stack: list[Any] = []
        self.place, self.inert = place, dict[str, int]()
        self._data, self._end = data, len(data)
        self._find, self._persistent = find, persistent
        self._below: list[list[Any]] = []  # what stands below each mark
        self._memory: dict[int, Any] = {}
        self._file_length = self._end if file_length is None else file_length
        self._budget = 2 * self._end + SPARE

    def load(self) -> Any:
        """The value; `place` is then behind the pickle.

        Raises ValueError that says why where this is no pickle, breaks off, or holds what is not read.
        """
        if not self._end:
            raise ValueError("the file is empty")
        try:
            operations = self._run()
            value = self.stack.pop()
        except (IndexError, KeyError) as error:
            raise ValueError("its operations make no sense: no pickle, or a damaged one") from error
        check_tree(value, self._file_length, most=4 * operations + _SHARED)
        return value

    def _run(self) -> int:
        """Do what the pickle says to its end; returns how many operations that took."""
        for done in range(_MOST_OPERATIONS):
            if self.place >= self._end:
                raise ValueError("it breaks off")
            code = self._data[self.place]
            self.place += 1
            if code == STOP:
                return done
            operation = OPERATIONS.get(code)
            if operation is None:
                raise ValueError(f"byte {self.place - 1} is {code:#04x}, which is no operation that is read")
            operation(self)
        raise ValueError(f"more than {_MOST_OPERATIONS} operations")

    # What operations read

    def take(self, count: int) -> bytes:
        left = self._end - self.place
        if not 0 <= count <= left:
            raise ValueError(f"it breaks off: {count} bytes are announced, {left} follow")
        self.place += count
        return self._data[self.place - count : self.place]

    def number(self, form: str) -> Any:
        """A number in one of struct's forms."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self, most: int | None = _LONGEST_LINE) -> bytes:
        """What stands before the next line's end; most: of bytes, None: of the file."""
        end = self._data.find(b"\n", self.place, self._end if most is None else self.place + most)
        if end < 0:
            raise ValueError("it breaks off in a line")
        return self.take(end + 1 - self.place)[:-1]

    def text(self, count: int) -> str:
        if count > _LONGEST_TEXT:  # one letter from far away makes four bytes of every other
            raise ValueError(f"a text of {count} bytes, expected {_LONGEST_TEXT} at most")
        text = self.take(count).decode("utf-8", "surrogatepass")
        if not text.isascii():
            self.spend(3 * len(text))
        return text

    # What they build

    def spend(self, count: int) -> None:
        """Before, or at latest just after, as many bytes of memory were taken."""
        self._budget -= count
        if self._budget < 0:
            raise ValueError("it asks for more memory than a file of its length may")

    def push(self, value: Any, cost: int = 40) -> None:
        self.spend(cost)
        self.stack.append(value)

    def push_bytes(self, value: str | bytes | bytearray) -> None:
        self.push(value, 64 + len(value))

    def mark(self) -> None:
        self.spend(64)
        self._below.append(self.stack)
        self.stack = []

    def pop_mark(self) -> list[Any]:
        """What was pushed since the last mark."""
        items, self.stack = self.stack, self._below.pop()
        return items

    def remember(self, number: int | None = None) -> None:
        """Under a number; None: the next."""
        number, value = len(self._memory) if number is None else number, self.stack[-1]
        if isinstance(value, Unfinished):
            value.remembered.append(number)
        self.spend(110)
        self._memory[checked_key(number)] = value

    def recall(self, number: int) -> None:
        self.push(self._memory[number], 8)

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Inert):
            return
        if type(target) is not list:
            raise ValueError(f"it appends to {described(target)}")
        self.spend(9 * len(items))
        target.extend(items)

    def update(self, items: list[Any]) -> None:
        """items: keys and values, taking turns."""
        target, parts = self.stack[-1], iter(items)
        if isinstance(target, Inert):
            return
        if type(target) not in (dict, OrderedDict) or len(items) % 2:
            raise ValueError(f"it sets items of {described(target)}, {len(items)} keys and values")
        self.spend(110 * (len(items) // 2))
        for key, value in zip(parts, parts, strict=True):
            target[checked_key(key)] = value

    def add(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Inert):
            return
        if type(target) is not set:
            raise ValueError(f"it adds to {described(target)}")
        self.spend(64 * len(items))
        target.update(map(checked_key, items))

    def name(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str) or len(module) + len(name) > 1000:
            raise ValueError("it asks for something without a name")
        found = self._find(module, name)
        if isinstance(found, Inert):
            self.inert.setdefault(found.name, 0)
        self.push(found, 400)

    def call(self, function: Any, arguments: Any) -> None:
        if isinstance(function, Inert):
            self.inert[function.name] = self.inert.get(function.name, 0) + 1
            self.push(function, 8)
            return
        if not isinstance(function, Builder) or type(arguments) is not tuple:
            raise ValueError(f"it calls {described(function)} with {described(arguments)}")
        try:
            value = function.build(*arguments)
        except TypeError:
            raise ValueError(f"it calls {function.name} with {len(arguments)} arguments") from None
        each = 110 if isinstance(value, dict) else 1
        self.push(value, 1000 + (each * len(value) if isinstance(value, dict | bytes) else 0))

    def give_state(self) -> None:
        state, value = self.stack.pop(), self.stack[-1]
        if isinstance(value, Unfinished):
            finished = self.stack[-1] = value.finish(state)
            for number in value.remembered:
                self._memory[number] = finished
            if isinstance(state, tuple):
                self._forget(state)
        elif not isinstance(value, Inert | OrderedDict):  # torch gives a state dict the versions of its modules
            raise ValueError(f"it gives a state to {described(value)}")

    def resolve(self, reference: Any) -> None:
        if self._persistent is None:
            raise ValueError("it refers to something that lies beside it, and nothing does")
        self.push(self._persistent(reference), 1000)

    def _forget(self, state: tuple[Any, ...]) -> None:
        """Free the bytes of an array that were copied: pickles remember them, and never ask for them again."""
        large = [part for part in state if isinstance(part, str) and len(part) > 1 << 20]
        for number in list(reversed(self._memory))[:4] if large else ():
            if any(self._memory[number] is part for part in large):
                self._memory[number] = Unfinished("the text of an array", lambda state: state)
