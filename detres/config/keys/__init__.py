"""What every key of a config is, for people, for editors and for shells: read from the schemas, the one place of it."""
