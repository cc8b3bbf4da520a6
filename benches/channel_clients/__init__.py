"""The clients under measurement: one module each, run as a process of its own.

Every module reads orders on standard input, one JSON object a line (`channel_clients.point.Order`), carries each out
over a channel of its own and answers with one JSON object a line: a `channel_clients.point.Sample`, or
`{"error": ...}`, after which it ends. Between orders it does nothing, so several clients can take turns.
"""
