import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costal.labels.exchange import json_stream
from costal.labels.exchange.json_stream import JsonStream

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text())
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)


def stream_of(text, piece, monkeypatch):
    monkeypatch.setattr(json_stream, "PIECE", piece)
    return JsonStream(io.StringIO(text))


@given(st.lists(VALUES), st.integers(1, 9), st.sampled_from([None, 1]), st.booleans())
def test_a_list_comes_back_whatever_the_pieces_and_blanks(values, piece, indent, ascii_only):
    with pytest.MonkeyPatch.context() as patch:
        stream = stream_of(json.dumps(values, indent=indent, ensure_ascii=ascii_only), piece, patch)
        assert list(stream.items()) == values
        stream.end()


@given(st.dictionaries(st.text(), VALUES), st.integers(1, 9))
def test_an_object_comes_back_member_by_member(members, piece):
    with pytest.MonkeyPatch.context() as patch:
        stream = stream_of(json.dumps(members), piece, patch)
        assert [(name, stream.value()) for name in stream.members()] == list(members.items())


@pytest.mark.parametrize("text", ["", "[", "[1", "[1,", "[1,]", "[1 2]", "{}", "[tru]", '["a]', "[1}", "[nul"])
@pytest.mark.parametrize("piece", [1, 100])
def test_what_is_no_list_is_an_error(text, piece, monkeypatch):
    with pytest.raises(ValueError, match=r"."):
        list(stream_of(text, piece, monkeypatch).items())


@pytest.mark.parametrize("text", ["[]", '{"a"}', '{"a": }', "{1: 2}", '{"a": 1'])
def test_what_is_no_object_is_an_error(text, monkeypatch):
    stream = stream_of(text, 3, monkeypatch)
    with pytest.raises(ValueError, match=r"."):
        [stream.value() for _ in stream.members()]


def test_more_after_the_end_is_an_error(monkeypatch):
    stream = stream_of("[1] [2]", 2, monkeypatch)
    assert list(stream.items()) == [1]
    with pytest.raises(ValueError, match="text after the end"):
        stream.end()


def test_a_damaged_row_is_found_without_reading_all_that_follows(monkeypatch):
    file = io.StringIO('[{"a": 1}, {"b": x}, ' + " " * 10_000)
    monkeypatch.setattr(json_stream, "PIECE", 64)
    with pytest.raises(ValueError, match="Expecting value"):
        list(JsonStream(file).items())
    assert file.tell() < 1000
