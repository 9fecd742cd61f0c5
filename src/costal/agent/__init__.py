"""What decides: networks, committee, acquisition functions, cost model, value and selection.

Works on arrays and tensors; knows no file and no database. `value`, `selection`, `features` and `metrics` need no
torch.
"""
