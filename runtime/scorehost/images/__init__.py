"""Tooling for container images: on the host, with the extra ``images``; never in the server.

``overlay.py`` and ``sbom.py`` also run inside images, each as a script of its own, with the
standard library alone.
"""
