"""Which crops of a grid have labels."""

from costal.frames.grid import tile
from costal.labels.records import CropLabel
from costal.scoring.queries import by_index, unanswered


def label(y, x, side):
    return CropLabel(1, 1, y, x, side, 1)


def test_a_label_belongs_to_the_crop_of_its_place_and_size_alone():
    grid = tile((32, 48), 16)
    own = {1: label(0, 16, 16), 5: label(16, 32, 16)}
    others = [label(16, 16, 8), label(16, 16, 32), label(8, 0, 16), label(0, 8, 16), label(32, 0, 16), label(0, 48, 16)]
    found = by_index([*own.values(), *others], grid)
    assert found == own
    assert unanswered(found, grid).tolist() == [0, 2, 3, 4]
