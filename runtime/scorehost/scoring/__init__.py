"""The core: one request, without sockets, Flask, environment or globals."""
