"""The process that talks HTTP and never runs user code."""
