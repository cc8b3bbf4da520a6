"""How every bench tells what it measured: one form of data, one command line, one renderer.

A bench declares itself as a `declaration.Bench` (tables, targets, charts) and fills a `run.Run` with figures. The rest
follows from both: the JSON file, the tables, the verdicts, the charts, and the numbers in the documentation.
"""
