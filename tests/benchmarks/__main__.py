"""``python -m tests.benchmarks NAME``, in a checkout with the extras ``test`` and ``bench``."""

from costal.cli import run
from tests.benchmarks.commands import make_app

if __name__ == "__main__":
    run(make_app)
