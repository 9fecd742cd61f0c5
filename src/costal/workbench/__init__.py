"""One project at work: frames in, queries out, answers stored. Here frames, agent and labels meet."""
