"""What decides: networks, committee, acquisition functions, cost model, value and selection.

Works on arrays and tensors; knows no database, and no file but the weights of backbones. `value`, `selection`,
`features` and `metrics` need no torch.
"""
