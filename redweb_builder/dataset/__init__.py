"""The data set on disk: written, read, judged as a whole, decided upon."""
