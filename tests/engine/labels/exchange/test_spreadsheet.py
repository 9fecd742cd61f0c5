import pytest
from hypothesis import given
from hypothesis import strategies as st

from costal.labels.exchange.spreadsheet import FORMULA_SIGNS, escaped, unescaped


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+49", "'+49"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("＝1", "'＝1"),
        ("'=1", "''=1"),
        ("'quoted'", "'quoted'"),
        ("a=b", "a=b"),
        ("", ""),
        ("7", "7"),
    ],
)
def test_a_formula_gets_an_apostrophe_and_nothing_else_does(text, cell):
    assert escaped(text) == cell


@given(st.text(alphabet=st.sampled_from([*FORMULA_SIGNS, "'", "a", "1"])))
def test_no_text_begins_like_a_formula_and_each_comes_back(text):
    assert escaped(text)[:1] not in FORMULA_SIGNS
    assert unescaped(escaped(text)) == text
