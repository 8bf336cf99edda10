"""``python -m scorehost`` is the ``scorehost`` command."""

import sys

if __name__ == "__main__":
    # `python -m` puts the working directory first: a user's json.py would take the place of
    # Python's. The command itself never has it there, nor do the scoring processes.
    if not getattr(sys.flags, "safe_path", False):
        del sys.path[0]

    from scorehost.cli import main

    main()
