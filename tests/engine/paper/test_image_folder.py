import numpy as np
import pytest
from PIL import Image

from costal.errors import DatasetError
from costal.paper.datasets import load_dataset
from costal.paper.sources import initial_indices, pool_indices

CLASSES = ("fibres", "rings")


def grey(file):
    """Return a grey value of its own for each file, so that a crop tells where it came from."""
    return 20 * (1 + FILES.index(file))


FILES = [f"{name}/cell {number}.png" for name in CLASSES for number in range(4)]


def save(folder, file, shape=(12, 12), value=None):
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full(shape, grey(file) if value is None else value, np.uint8)
    pixels[0, 0] = 0
    Image.fromarray(pixels).save(path)


def write_costs(folder, lines=None, head="file,cost"):
    lines = [f"{file},{index + 0.5}" for index, file in enumerate(FILES)] if lines is None else lines
    (folder / "costs.csv").write_text("\n".join((head, *lines)) + "\n", "utf-8")


@pytest.fixture
def folder(tmp_path):
    """Return a folder with four images of each of two classes, and costs of 0.5 to 7.5."""
    tmp_path = tmp_path / "cells"
    for file in FILES:
        save(tmp_path, file)
    write_costs(tmp_path)
    return tmp_path


def test_classes_are_the_folders_and_costs_are_those_of_the_file(folder):
    dataset = load_dataset(str(folder))
    assert (dataset.name, dataset.class_names, dataset.crop_shape) == ("cells", CLASSES, (1, 12, 12))
    rows = np.arange(dataset.train_size)
    crops, classes = dataset.take(rows)
    assert crops.dtype == np.float32
    assert dataset.classes(rows).tolist() == classes.tolist()
    # brighter files come later in FILES, so the order by brightness is that of the costs
    by_brightness = np.argsort(crops.mean(axis=(1, 2, 3)))
    costs = dataset.effort(rows, 0, 0)[by_brightness]
    assert costs.tolist() == sorted(costs.tolist())
    assert [int(cost > 4) for cost in dataset.effort(rows, 3, 99)] == classes.tolist()


def test_a_quarter_of_each_class_is_for_tests_and_said_so(folder):
    dataset = load_dataset(str(folder))
    test_crops, test_classes = dataset.test()
    assert (dataset.train_size, test_classes.tolist()) == (6, [0, 1])
    assert dataset.notes == ("2 of 8 crops, a quarter of each class, are kept for tests.",)
    shades = [float(crop.mean()) for crop in (*test_crops, *dataset.take(np.arange(6))[0])]
    assert len(set(shades)) == 8


def test_the_start_and_a_pool_fit_into_what_is_left(folder):
    dataset = load_dataset(str(folder))
    start, pool = initial_indices(dataset, 0, 0), pool_indices(dataset, 0, 0, 1, 2)
    assert sorted((*start.tolist(), *pool.tolist())) == list(range(6))


def test_one_intensity_range_serves_all_images_so_that_brighter_ones_stay_brighter(folder):
    dataset = load_dataset(str(folder))
    fills = [float(crop.max()) for crop in (*dataset.take(np.arange(6))[0], *dataset.test()[0])]
    # greys of 20 to 160 fill the images: the first is the lowest percentile, the last the highest
    assert sorted(fills) == pytest.approx([step / 7 for step in range(8)], abs=1e-5)


def test_colour_images_have_three_channels(folder):
    for file in FILES:
        save(folder, file, (12, 12, 3))
    assert load_dataset(str(folder)).crop_shape == (3, 12, 12)


def test_costs_may_come_from_a_spreadsheet(folder):
    lines = [f'"{file}";x;{1}'.replace("/", "\\").replace(";", ",") for file in FILES]
    (folder / "costs.csv").write_bytes(("\ufefffile,note,cost\r\n" + "\r\n".join(lines)).encode("utf-8"))
    assert load_dataset(str(folder)).effort(np.arange(6), 0, 0).tolist() == [1.0] * 6


def test_hidden_files_and_images_outside_the_class_folders_are_passed_over(folder):
    (folder / "fibres" / ".DS_Store").write_bytes(b"x")
    (folder / "readme.txt").write_text("x")
    save(folder, "overview.png", (40, 30), 1)
    assert load_dataset(str(folder)).train_size == 6


@pytest.mark.parametrize("change", ["pixels", "cost"])
def test_another_pixel_or_cost_is_another_fingerprint(folder, change):
    before = load_dataset(str(folder)).fingerprint
    assert load_dataset(str(folder)).fingerprint == before
    if change == "pixels":
        save(folder, FILES[0], value=199)
    else:
        write_costs(folder, [f"{file},1" for file in FILES])
    assert load_dataset(str(folder)).fingerprint != before


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("rings/cell 0.png,3", r"line 10: rings/cell 0\.png has a cost already, in line 6\. Remove"),
        ("rings/cell 9.png,3", r"line 10: there is no image rings/cell 9\.png in a class folder\. Correct"),
        ("overview.png,3", r"line 10: there is no image overview\.png"),
        (",", r"line 10: the cost of  is ''"),
        ("rings/cell 9.png,1_6", r"line 10: the cost of rings/cell 9\.png is '1_6'"),
    ],
    ids=["duplicate", "no such image", "not in a class folder", "empty", "no plain digits"],
)
def test_a_line_that_cannot_be_is_refused_with_its_number(folder, line, message):
    write_costs(folder, [*(f"{file},1" for file in FILES), line])
    with pytest.raises(DatasetError, match=message):
        load_dataset(str(folder))


@pytest.mark.parametrize("cost", ["-1", "nan", "inf", "dear", ""])
def test_a_cost_that_is_none_is_refused(folder, cost):
    write_costs(folder, [f"{FILES[0]},{cost}", *(f"{file},1" for file in FILES[1:])])
    with pytest.raises(DatasetError, match=rf"line 2: the cost of fibres/cell 0\.png is '{cost}'\. Give a number"):
        load_dataset(str(folder))


def test_an_image_without_a_cost_is_named_with_the_number_of_others(folder):
    write_costs(folder, [f"{file},1" for file in FILES[:5]])
    with pytest.raises(DatasetError, match=r"has no line for rings/cell 1\.png and 2 more"):
        load_dataset(str(folder))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"path,price\nfibres/cell 0.png,1\n", "has the columns path, price. It needs file and cost"),
        (b"", "has the columns none"),
        (b"file,cost\nfibres/\xff.png,1\n", "cannot be read"),
    ],
    ids=["other columns", "empty", "not UTF-8"],
)
def test_a_file_of_costs_that_cannot_be_read_is_refused(folder, content, message):
    (folder / "costs.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        load_dataset(str(folder))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((12, 14), r"cell 3\.png has 12 x 14 px\. Cut all images into squares"),
        ((13, 13), r"cell 3\.png has 13 x 13 px and 1 channel, but fibres/cell 0\.png has 12 x 12 px and 1\."),
        ((12, 12, 3), r"cell 3\.png has 12 x 12 px and 3 channels, but fibres/cell 0\.png has 12 x 12 px and 1\."),
    ],
    ids=["oblong", "larger", "in colour"],
)
def test_an_image_unlike_the_others_is_named(folder, shape, message):
    save(folder, "rings/cell 3.png", shape)
    with pytest.raises(DatasetError, match=message):
        load_dataset(str(folder))


def test_a_class_with_one_image_is_refused_by_name(folder):
    for file in FILES[5:]:
        (folder / file).unlink()
    write_costs(folder, [f"{file},1" for file in FILES[:5]])
    with pytest.raises(DatasetError, match="cells has fewer than 2 crops to draw from in: rings"):
        load_dataset(str(folder))


def test_too_few_images_for_tests_are_refused(folder):
    kept = [file for file in FILES if "3" not in file]
    for file in set(FILES) - set(kept):
        (folder / file).unlink()
    write_costs(folder, [f"{file},1" for file in kept])
    with pytest.raises(DatasetError, match="no class with 4 crops"):
        load_dataset(str(folder))


def test_a_folder_without_images_is_refused(tmp_path):
    write_costs(tmp_path, [])
    with pytest.raises(DatasetError, match="has no folder with TIFF, PNG or JPEG images"):
        load_dataset(str(tmp_path))


def write_frames(folder, frames):
    lines = [f"{file},1,{frame}" for file, frame in zip(FILES, frames, strict=True)]
    write_costs(folder, lines, "file,cost,frame")


def test_frames_of_the_file_part_tests_from_the_rest(folder):
    write_frames(folder, [0, 1, 2, 3, 0, 1, 2, 3])
    dataset = load_dataset(str(folder))
    assert dataset.train_size == 6
    assert len({tuple(dataset.of(repeat).test()[0].mean((1, 2, 3))) for repeat in range(12)}) == 4  # each of the frames


@pytest.mark.parametrize("frame", ["", "-1"])
def test_a_frame_that_is_none_is_named_with_its_line(folder, frame):
    write_frames(folder, [0, 1, frame, 3, 0, 1, 2, 3])
    with pytest.raises(DatasetError, match=f"line 4: the frame of fibres/cell 2.png is '{frame}'"):
        load_dataset(str(folder))


def test_labels_of_a_file_take_the_place_of_the_folders(folder, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text("file,size\n" + "".join(f"{file},{number % 2 * 12}\n" for number, file in enumerate(FILES)))
    dataset = load_dataset(str(folder), str(labels), (1, 10))
    assert dataset.class_names == ("0", "10 or more")
    assert dataset.train_size == 6


def test_labels_of_a_file_go_with_a_folder_of_images_alone(tmp_path):
    with pytest.raises(DatasetError, match="'synthetic' has its own classes"):
        load_dataset("synthetic", str(tmp_path / "labels.csv"))
