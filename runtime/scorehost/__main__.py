"""``python -m scorehost`` is the ``scorehost`` command."""

from scorehost.cli import main

if __name__ == "__main__":
    main()
