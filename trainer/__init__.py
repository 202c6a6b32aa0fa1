"""Train relative-depth networks on what the builder makes, and on the field's data sets."""
