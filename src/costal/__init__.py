"""The engine of napari-costal: cost-sensitive active learning without a screen.

Importing this package loads neither torch nor Qt; the rooms that need torch import it where they use it.
"""

__version__ = "0.1.0"
