"""The training loop and what a run keeps: optimizers, schedules, averages, interruptions."""
