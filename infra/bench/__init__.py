"""The benchmark: what a cancel costs and how long it takes, beside the server that it replaces."""
