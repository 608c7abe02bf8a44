"""Whom a run tells of itself: the protocol of loggers, and a file for each of them."""
