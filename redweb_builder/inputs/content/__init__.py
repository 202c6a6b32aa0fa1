"""What a picture's content says of its form: one scene or two, mounts, drawings."""
