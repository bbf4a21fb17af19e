"""The matrix of the whole ring: how it begins, how it ends by itself, and who is passed over."""
