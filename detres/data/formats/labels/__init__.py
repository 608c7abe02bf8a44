"""What annotation tools write: one reader a tool, all of them through the same door (drawn.py)."""
