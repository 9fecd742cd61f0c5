import pytest

from costal.errors import ProjectError
from costal.labels.exchange.splits import checked_share, split_notes, splits_of

HASHES = [f"{number:064x}" for number in range(2000)]


def test_about_the_share_asked_for_is_for_validation():
    found = list(splits_of(HASHES, 0, 0.2).values())
    assert 0.17 < found.count("validation") / len(found) < 0.23


def test_a_frame_stays_where_it_is_when_others_come():
    few, many = splits_of(HASHES[:50], 3, 0.3), splits_of(HASHES, 3, 0.3)
    assert few == {each: many[each] for each in few}


def test_another_seed_gives_another_split():
    assert splits_of(HASHES, 0, 0.5) != splits_of(HASHES, 1, 0.5)


def test_a_larger_share_only_adds_to_validation():
    small, large = splits_of(HASHES, 0, 0.2), splits_of(HASHES, 0, 0.4)
    assert all(large[each] == "validation" for each in HASHES if small[each] == "validation")


def test_without_a_share_all_is_for_training():
    assert set(splits_of(HASHES, 0, 0.0).values()) == {"train"}


@pytest.mark.parametrize("content_hash", HASHES[:20])
def test_one_frame_alone_is_for_training_and_that_is_said(content_hash):
    found = splits_of([content_hash], 0, 0.99)
    assert found == {content_hash: "train"}
    assert "only one frame" in split_notes(found, 0.99)[0]


def test_a_side_that_got_no_frame_is_said():
    assert split_notes({"a": "train", "b": "train"}, 0.1) == (
        "By chance, none of the 2 frames was drawn for validation. Label more frames.",
    )
    assert split_notes({"a": "train", "b": "validation"}, 0.1) == ()
    assert split_notes({"a": "train", "b": "train"}, 0.0) == ()


@pytest.mark.parametrize("share", [-0.1, 1.0, 1.5, float("nan")])
def test_a_share_that_cannot_be_is_refused(share):
    with pytest.raises(ProjectError, match="validation share"):
        checked_share(share)
