"""Sockets and HTTP: bytes become requests, and responses become bytes."""
