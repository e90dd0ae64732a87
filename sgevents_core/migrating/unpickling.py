"""Reading a pickle without trusting it: a machine that knows texts, numbers, dicts, tuples, times.

It builds nothing else and calls nothing that a pickle names, so that a file from anywhere may be
read. Anything else that a pickle requests is refused by its name.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Any, Final

from sgevents_core.migrating.pickled_values import (
    ENCODE_FUNCTION,
    KNOWN_NAMES,
    LONGEST_NUMBER,
    TIME_CLASS,
    BrokenPickleError,
    RefusedPickleError,
    encoded_bytes,
    kind_of,
    time_of,
    whole_number,
)

_MARK: Final = object()


def unpickle(pickle_data: bytes) -> Any:
    """Return the value of a pickle; texts of Python 2 come as bytes.

    Raises:
        RefusedPickleError: It requests anything but texts, numbers, dicts, tuples and times.
        BrokenPickleError: It is not a pickle, or ends too early.
    """
    return _Machine(pickle_data).run()


class _Machine:
    """The stack machine that executes a pickle.

    Args:
        pickle_data: The pickle.
    """

    def __init__(self, pickle_data: bytes) -> None:
        self._pickle_data = pickle_data
        self._byte_offset = 0
        self._value_stack: list[Any] = []
        self._memo_values: dict[int, Any] = {}

    def run(self) -> Any:
        """Return the value that is on the stack at the end."""
        try:
            while (operation_code := self._take(1)) != b".":
                self._step(operation_code)
            return self._pop()
        except (ValueError, OverflowError, LookupError, UnicodeDecodeError) as decode_error:
            raise BrokenPickleError(str(decode_error)) from None

    def _step(self, operation_code: bytes) -> None:
        if operation_code in _IGNORED:
            self._take(_IGNORED[operation_code])
        elif operation_code in _CONSTANTS:
            self._value_stack.append(_CONSTANTS[operation_code])
        elif operation_code in _NUMBERS:
            self._value_stack.append(int.from_bytes(self._take(_NUMBERS[operation_code]), "little"))
        elif operation_code in _TEXTS:
            size_width, make_value = _TEXTS[operation_code]
            self._value_stack.append(make_value(self._counted(size_width)))
        elif operation_code in _OPERATIONS:
            _OPERATIONS[operation_code](self)
        elif operation_code in _REFUSED:
            raise RefusedPickleError(_REFUSED[operation_code])
        else:
            raise BrokenPickleError(
                f"byte {operation_code!r} at {self._byte_offset - 1} is no instruction"
            )

    # Reading

    def _take(self, byte_count: int) -> bytes:
        taken_bytes = self._pickle_data[self._byte_offset : self._byte_offset + byte_count]
        if len(taken_bytes) < byte_count:
            raise BrokenPickleError("it ends too early")
        self._byte_offset += byte_count
        return taken_bytes

    def _line(self) -> bytes:
        line_end = self._pickle_data.find(b"\n", self._byte_offset)
        if line_end < 0:
            raise BrokenPickleError("it ends too early")
        text_line = self._pickle_data[self._byte_offset : line_end]
        self._byte_offset = line_end + 1
        return text_line

    def _counted(self, size_width: int) -> bytes:
        return self._take(int.from_bytes(self._take(size_width), "little"))

    # The stack

    def _pop(self) -> Any:
        if not self._value_stack or self._value_stack[-1] is _MARK:
            raise BrokenPickleError("its stack is empty")
        return self._value_stack.pop()

    def _pop_to_mark(self) -> list[Any]:
        for mark_index in range(len(self._value_stack) - 1, -1, -1):
            if self._value_stack[mark_index] is _MARK:
                stack_items = self._value_stack[mark_index + 1 :]
                del self._value_stack[mark_index:]
                return stack_items
        raise BrokenPickleError("it has no mark")

    # Operations

    def pop(self) -> None:
        """Drop the last value, or a mark."""
        if not self._value_stack:
            raise BrokenPickleError("its stack is empty")
        self._value_stack.pop()

    def pop_mark(self) -> None:
        """Drop all values up to the last mark."""
        self._pop_to_mark()

    def duplicate(self) -> None:
        """Put the last value on the stack once more."""
        self._value_stack.append(self._value_stack[-1])

    def integer_line(self) -> None:
        """Read a number from a line; Python 2 writes truth like this too."""
        text_line = self._line()
        if text_line in {b"00", b"01"}:
            self._value_stack.append(text_line == b"01")
        else:
            self._value_stack.append(whole_number(text_line))

    def long_line(self) -> None:
        """Read a long number from a line."""
        self._value_stack.append(whole_number(self._line().removesuffix(b"L")))

    def signed(self) -> None:
        """Read a number of four bytes."""
        self._value_stack.append(int.from_bytes(self._take(4), "little", signed=True))

    def long(self, size_width: int) -> None:
        """Read a number with its length before it."""
        byte_length = int.from_bytes(self._take(size_width), "little")
        if byte_length > LONGEST_NUMBER:
            raise BrokenPickleError("a number is too long")
        self._value_stack.append(int.from_bytes(self._take(byte_length), "little", signed=True))

    def string_line(self) -> None:
        """Read a text of Python 2 from a line, in quotes."""
        text_line = self._line().strip()
        if (
            len(text_line) < len("''")
            or text_line[:1] != text_line[-1:]
            or text_line[:1] not in {b"'", b'"'}
        ):
            raise BrokenPickleError("a text has no quotes")
        self._value_stack.append(codecs.escape_decode(text_line[1:-1])[0])

    def unicode_line(self) -> None:
        """Read a text from a line."""
        self._value_stack.append(self._line().decode("raw-unicode-escape"))

    def collect_tuple(self) -> None:
        """Make a tuple of all values up to the last mark."""
        self._value_stack.append(tuple(self._pop_to_mark()))

    def last_as_tuple(self, item_count: int) -> None:
        """Make a tuple of the last values."""
        stack_items = [self._pop() for _ in range(item_count)]
        self._value_stack.append(tuple(reversed(stack_items)))

    def empty_dict(self) -> None:
        """Begin a dict."""
        self._value_stack.append({})

    def collect_dict(self) -> None:
        """Make a dict of all values up to the last mark."""
        stack_items = self._pop_to_mark()
        self._value_stack.append({})
        self._fill(stack_items)

    def set_item(self) -> None:
        """Put one key and value into the dict below them."""
        dict_value, dict_key = self._pop(), self._pop()
        self._fill([dict_key, dict_value])

    def set_items(self) -> None:
        """Put all keys and values up to the last mark into the dict below it."""
        self._fill(self._pop_to_mark())

    def _fill(self, stack_items: list[Any]) -> None:
        filled_dict = self._value_stack[-1]
        if type(filled_dict) is not dict or len(stack_items) % 2:
            raise BrokenPickleError("a key has no dict")
        for dict_key, dict_value in zip(stack_items[::2], stack_items[1::2], strict=True):
            if type(dict_key) not in {int, str, bytes}:
                raise RefusedPickleError(f"a key that is {kind_of(dict_key)}")
            filled_dict[dict_key] = dict_value

    def put(self, memo_index: int | None = None) -> None:
        """Remember the last value."""
        self._memo_values[len(self._memo_values) if memo_index is None else memo_index] = (
            self._value_stack[-1]
        )

    def get(self, memo_index: int) -> None:
        """Put a remembered value on the stack."""
        self._value_stack.append(self._memo_values[memo_index])

    def put_line(self) -> None:
        """Remember the last value under the number in a line."""
        self.put(whole_number(self._line()))

    def get_line(self) -> None:
        """Put the value with the number in a line on the stack."""
        self.get(whole_number(self._line()))

    def put_counted(self, size_width: int) -> None:
        """Remember the last value under a number."""
        self.put(int.from_bytes(self._take(size_width), "little"))

    def get_counted(self, size_width: int) -> None:
        """Put the value with a number on the stack."""
        self.get(int.from_bytes(self._take(size_width), "little"))

    def name_lines(self) -> None:
        """Take the name of a class or function from two lines."""
        self._name(self._line().decode(), self._line().decode())

    def name_on_stack(self) -> None:
        """Take the name of a class or function from the stack."""
        global_name, module_name = self._pop(), self._pop()
        if type(global_name) is not str or type(module_name) is not str:
            raise BrokenPickleError("a name is no text")
        self._name(module_name, global_name)

    def refuse_instance(self) -> None:
        """Refuse an object of a class that two lines name."""
        raise RefusedPickleError(f"{self._line().decode()}.{self._line().decode()}")

    def _name(self, module_name: str, global_name: str) -> None:
        known_function = KNOWN_NAMES.get((module_name, global_name))
        if known_function is None:
            raise RefusedPickleError(f"{module_name}.{global_name}")
        self._value_stack.append(known_function)

    def reduce(self) -> None:
        """Build a datetime, or its bytes, from the arguments of the class."""
        call_arguments, called_function = self._pop(), self._pop()
        if type(call_arguments) is not tuple:
            raise BrokenPickleError("arguments are no tuple")
        if called_function is ENCODE_FUNCTION:
            self._value_stack.append(encoded_bytes(call_arguments))
        elif called_function is TIME_CLASS:
            self._value_stack.append(time_of(call_arguments))
        else:
            raise RefusedPickleError(f"a call of {kind_of(called_function)}")


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
