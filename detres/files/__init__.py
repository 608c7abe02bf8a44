"""Files of any kind, read and written so that nothing is lost and nothing runs."""
