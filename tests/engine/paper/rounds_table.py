"""A table of rounds made by hand, as `results.read_rounds` gives one."""

import pandas as pd

ALWAYS = ("data", "arm", "repeat", "round", "labels", "accuracy", "total_cost")
BIASES = ("cost_bias_picked", "cost_bias_pool")


def rounds_table(rows, *more):
    """Return rows of (arm, repeat, round, labels, accuracy, total cost, *more) as a table of MNIST's rounds."""
    return pd.DataFrame([("MNIST", *row) for row in rows], columns=[*ALWAYS, *more])
