"""What the expert gives, kept: project folder, store, effort machine and model files. Never imports torch."""
