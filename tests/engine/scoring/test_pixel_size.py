import pytest

from costal.scoring.pixel_size import distinct, scaling


def test_pixel_sizes_within_a_hundredth_are_one():
    assert distinct((0.1, 0.1005, 0.25, 0.0991)) == (0.1, 0.25)


@pytest.mark.parametrize(
    ("pixel_um", "learned", "resample", "zoom", "says"),
    [
        pytest.param(0.1, (0.1,), True, 1, "", id="fits"),
        pytest.param(0.5, (0.1,), False, 1, "To resample it to 0.1 µm", id="warned of"),
        pytest.param(0.5, (0.1,), True, 5, "Resampled from 0.5 to 0.1 µm per pixel. A finer", id="larger pixels"),
        pytest.param(0.05, (0.1, 0.2), True, 0.5, "Resampled from 0.05 to 0.1 µm per pixel.", id="smaller pixels"),
        pytest.param(None, (0.1,), True, 1, "The frame's pixel size is not known", id="frame unknown"),
        pytest.param(0.5, (), True, 1, "nothing was resampled", id="labels unknown"),
        pytest.param(None, (), False, 1, "", id="nothing known"),
    ],
)
def test_a_frame_is_scaled_to_the_size_of_most_labels_where_that_is_wanted_and_known(
    pixel_um, learned, resample, zoom, says
):
    found, note = scaling(pixel_um, learned, resample)
    assert found == pytest.approx(zoom)
    assert (says in note) if says else note == ""
