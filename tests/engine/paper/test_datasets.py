import numpy as np
import pytest

from costal.errors import DatasetError
from costal.paper import datasets
from costal.paper.datasets import (
    MNIST_FILES,
    Dataset,
    download_mnist,
    find_mnist,
    initial_indices,
    load_dataset,
    load_mnist,
    missing_files,
    pool_indices,
    synthetic_dataset,
)


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
    images, classes = dataset.take(np.array([0, 1, 59_999]))
    assert (dataset.name, dataset.train_size) == ("MNIST", 60_000)
    assert (images.shape, images.dtype, classes.tolist()) == ((3, 28, 28), np.uint8, [5, 0, 8])
    test_images, test_classes = dataset.test()
    assert (len(test_images), test_classes[:4].tolist()) == (10_000, [7, 2, 1, 0])


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
    with pytest.raises(DatasetError, match="'cifar' is no data set and no folder"):
        load_dataset("cifar")


def test_a_folder_without_mnist_is_refused_not_replaced(nowhere):
    with pytest.raises(DatasetError, match="was not found"):
        load_dataset(str(nowhere))


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
    asked = []

    def render(seed, indices):
        asked.append(np.asarray(indices))
        return np.zeros((len(indices), 28, 28), np.uint8), np.zeros(len(indices), np.int64)

    monkeypatch.setattr(datasets, "render", render)
    dataset = synthetic_dataset()
    dataset.take(np.arange(dataset.train_size))
    dataset.test()
    drawn, tested = asked
    assert (len(drawn), len(tested)) == (60_000, 2_000)
    assert not np.isin(tested, drawn).any()


# pools


def test_the_start_has_two_images_of_each_class(small_digits):
    indices = initial_indices(small_digits, 0, 0)
    assert len(set(indices.tolist())) == 20
    assert np.bincount(small_digits.take(indices)[1]).tolist() == [2] * 10


def test_pools_share_no_image_with_each_other_or_the_start(small_digits):
    pools = [pool_indices(small_digits, 0, 0, number, 95) for number in range(1, 5)]
    everything = np.concatenate([initial_indices(small_digits, 0, 0), *pools])
    assert len(set(everything.tolist())) == len(everything) == 20 + 4 * 95
    assert [len(pool) for pool in pools] == [95] * 4


def test_repeats_and_seeds_draw_other_images(small_digits):
    drawn = {tuple(pool_indices(small_digits, seed, repeat, 1, 50)) for seed in (0, 1) for repeat in (0, 1)}
    assert len(drawn) == 4
    starts = {tuple(initial_indices(small_digits, seed, repeat)) for seed in (0, 1) for repeat in (0, 1)}
    assert len(starts) == 4


def test_too_large_pools_are_refused_with_the_arithmetic():
    dataset = Dataset("MNIST", 60_000, lambda rows: (rows, rows), lambda: None)
    with pytest.raises(
        DatasetError, match=r"98 disjoint pools of 1000 images and 20 at the start need 98,020; MNIST has 60,000.* 612"
    ):
        pool_indices(dataset, 0, 0, 98, 1000)


def test_the_most_that_the_refusal_names_does_fit(small_digits):
    with pytest.raises(DatasetError, match="at most 126"):
        pool_indices(small_digits, 0, 0, 3, 127)
    assert len(pool_indices(small_digits, 0, 0, 3, 126)) == 126
