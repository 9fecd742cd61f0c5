"""Messages between the window and its engine process: framed pickles, with large arrays in a file beside them.

Both ends are ours and on one machine; nothing from a project or from outside is ever unpickled.
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
    """A pickled value; arrays over 256 KiB lie one after another in `file`, with lengths `sizes`."""

    pickled: bytes
    sizes: tuple[int, ...] = ()
    file: str = ""

    def unpack(self) -> Any:
        """Return the value. The file stays, so that a job can be begun again; see `discard`."""
        if not self.file:
            return pickle.loads(self.pickled)
        content = bytearray(Path(self.file).read_bytes())
        buffers, start = [], 0
        for size in self.sizes:
            buffers.append(memoryview(content)[start : start + size])
            start += size
        return pickle.loads(self.pickled, buffers=buffers)

    def discard(self) -> None:
        """Delete the file: the value is not needed any more."""
        if self.file:
            # Windows does not delete what the other end still reads; the system's temporary folder is cleaned later.
            with suppress(PermissionError):
                Path(self.file).unlink(missing_ok=True)


def pack(content: object) -> Message:
    """Return a value ready to be sent. Writes large arrays to disk: not for the GUI thread."""
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
        Path(path).unlink(missing_ok=True)  # half of it would keep a full disk full
        raise
    return Message(pickled, tuple(buffer.raw().nbytes for buffer in large), path)


def framed(message: object) -> bytes:
    """Return a message as bytes for a pipe."""
    pickled = pickle.dumps(message, protocol=5)
    return len(pickled).to_bytes(LENGTH_BYTES, "little") + pickled


@dataclass(slots=True)
class Unframer:
    """Messages out of the bytes that a pipe delivers in pieces of any size."""

    received: bytearray = field(default_factory=bytearray)

    def feed(self, piece: bytes) -> list[Any]:
        """Return the messages that are complete now."""
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
