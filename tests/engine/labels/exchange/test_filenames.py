import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costal.labels.exchange.filenames import frame_stem, safe_name, unlike


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("rings", "rings"),
        ("axon / dendrite", "axon _ dendrite"),
        ('<>:"\\|?*', "________"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("com1", "_com1"),
        ("LPT²", "_LPT²"),
        ("console", "console"),
        ("ends..", "ends__"),
        ("blank ", "blank_"),
        ("..", "__"),
        (".hidden", "_.hidden"),
        ("", "_"),
        ("\x00\n", "__"),
        ("u\u0308", "ü"),
        ("x" * 500, "x" * 100),
    ],
)
def test_names_are_made_safe_for_windows_too(text, name):
    assert safe_name(text) == name


@given(st.text())
def test_a_safe_name_has_no_sign_or_end_that_a_system_refuses(text):
    name = safe_name(text)
    assert re.fullmatch(r'[^<>:"/\\|?*\x00-\x1f\x7f]+', name)
    assert name[-1] not in ". "
    assert len(name.encode()) <= 101
    assert safe_name(name) == name


@pytest.mark.parametrize(
    ("source", "planes", "stem"),
    [
        ("/data/a.ome.tif", "all", "a.ome_01234567"),
        ("C:\\data\\b.tif", "z 3, t 0", "b_01234567_z3_t0"),
        ("layer:cells", "", "layer_cells_01234567"),
        ("c", "max z, channels 0 2", "c_01234567_maxz_channels02"),
    ],
)
def test_a_frame_is_called_after_its_file_on_any_system_its_hash_and_its_planes(source, planes, stem):
    assert frame_stem(source, "0123456789abcdef", planes) == stem


def test_names_that_differ_in_case_alone_are_numbered():
    taken = set()
    assert [unlike(taken, stem, ".tif") for stem in ("Ring", "ring", "RING", "rod")] == [
        "Ring.tif",
        "ring_2.tif",
        "RING_3.tif",
        "rod.tif",
    ]
