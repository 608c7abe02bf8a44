"""The paper's tables and figures, each from one command. tables.py is the data; reproducing.py is the way in."""
