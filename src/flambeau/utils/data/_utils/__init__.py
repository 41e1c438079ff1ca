"""The parts of the loader: collating, workers and how batches travel between them."""
