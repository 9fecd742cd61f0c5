import pytest

from costal.errors import DatasetError
from costal.paper.image_labels import classes_of, range_names

FILES = ("a/1.png", "a/2.png", "b/3.png")


def written(folder, text):
    path = folder / "labels.csv"
    path.write_text(text, "utf-8")
    return path


def test_classes_come_from_the_column_beside_the_file(tmp_path):
    path = written(tmp_path, "file,what\nb/3.png,x\na\\1.png,y\na/2.png,x\nother.png,z\n")
    assert classes_of(path, FILES) == ["y", "x", "x"]


def test_numbers_fall_into_ranges_that_begin_at_the_edges(tmp_path):
    path = written(tmp_path, "file,objects\na/1.png,0\na/2.png,3\nb/3.png,10\n")
    assert classes_of(path, FILES, (1, 4, 10)) == ["0", "1 to 3", "10 or more"]


@pytest.mark.parametrize(
    ("edges", "names"),
    [
        ((1, 4, 10), ["0", "1 to 3", "4 to 9", "10 or more"]),
        ((2, 3), ["up to 1", "2", "3 or more"]),
        ((0.5,), ["below 0.5", "0.5 or more"]),
        ((0.5, 2.0), ["below 0.5", "0.5 to below 2", "2 or more"]),
    ],
)
def test_ranges_are_named_after_their_edges(edges, names):
    assert range_names(edges) == names


@pytest.mark.parametrize(
    ("text", "edges", "sentence"),
    [
        ("file,what\na/1.png,x\na/2.png,x\n", (), "has no line for b/3.png"),
        ("file,what\na/1.png,x\na/2.png,\nb/3.png,x\n", (), "line 3: the class is empty"),
        ("file,what\na/1.png,x\na/1.png,y\n", (), "line 3: a/1.png has a class already"),
        ("file,what\na/1.png,x\n", (1,), "'x' is not a number"),
        ("file,what,else\na/1.png,x,y\n", (), "needs the column file and one column"),
        ("crop,what\na/1.png,x\n", (), "needs file"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_line(tmp_path, text, edges, sentence):
    with pytest.raises(DatasetError, match=sentence):
        classes_of(written(tmp_path, text), FILES, edges)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"none\.csv cannot be read"):
        classes_of(tmp_path / "none.csv", FILES)
