"""A config becomes model, data, optimizer and evaluator, and those become a run."""
