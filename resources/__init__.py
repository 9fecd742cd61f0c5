"""What ships beside the code: see `importlib.resources`."""
