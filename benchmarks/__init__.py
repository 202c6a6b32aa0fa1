"""One command a figure: each module prints a table that the README quotes."""
