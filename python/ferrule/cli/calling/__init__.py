"""The verb `call`: any method of any plugin, with JSON in and out.

`options.py` is loaded to read the command line, the other modules to do what it says.
"""
