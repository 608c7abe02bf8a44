"""What the runs of every task are made of."""
