"""What production does without: debugger, reload, structured errors, recording.

Nothing here is imported unless a setting asks for it.
"""
