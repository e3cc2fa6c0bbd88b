"""`python -m sweeper` is the `sweeper` command."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[
            0
        ]  # the current folder, by -m before all else: see config.registry.import_folder

    from sweeper.cli import main

    main()
