"""A JSON document read piece by piece, so that one of gigabytes never is in memory as a whole."""

import json
import re
from collections.abc import Iterator
from typing import Any, TextIO

PIECE = 1 << 20
BLANKS = re.compile(r"[ \t\r\n]*")
DECODER = json.JSONDecoder()
NEAR_THE_END = 16
"""Signs: a value that is cut off there may be whole in the next piece, such as ``tru`` or half of an escape."""


class JsonStream:
    """Reads a document from its start: `members` of an object, `items` of a list, whole values.

    What was named or announced must be read before the next is asked for. Raises ValueError where the text is no JSON.
    """

    def __init__(self, file: TextIO) -> None:
        self._file, self._text, self._at = file, "", 0

    def members(self) -> Iterator[str]:
        """Return the names of an object's members; read each one's value before going on."""
        for _ in self._entries("{", "}"):
            name = self.value()
            if not isinstance(name, str):
                raise ValueError(f"{name!r} is not a member name")
            self._take(":")
            yield name

    def items(self) -> Iterator[Any]:
        """Return the values of a list."""
        for _ in self._entries("[", "]"):
            yield self.value()

    def value(self) -> Any:
        """Return the next value, whatever it is."""
        self._next_sign()
        while True:
            try:
                decoded, end = DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                cut_off = error.pos >= len(self._text) - NEAR_THE_END or error.msg.startswith("Unterminated string")
                if not cut_off or not self._read_on():
                    raise
            else:
                # A number may go on in the next piece, at a point or an exponent.
                if end < len(self._text) - NEAR_THE_END or not self._read_on():
                    self._at = end
                    return decoded

    def end(self) -> None:
        """Raise ValueError unless the document ends here."""
        if self._next_sign():
            raise ValueError("there is text after the end of the document")

    def _entries(self, opening: str, closing: str) -> Iterator[None]:
        self._take(opening)
        if self._next_sign() == closing:
            self._take(closing)
            return
        while True:
            yield
            if self._next_sign() == closing:
                self._take(closing)
                return
            self._take(",")

    def _take(self, sign: str) -> None:
        next_sign = self._next_sign()
        if next_sign != sign:
            raise ValueError(f"'{sign}' was expected, not '{next_sign or 'the end'}'")
        self._at += 1

    def _next_sign(self) -> str:
        """Return the sign that comes next after blanks, empty at the end."""
        while True:
            self._at = BLANKS.match(self._text, self._at).end()  # type: ignore[union-attr]  # it may match nothing
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read_on():
                return ""

    def _read_on(self) -> bool:
        """Add a piece to what is not read yet, as large again, so that a long value is not parsed many times."""
        piece = self._file.read(max(PIECE, len(self._text) - self._at))
        if piece:
            self._text, self._at = self._text[self._at :] + piece, 0
        return bool(piece)
