"""The dock *Label crops*: a project, a frame of it, its query, and the frames that arrive."""
