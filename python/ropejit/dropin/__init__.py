"""Functions of other libraries, with their signatures and their results, by ropejit's kernels."""
