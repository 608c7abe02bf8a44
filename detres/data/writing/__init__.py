"""A set of boxes in another form: its pictures under names that every form takes, its annotations by the format."""
