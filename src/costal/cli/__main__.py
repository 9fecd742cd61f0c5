"""``python -m costal.cli``."""

from costal.cli import main

if __name__ == "__main__":
    main()
