"""Data sets of every layout as one kind of sample, and batches drawn from them."""
