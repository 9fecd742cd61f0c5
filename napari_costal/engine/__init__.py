"""The engine process, in which torch runs: calls to it, its messages, and the window's threads."""
