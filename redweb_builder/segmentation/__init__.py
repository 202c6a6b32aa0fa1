"""Sky and far field of a photograph."""
