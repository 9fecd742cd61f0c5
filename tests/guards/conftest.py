"""What the guards share: the command line, run in this process."""

from tests.engine.conftest import costal as costal
