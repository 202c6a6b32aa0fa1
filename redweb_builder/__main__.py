"""`python -m redweb_builder` is the command `redweb`."""

from __future__ import annotations

from redweb_builder.commands.main import main

if __name__ == "__main__":
    main()
