"""The verb `bench`: how fast a plugin starts and answers on this machine, alone and among many of its kind.

`options.py` is loaded to read the command line, `verb.py` to do what it says. Each of `starts.py`, `leases.py`,
`calls.py` and `memory.py` measures one thing, as plain values; `report.py` shows them.
"""
