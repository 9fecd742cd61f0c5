"""The table of formats, file by file, and public reports of other projects: axes, pixel size and channels are right."""

import logging

import pytest

from tests.formats.cases import FORMATS, REPORTS
from tests.formats.table import judged

ALL = [*FORMATS, *REPORTS]


@pytest.mark.parametrize("case", ALL, ids=[f"{case.maker}: {case.what}" for case in ALL])
def test_a_file_is_read_with_its_own_axes_pixel_size_and_channels(case):
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    if case.maker == "ome-writers":
        pytest.importorskip("ome_writers")
    verdict = judged(case)
    assert verdict.is_right, verdict
