"""What every benchmark here shares: start a server, load it, watch it, write it down.

Only the standard library, so that measuring needs nothing that serving does not.
"""
