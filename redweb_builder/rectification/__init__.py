"""Before matching: which eye is which, and the right view brought into line."""
