"""A file a form: what it is recognised by, and how it is read."""
