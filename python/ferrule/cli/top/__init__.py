"""The verb `top`: a pool's plugins as a table that follows them.

`options.py` is loaded to read the command line, `verb.py` to do what it says. `source.py` asks the pool, `rates.py`
makes rows of two answers, `picture.py` draws them, `terminal.py` has the screen and the keys.
"""
