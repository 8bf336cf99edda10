"""Host a ``score.py``: one command on a laptop, the same server in every image.

Importing this package, or any module of it, does nothing: no environment is read, no
handler installed, no file made. ``scorehost.cli`` reads the environment, once.
"""

__version__ = "0.1.0"
