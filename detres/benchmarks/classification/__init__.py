"""Classification against the peers."""
