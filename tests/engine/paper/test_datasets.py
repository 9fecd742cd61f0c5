import numpy as np
import pytest

from costal.errors import DatasetError
from costal.paper import datasets, digits
from costal.paper.datasets import (
    MNIST_FILES,
    download_mnist,
    find_mnist,
    load_dataset,
    load_mnist,
    missing_files,
    synthetic_dataset,
)
from costal.paper.digits import perimeter


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """Return an empty folder, on a machine where MNIST is nowhere else either."""
    monkeypatch.delenv("COSTAL_DATA", raising=False)
    monkeypatch.setattr(datasets, "user_cache", lambda: tmp_path / "cache")
    return tmp_path


def fake_mnist(root):
    """Write files of the right names and lengths, sparse."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, length in MNIST_FILES.items():
        with (raw / name).open("wb") as file:
            file.truncate(length)
    return root


def test_mnist_has_60000_digits_to_draw_from_and_10000_for_tests(costal_data):
    dataset = load_mnist(costal_data)
    crops, classes = dataset.take(np.array([0, 1, 59_999]))
    assert (dataset.name, dataset.train_size, dataset.crop_shape) == ("MNIST", 60_000, (1, 28, 28))
    assert (crops.shape, crops.dtype, classes.tolist()) == ((3, 1, 28, 28), np.float32, [5, 0, 8])
    assert (crops.min(), crops.max()) == (0, 1)
    test_crops, test_classes = dataset.test()
    assert (test_crops.shape, test_classes[:4].tolist()) == ((10_000, 1, 28, 28), [7, 2, 1, 0])


def test_the_effort_of_a_digit_is_its_perimeter_whoever_answers_and_when(costal_data):
    dataset = load_mnist(costal_data)
    rows = np.array([3, 14, 15])
    efforts = dataset.effort(rows, 0, 0)
    assert efforts.tolist() == pytest.approx([perimeter(crop) for crop in dataset.take(rows)[0][:, 0]])
    assert dataset.effort(rows, 7, np.array([1, 2, 3])).tolist() == efforts.tolist()


def test_a_byte_more_in_the_files_is_another_fingerprint(nowhere):
    fake_mnist(nowhere)
    before = load_mnist(nowhere).fingerprint
    labels = nowhere / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1] + b"\x01")
    assert len(before) == 32
    assert load_mnist(nowhere).fingerprint != before


def test_synthetic_digits_of_other_seeds_have_other_fingerprints():
    assert synthetic_dataset(0).fingerprint == synthetic_dataset(0).fingerprint != synthetic_dataset(1).fingerprint


@pytest.mark.parametrize("load", [synthetic_dataset, load_mnist], ids=["synthetic", "mnist"])
def test_classes_without_crops_are_those_that_come_with_them(load, costal_data):
    dataset = load()
    rows = np.array([500, 3, 3, 59_999])
    assert dataset.classes(rows).tolist() == dataset.take(rows)[1].tolist()


def test_missing_mnist_is_an_error_that_names_the_place_and_the_four_files(nowhere):
    for load in (load_mnist, lambda: load_dataset("mnist")):
        with pytest.raises(DatasetError) as refusal:
            load()
        assert str(nowhere / "cache" / "MNIST" / "raw") in str(refusal.value)
        assert all(name in str(refusal.value) for name in MNIST_FILES)


def test_mnist_cut_short_is_missing_and_named(nowhere):
    fake_mnist(nowhere)
    (nowhere / "MNIST" / "raw" / "train-labels-idx1-ubyte").write_bytes(b"short")
    assert missing_files(nowhere) == ["train-labels-idx1-ubyte"]
    with pytest.raises(DatasetError, match="Missing or of the wrong length there: train-labels-idx1-ubyte"):
        load_mnist(nowhere)


def test_mnist_is_looked_for_in_the_folder_then_the_environment_then_the_cache(nowhere, monkeypatch):
    assert find_mnist(nowhere / "given") is None
    fake_mnist(nowhere / "cache")
    assert find_mnist(nowhere / "given") == nowhere / "cache"
    fake_mnist(nowhere / "environment")
    monkeypatch.setenv("COSTAL_DATA", str(nowhere / "environment"))
    assert find_mnist(nowhere / "given") == nowhere / "environment"
    fake_mnist(nowhere / "given")
    assert find_mnist(nowhere / "given") == nowhere / "given"


def test_auto_takes_synthetic_digits_under_their_own_name_where_mnist_is_missing(nowhere):
    assert load_dataset("auto").name == "synthetic digits"


def test_auto_takes_mnist_where_it_is(costal_data, monkeypatch):
    monkeypatch.setenv("COSTAL_DATA", str(costal_data))
    assert load_dataset("auto").name == "MNIST"


def test_a_choice_that_is_nothing_is_refused(nowhere):
    with pytest.raises(DatasetError, match="'cifar' is neither a data set nor a folder"):
        load_dataset("cifar")


def test_a_folder_with_none_of_them_is_refused_with_what_was_looked_for(nowhere):
    with pytest.raises(DatasetError, match=r"Give a folder with MNIST/raw.*project\.toml.*costs\.csv"):
        load_dataset(str(nowhere))


def test_mnist_cut_short_in_a_folder_is_not_replaced_by_one_elsewhere(nowhere, monkeypatch):
    fake_mnist(nowhere / "whole")
    monkeypatch.setenv("COSTAL_DATA", str(nowhere / "whole"))
    fake_mnist(nowhere / "cut")
    (nowhere / "cut" / "MNIST" / "raw" / "train-images-idx3-ubyte").unlink()
    assert load_dataset(str(nowhere / "whole")).name == "MNIST"
    with pytest.raises(DatasetError, match="Missing or of the wrong length there: train-images-idx3-ubyte"):
        load_dataset(str(nowhere / "cut"))


@pytest.mark.parametrize("error", [RuntimeError("no route"), OSError("disk full")])
def test_a_failed_download_names_the_place_and_the_four_files(nowhere, monkeypatch, error):
    def fail(root, download):
        raise error

    monkeypatch.setattr("torchvision.datasets.MNIST", fail)
    with pytest.raises(DatasetError, match=f"could not be downloaded: {error}") as refusal:
        download_mnist(nowhere / "there")
    assert str(nowhere / "there" / "MNIST" / "raw") in str(refusal.value)
    assert all(name in str(refusal.value) for name in MNIST_FILES)


def test_synthetic_test_digits_are_not_among_those_to_draw_from(monkeypatch):
    queries = []

    def render(seed, indices):
        queries.append(np.asarray(indices))
        return np.zeros((len(indices), 28, 28), np.uint8), np.zeros(len(indices), np.int64)

    dataset = synthetic_dataset()
    monkeypatch.setattr(digits, "render", render)
    dataset.take(np.arange(dataset.train_size))
    dataset.test()
    drawn, tested = queries
    assert (len(drawn), len(tested)) == (60_000, 2_000)
    assert not np.isin(tested, drawn).any()
