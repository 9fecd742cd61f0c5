"""Messages between the window and its engine process: framed pickles, with large arrays in a separate file.

The plugin writes and reads them on one machine; data of a project or of other programs are never unpickled.
"""

import os
import pickle
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LARGE = 1 << 18
LENGTH_BYTES = 8


@dataclass(frozen=True, slots=True)
class Message:
    """A pickled value; `file` has the arrays over 256 KiB, one after another, of lengths `sizes`."""

    pickled: bytes
    sizes: tuple[int, ...] = ()
    file: str = ""

    def unpack(self) -> Any:
        """Return the value. The file stays, so that a job can start again; see `discard`."""
        if not self.file:
            return pickle.loads(self.pickled)
        content = bytearray(Path(self.file).read_bytes())
        buffers, start = [], 0
        for size in self.sizes:
            buffers.append(memoryview(content)[start : start + size])
            start += size
        return pickle.loads(self.pickled, buffers=buffers)

    def discard(self) -> None:
        """Delete the file, when the value is not needed any more."""
        if self.file:
            # Windows cannot delete a file that the other process reads; the system cleans its temporary folder later.
            with suppress(PermissionError):
                Path(self.file).unlink(missing_ok=True)


def pack(content: object) -> Message:
    """Return the message of a value. Writes large arrays to disk: not for the GUI thread."""
    large: list[pickle.PickleBuffer] = []

    def in_band(buffer: pickle.PickleBuffer) -> bool:
        if buffer.raw().nbytes < LARGE:
            return True
        large.append(buffer)
        return False

    pickled = pickle.dumps(content, protocol=5, buffer_callback=in_band)
    if not large:
        return Message(pickled)
    handle, path = tempfile.mkstemp(prefix="napari-costal-", suffix=".arrays")
    try:
        with os.fdopen(handle, "wb") as file:
            for buffer in large:
                file.write(buffer.raw())
    except OSError:
        Path(path).unlink(missing_ok=True)  # an incomplete file would keep a full disk full
        raise
    return Message(pickled, tuple(buffer.raw().nbytes for buffer in large), path)


def framed(message: object) -> bytes:
    """Return a message as bytes for a pipe."""
    pickled = pickle.dumps(message, protocol=5)
    return len(pickled).to_bytes(LENGTH_BYTES, "little") + pickled


@dataclass(slots=True)
class Unframer:
    """Puts messages together from the pieces of bytes that a pipe delivers."""

    received: bytearray = field(default_factory=bytearray)

    def feed(self, piece: bytes) -> list[Any]:
        """Take a piece of bytes, and return the messages that are complete now."""
        self.received += piece
        messages = []
        while len(self.received) >= LENGTH_BYTES:
            end = LENGTH_BYTES + int.from_bytes(self.received[:LENGTH_BYTES], "little")
            if len(self.received) < end:
                break
            message = bytes(self.received[LENGTH_BYTES:end])
            del self.received[:end]
            messages.append(pickle.loads(message))
        return messages
