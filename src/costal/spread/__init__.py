"""Work spread over processes and machines: the one room that knows dask."""
