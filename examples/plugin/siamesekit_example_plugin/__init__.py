"""A head, a loss and an index for siamesekit, each in the file named after it."""
