"""The networks: pictures in, relative depth out."""
