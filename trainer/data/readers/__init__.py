"""The data sets that the trainer reads, a file a layout."""
