"""One run on a machine with a GPU, eight minutes long: what only a GPU can tell, row by row."""
