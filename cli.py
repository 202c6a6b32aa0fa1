"""`python cli.py COMMAND`: the command `redweb` from a checkout, without installing it.

The commands are in redweb_builder/commands (build and look after a data set) and in trainer/commands (train, evaluate
and export networks).
"""

from __future__ import annotations

from redweb_builder.commands.main import main as main

if __name__ == "__main__":
    main()
