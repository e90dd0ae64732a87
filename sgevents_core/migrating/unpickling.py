"""Reading a pickle without trusting it: a machine that knows texts, numbers, dicts, tuples, times.

It builds nothing else and calls nothing that a pickle names, so that a file from anywhere may be
read. Anything else that a pickle requests is refused by its name.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

_MARK: Final = object()
_TIME: Final = object()
"""Stands for the class `datetime.datetime`, which is never called."""
_ENCODE: Final = object()
"""Stands for `_codecs.encode`, with which old protocols write bytes."""
_KNOWN_NAMES: Final = {
    ("datetime", "datetime"): _TIME,
    ("_codecs", "encode"): _ENCODE,
}
_LATIN_NAMES: Final = frozenset({"latin1", "latin-1", "iso-8859-1"})
_LONGEST_NUMBER: Final = 20
"""The most digits or bytes of a number; ids have fewer."""
_TIME_LENGTH: Final = 10
_LONGEST_NAME: Final = 100


class RefusedPickleError(Exception):
    """The pickle requests an object, `name`, that the file may not contain."""

    def __init__(self, name: str) -> None:
        Exception.__init__(self, name[:_LONGEST_NAME])
        self.name = name[:_LONGEST_NAME]


class BrokenPickleError(Exception):
    """The data is not a pickle, or is incomplete."""


def unpickle(data: bytes) -> Any:
    """Return the value of a pickle; texts of Python 2 come as bytes.

    Raises:
        RefusedPickleError: It requests anything but texts, numbers, dicts, tuples and times.
        BrokenPickleError: It is not a pickle, or ends too early.
    """
    return _Machine(data).run()


class _Machine:
    """The stack machine that executes a pickle.

    Args:
        data: The pickle.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Return the value that is on the stack at the end."""
        try:
            while (code := self._take(1)) != b".":
                self._step(code)
            return self._pop()
        except (ValueError, OverflowError, LookupError, UnicodeDecodeError) as error:
            raise BrokenPickleError(str(error)) from None

    def _step(self, code: bytes) -> None:
        if code in _IGNORED:
            self._take(_IGNORED[code])
        elif code in _CONSTANTS:
            self._stack.append(_CONSTANTS[code])
        elif code in _NUMBERS:
            self._stack.append(int.from_bytes(self._take(_NUMBERS[code]), "little"))
        elif code in _TEXTS:
            width, made = _TEXTS[code]
            self._stack.append(made(self._counted(width)))
        elif code in _OPERATIONS:
            _OPERATIONS[code](self)
        elif code in _REFUSED:
            raise RefusedPickleError(_REFUSED[code])
        else:
            raise BrokenPickleError(f"byte {code!r} at {self._place - 1} is no instruction")

    # Reading

    def _take(self, count: int) -> bytes:
        taken_bytes = self._data[self._place : self._place + count]
        if len(taken_bytes) < count:
            raise BrokenPickleError("it ends too early")
        self._place += count
        return taken_bytes

    def _line(self) -> bytes:
        end = self._data.find(b"\n", self._place)
        if end < 0:
            raise BrokenPickleError("it ends too early")
        line = self._data[self._place : end]
        self._place = end + 1
        return line

    def _counted(self, width: int) -> bytes:
        return self._take(int.from_bytes(self._take(width), "little"))

    # The stack

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise BrokenPickleError("its stack is empty")
        return self._stack.pop()

    def _pop_to_mark(self) -> list[Any]:
        for index in range(len(self._stack) - 1, -1, -1):
            if self._stack[index] is _MARK:
                items = self._stack[index + 1 :]
                del self._stack[index:]
                return items
        raise BrokenPickleError("it has no mark")

    # Operations

    def pop(self) -> None:
        """Drop the last value, or a mark."""
        if not self._stack:
            raise BrokenPickleError("its stack is empty")
        self._stack.pop()

    def pop_mark(self) -> None:
        """Drop all values up to the last mark."""
        self._pop_to_mark()

    def duplicate(self) -> None:
        """Put the last value on the stack once more."""
        self._stack.append(self._stack[-1])

    def integer_line(self) -> None:
        """Read a number from a line; Python 2 writes truth like this too."""
        line = self._line()
        if line in {b"00", b"01"}:
            self._stack.append(line == b"01")
        else:
            self._stack.append(_number(line))

    def long_line(self) -> None:
        """Read a long number from a line."""
        self._stack.append(_number(self._line().removesuffix(b"L")))

    def signed(self) -> None:
        """Read a number of four bytes."""
        self._stack.append(int.from_bytes(self._take(4), "little", signed=True))

    def long(self, width: int) -> None:
        """Read a number with its length before it."""
        length = int.from_bytes(self._take(width), "little")
        if length > _LONGEST_NUMBER:
            raise BrokenPickleError("a number is too long")
        self._stack.append(int.from_bytes(self._take(length), "little", signed=True))

    def string_line(self) -> None:
        """Read a text of Python 2 from a line, in quotes."""
        line = self._line().strip()
        if len(line) < len("''") or line[:1] != line[-1:] or line[:1] not in {b"'", b'"'}:
            raise BrokenPickleError("a text has no quotes")
        self._stack.append(codecs.escape_decode(line[1:-1])[0])

    def unicode_line(self) -> None:
        """Read a text from a line."""
        self._stack.append(self._line().decode("raw-unicode-escape"))

    def collect_tuple(self) -> None:
        """Make a tuple of all values up to the last mark."""
        self._stack.append(tuple(self._pop_to_mark()))

    def last_as_tuple(self, count: int) -> None:
        """Make a tuple of the last values."""
        items = [self._pop() for _ in range(count)]
        self._stack.append(tuple(reversed(items)))

    def empty_dict(self) -> None:
        """Begin a dict."""
        self._stack.append({})

    def collect_dict(self) -> None:
        """Make a dict of all values up to the last mark."""
        items = self._pop_to_mark()
        self._stack.append({})
        self._fill(items)

    def set_item(self) -> None:
        """Put one key and value into the dict below them."""
        value, key = self._pop(), self._pop()
        self._fill([key, value])

    def set_items(self) -> None:
        """Put all keys and values up to the last mark into the dict below it."""
        self._fill(self._pop_to_mark())

    def _fill(self, items: list[Any]) -> None:
        filled = self._stack[-1]
        if type(filled) is not dict or len(items) % 2:
            raise BrokenPickleError("a key has no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in {int, str, bytes}:
                raise RefusedPickleError(f"a key that is {_kind(key)}")
            filled[key] = value

    def put(self, index: int | None = None) -> None:
        """Remember the last value."""
        self._memo[len(self._memo) if index is None else index] = self._stack[-1]

    def get(self, index: int) -> None:
        """Put a remembered value on the stack."""
        self._stack.append(self._memo[index])

    def put_line(self) -> None:
        """Remember the last value under the number in a line."""
        self.put(_number(self._line()))

    def get_line(self) -> None:
        """Put the value with the number in a line on the stack."""
        self.get(_number(self._line()))

    def put_counted(self, width: int) -> None:
        """Remember the last value under a number."""
        self.put(int.from_bytes(self._take(width), "little"))

    def get_counted(self, width: int) -> None:
        """Put the value with a number on the stack."""
        self.get(int.from_bytes(self._take(width), "little"))

    def name_lines(self) -> None:
        """Take the name of a class or function from two lines."""
        self._name(self._line().decode(), self._line().decode())

    def name_on_stack(self) -> None:
        """Take the name of a class or function from the stack."""
        name, module = self._pop(), self._pop()
        if type(name) is not str or type(module) is not str:
            raise BrokenPickleError("a name is no text")
        self._name(module, name)

    def refuse_instance(self) -> None:
        """Refuse an object of a class that two lines name."""
        raise RefusedPickleError(f"{self._line().decode()}.{self._line().decode()}")

    def _name(self, module: str, name: str) -> None:
        known = _KNOWN_NAMES.get((module, name))
        if known is None:
            raise RefusedPickleError(f"{module}.{name}")
        self._stack.append(known)

    def reduce(self) -> None:
        """Build a datetime, or its bytes, from the arguments of the class."""
        arguments, function = self._pop(), self._pop()
        if type(arguments) is not tuple:
            raise BrokenPickleError("arguments are no tuple")
        if function is _ENCODE:
            self._stack.append(_encoded(arguments))
        elif function is _TIME:
            self._stack.append(_time(arguments))
        else:
            raise RefusedPickleError(f"a call of {_kind(function)}")


def _number(text: bytes) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise BrokenPickleError("a number is too long")
    return int(text)


def _encoded(arguments: tuple[Any, ...]) -> bytes:
    text, encoding = arguments if len(arguments) == 2 else (None, None)
    if type(text) is not str or encoding not in _LATIN_NAMES:
        raise RefusedPickleError("a call of _codecs.encode with other arguments")
    return text.encode("latin-1")


def _time(arguments: tuple[Any, ...]) -> datetime:
    packed = arguments[0] if len(arguments) == 1 else None
    if type(packed) is not bytes or len(packed) != _TIME_LENGTH:
        raise RefusedPickleError("a time with a time zone, or of another form")
    month = packed[2] & 0x7F  # its highest bit says which of two equal times it is
    day, hour, minute, second = packed[3:7]
    microsecond = int.from_bytes(packed[7:], "big")
    return datetime(packed[0] << 8 | packed[1], month, day, hour, minute, second, microsecond)


def _kind(value: Any) -> str:
    if value is None or value is _TIME or value is _ENCODE:
        return "no text and no number"
    return f"a {type(value).__name__}"


_IGNORED: Final = {b"\x80": 1, b"\x95": 8}
"""The opcodes for the protocol and for a frame's length -> the number of bytes that follow."""
_CONSTANTS: Final[dict[bytes, Any]] = {
    b"(": _MARK, b"N": None, b")": (), b"\x88": True, b"\x89": False,
}  # fmt: skip
_NUMBERS: Final = {b"K": 1, b"M": 2}
_TEXTS: Final[dict[bytes, tuple[int, Callable[[bytes], str | bytes]]]] = {
    b"U": (1, bytes),
    b"T": (4, bytes),
    b"C": (1, bytes),
    b"B": (4, bytes),
    b"\x8e": (8, bytes),
    b"\x8c": (1, lambda text: text.decode("utf-8", "surrogatepass")),
    b"X": (4, lambda text: text.decode("utf-8", "surrogatepass")),
    b"\x8d": (8, lambda text: text.decode("utf-8", "surrogatepass")),
}
_OPERATIONS: Final[dict[bytes, Callable[[_Machine], None]]] = {
    b"0": _Machine.pop,
    b"1": _Machine.pop_mark,
    b"2": _Machine.duplicate,
    b"I": _Machine.integer_line,
    b"L": _Machine.long_line,
    b"J": _Machine.signed,
    b"\x8a": lambda machine: machine.long(1),
    b"\x8b": lambda machine: machine.long(4),
    b"S": _Machine.string_line,
    b"V": _Machine.unicode_line,
    b"t": _Machine.collect_tuple,
    b"\x85": lambda machine: machine.last_as_tuple(1),
    b"\x86": lambda machine: machine.last_as_tuple(2),
    b"\x87": lambda machine: machine.last_as_tuple(3),
    b"}": _Machine.empty_dict,
    b"d": _Machine.collect_dict,
    b"s": _Machine.set_item,
    b"u": _Machine.set_items,
    b"p": _Machine.put_line,
    b"g": _Machine.get_line,
    b"q": lambda machine: machine.put_counted(1),
    b"r": lambda machine: machine.put_counted(4),
    b"h": lambda machine: machine.get_counted(1),
    b"j": lambda machine: machine.get_counted(4),
    b"\x94": _Machine.put,
    b"c": _Machine.name_lines,
    b"\x93": _Machine.name_on_stack,
    b"i": _Machine.refuse_instance,
    b"R": _Machine.reduce,
}
_REFUSED: Final = {
    b"]": "a list",
    b"l": "a list",
    b"a": "a list",
    b"e": "a list",
    b"\x8f": "a set",
    b"\x90": "a set",
    b"\x91": "a frozenset",
    b"F": "a number with a fraction",
    b"G": "a number with a fraction",
    b"o": "an object",
    b"\x81": "an object",
    b"\x92": "an object",
    b"b": "an object",
    b"P": "a persistent object",
    b"Q": "a persistent object",
    b"\x82": "a registered class",
    b"\x83": "a registered class",
    b"\x84": "a registered class",
    b"\x96": "a bytearray",
    b"\x97": "a buffer",
    b"\x98": "a buffer",
}
