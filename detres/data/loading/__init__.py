"""Images loaded by workers: samplers, the pool of workers, the memory that batches travel in."""
