"""Messages survive pipes that cut them anywhere, and large arrays leave no file behind."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_costal.engine.messages import LARGE, Message, Unframer, framed, pack


def test_small_values_travel_in_the_message_itself():
    message = pack(("a", 1, np.arange(5)))
    assert message.file == ""
    name, number, array = message.unpack()
    assert (name, number) == ("a", 1)
    np.testing.assert_array_equal(array, np.arange(5))


def test_large_arrays_travel_by_a_file_that_discard_deletes():
    large = np.random.default_rng(0).random(LARGE)
    other = np.arange(LARGE, dtype=np.uint16)
    message = pack({"large": large, "other": other, "small": 3})
    assert Path(message.file).stat().st_size == large.nbytes + other.nbytes
    content = message.unpack()
    np.testing.assert_array_equal(content["large"], large)
    np.testing.assert_array_equal(content["other"], other)
    assert message.unpack()["small"] == 3, "a job may be begun again, so unpacking keeps the file"
    message.discard()
    assert not Path(message.file).exists()
    message.discard()


def test_arrays_that_arrive_can_be_written_to():
    message = pack(np.zeros(LARGE))
    array = message.unpack()
    array[0] = 1
    assert array[0] == 1
    message.discard()


@given(st.lists(st.binary(max_size=300), max_size=6), st.lists(st.integers(1, 97), min_size=1, max_size=20))
def test_messages_come_whole_whatever_the_pieces(contents, piece_lengths):
    stream = b"".join(framed(("message", number, content)) for number, content in enumerate(contents))
    unframer, received, start, turn = Unframer(), [], 0, 0
    while start < len(stream):
        length = piece_lengths[turn % len(piece_lengths)]
        received += unframer.feed(stream[start : start + length])
        start, turn = start + length, turn + 1
    assert received == [("message", number, content) for number, content in enumerate(contents)]


def test_parcels_themselves_can_be_sent():
    message = pack(np.ones(3))
    (message,) = Unframer().feed(framed(("run", message)))
    assert isinstance(message[1], Message)
    np.testing.assert_array_equal(message[1].unpack(), np.ones(3))
