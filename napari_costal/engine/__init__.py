"""The one engine process, the only place where torch runs: calls to it, its messages, and threads of the window."""
