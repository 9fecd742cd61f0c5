"""What all tests share: the data outside the repository, and the reason where it is absent."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A shared machine stalls now and then: how long one example took says nothing about the code.
settings.register_profile("costal", deadline=None)
settings.load_profile("costal")


@pytest.fixture(scope="session")
def costal_data() -> Path:
    """Return the folder of ``$COSTAL_DATA``; without it the test is skipped, and fails under CI."""
    named = os.environ.get("COSTAL_DATA", "")
    if named and Path(named).is_dir():
        return Path(named)
    reason = f"COSTAL_DATA ({named or 'not set'}) is no folder: set it to the folder that holds MNIST/raw."
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
