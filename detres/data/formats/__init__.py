"""One file or room for each format that data sets are written in."""
