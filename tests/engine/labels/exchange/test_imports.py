import re

import pytest

from costal.errors import ProjectError
from costal.labels.classes import merge_classes, new_class, rename_class, retire_class
from costal.labels.exchange.imports import LabelRow, read_label_rows, with_classes


@pytest.fixture
def table(tmp_path):
    def write(text, encoding="utf-8"):
        (tmp_path / "labels.csv").write_bytes(text.encode(encoding))
        return tmp_path / "labels.csv"

    return write


def test_the_four_columns_are_enough(table):
    assert read_label_rows(table("frame,y,x,class\na.tif,0,16,rings\n")) == (
        LabelRow(2, "a.tif", 0, 16, "class", "rings"),
    )


def test_every_column_that_is_known_is_read_and_no_other(table):
    text = (
        "class,x,y,frame,side,annotator,kind,content_hash,planes,active_s\n"
        'rings,16.0,0,a.tif,8,ada,class,abc,"z 3, t 0",99\n,1,2,b.tif,,,skip,,,\nrods,1,2,b.tif,,,exclude,,all,\n'
    )
    assert read_label_rows(table(text)) == (
        LabelRow(2, "a.tif", 0, 16, "class", "rings", 8, "ada", "abc", "z 3, t 0"),
        LabelRow(3, "b.tif", 2, 1, "skip", "", planes=None),
        LabelRow(4, "b.tif", 2, 1, "exclude", "", planes="all"),
    )


@pytest.mark.parametrize(
    "text",
    [
        "frame;y;x;class\na,b.tif;0;16;rings\n",
        "frame\ty\tx\tclass\na,b.tif\t0\t16\trings\n",
        '"frame",y,x,class\n"a,b.tif",0,16,rings',
    ],
    ids=["semicolons", "tabs", "commas"],
)
def test_the_separator_is_that_of_the_first_row(table, text):
    assert read_label_rows(table(text)) == (LabelRow(2, "a,b.tif", 0, 16, "class", "rings"),)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_names_of_any_script_are_read_with_or_without_a_mark(table, encoding):
    assert read_label_rows(table("FRAME , y,x,Class\r\nä.tif,0,0,β-rings\r\n", encoding))[0].class_name == "β-rings"


def test_an_escaped_formula_is_read_as_it_was(table):
    row = read_label_rows(table("frame,y,x,class,annotator\n'=a.tif,0,0,'=1+1,'@bob\n"))[0]
    assert (row.frame, row.class_name, row.annotator) == ("=a.tif", "=1+1", "@bob")


def test_a_row_is_numbered_as_an_editor_does(table):
    rows = read_label_rows(table("frame,y,x,class\n\na.tif,0,0,rings\n\nb.tif,0,0,rings\n"))
    assert [row.number for row in rows] == [3, 5]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("frame,y,class\n", "has no column x. Its first row must name frame, y, x, class."),
        ("", "has no column frame and no y and no x and no class."),
        ("frame,y,x,class,class\na,0,0,rings,fibres\n", "has two columns class. Remove one of them."),
        ("frame,y,x,class\na,0,0,rings\na,zero,0,rings\n", "row 3, column y: 'zero' is not a whole number from 0 to"),
        ("frame,y,x,class\na,0,-1,rings\n", "row 2, column x: '-1' is not a whole number"),
        ("frame,y,x,class\na,0,1.5,rings\n", "row 2, column x: '1.5' is not a whole number"),
        ("frame,y,x,class\na,nan,0,rings\n", "row 2, column y: 'nan' is not a whole number"),
        ("frame,y,x,class\na,inf,0,rings\n", "row 2, column y: 'inf' is not a whole number"),
        ("frame,y,x,class\na,1_6,0,rings\n", "row 2, column y: '1_6' is not a whole number"),
        ("frame,y,x,class\na, 16,0,rings\n", "row 2, column y: ' 16' is not a whole number"),
        ("frame,y,x,class\na,1e1,0,rings\n", "row 2, column y: '1e1' is not a whole number"),
        ("frame,y,x,class\na,١٦,0,rings\n", "row 2, column y: '١٦' is not a whole number"),
        ("frame,y,x,class\na,1e99,0,rings\n", "row 2, column y: '1e99' is not a whole number"),
        ("frame,y,x,class\n,0,0,rings\n", "row 2, column frame: it is empty."),
        ("frame,y,x,class\na,0,0, \n", "row 2, column class: it is empty."),
        ("frame,y,x,class\na,0\n", "row 2, column class: it is empty."),
        (
            "frame,y,x,class,kind\na,0,0,rings,praise\n",
            "row 2, column kind: 'praise' is not one of class, skip, exclude.",
        ),
        ("frame,y,x,class,side\na,0,0,rings,4\n", "row 2, column side: '4' is not a whole number from 8 to 10000."),
        ("frame,y,x,class\na,0,0,rings,1,2\n", "row 2: it has more cells than the first row."),
        ('frame,y,x,class\n"a"b,0,0,rings\n', "is not a CSV file"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(table, text, sentence):
    with pytest.raises(ProjectError, match=re.escape(sentence)) as refused:
        read_label_rows(table(text))
    assert str(refused.value).startswith(str(table(text)))


def test_another_encoding_is_refused(table):
    with pytest.raises(ProjectError, match="Save it as CSV in UTF-8"):
        read_label_rows(table("frame,y,x,class\na,0,0,rüngs\n", "latin-1"))


def test_a_missing_table_is_an_error(tmp_path):
    with pytest.raises(ProjectError, match="cannot be read"):
        read_label_rows(tmp_path / "nowhere.csv")


# classes


@pytest.fixture
def rows():
    return lambda *names: [LabelRow(2, "a", 0, 0, "class", name) for name in names]


@pytest.fixture
def three(make_project, tmp_path):
    return make_project(tmp_path / "three")  # rings, fibres, puncta


def test_a_class_is_named_by_its_name_or_its_id(three, rows, tmp_path):
    project, ids = with_classes(three, rows("rings", "2"), tmp_path)
    assert (project, ids) == (three, {"rings": 1, "2": 2})


def test_a_name_goes_before_an_id(three, rows, tmp_path):
    assert with_classes(rename_class(three, 3, "1"), rows("1", "3"), tmp_path)[1] == {"1": 3, "3": 3}


def test_a_merged_class_stands_for_what_it_counts_as(three, rows, tmp_path):
    merged = merge_classes(three, 3, 1)
    assert with_classes(merged, rows("puncta", "3"), tmp_path)[1] == {"puncta": 1, "3": 1}
    assert with_classes(new_class(merged, "puncta"), rows("puncta", "3"), tmp_path)[1] == {"puncta": 4, "3": 1}


def test_labels_of_a_retired_class_can_be_given(three, rows, tmp_path):
    assert with_classes(retire_class(three, 2), rows("fibres"), tmp_path)[1] == {"fibres": 2}


def test_unknown_classes_are_listed_or_added(three, rows, tmp_path):
    with pytest.raises(ProjectError, match=r"'three' does not have: rods, stars\. .*--add-classes"):
        with_classes(three, rows("rods", "rings", "stars", "rods"), tmp_path)
    project, ids = with_classes(three, rows("rods", "rings", "stars", "rods"), tmp_path, add=True)
    assert [each.name for each in project.classes[3:]] == ["rods", "stars"]
    assert ids == {"rods": 4, "rings": 1, "stars": 5}
