"""The review page: a local server, the pictures it makes on demand, and the page itself."""
