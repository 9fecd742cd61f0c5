"""Numbers in tables: what is read, and what is not taken for one."""

import pytest

from costal.numerals import counted, decimal_number, whole_number


@pytest.mark.parametrize(
    ("text", "number"),
    [("16", 16), ("0", 0), ("016", 16), ("16.0", 16), ("16.", 16), ("1_6", None), (" 16", None), ("16 ", None),
     ("1e1", None), ("١٦", None), ("+16", None), ("-1", None), ("1.5", None), ("", None), ("nan", None), ("1\n", None)],
)  # fmt: skip
def test_a_whole_number_is_ascii_digits_alone(text, number):
    assert whole_number(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [("2.5", 2.5), ("-3", -3.0), (".5", 0.5), ("1.5e-05", 1.5e-05), ("1_6", None), (" 16", None), ("١٦", None),
     ("inf", None), ("nan", None), ("1,5", None), ("", None), ("e5", None), (".", None)],
)  # fmt: skip
def test_a_decimal_number_is_ascii_digits_with_a_point(text, number):
    assert decimal_number(text) == number


@pytest.mark.parametrize(("count", "text"), [(0, "0 crops"), (1, "1 crop"), (2, "2 crops"), (1024, "1,024 crops")])
def test_one_of_a_kind_is_named_in_the_singular(count, text):
    assert counted(count, "crop") == text
