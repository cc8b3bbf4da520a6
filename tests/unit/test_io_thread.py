"""The start of the thread for input and output, which the first use in a process causes."""

from __future__ import annotations

import subprocess
import sys

from waiting import LIMIT

# Two threads ask for the I/O thread where the system has no descriptors left for it. The second does so while the first
# makes its exception, which is work for the interpreter.
REFUSED = """
import os, resource, threading
from ferrule import _core, errors

def ask():
    try:
        _core.provoke_panic("never reached", mailbox, object())
    except errors.LaunchError as error:
        print(error.code)

def make_error(*details):
    if threading.current_thread() is threading.main_thread():
        other = threading.Thread(target=ask)
        other.start()
        other.join()
    return made(*details)

made, errors.error_from_core = errors.error_from_core, make_error
mailbox = _core.Mailbox()
free = os.open("/dev/null", os.O_RDONLY)
os.close(free)
resource.setrlimit(resource.RLIMIT_NOFILE, (free, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
ask()
"""


def test_threads_that_are_refused_the_io_thread_do_not_wait_for_each_other() -> None:
    output = subprocess.check_output([sys.executable, "-c", REFUSED], text=True, timeout=LIMIT)
    assert output.split() == ["launch.failed", "launch.failed"]


# The future belongs to a caller that has been told already: an error in it would be one that nobody retrieves.
LEFT = """
import os, resource
from ferrule import _core, errors

class Future:
    def done(self):
        return False
    def set_exception(self, error):
        print("told again:", error)

mailbox = _core.Mailbox()
free = os.open("/dev/null", os.O_RDONLY)
os.close(free)
resource.setrlimit(resource.RLIMIT_NOFILE, (free, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
try:
    _core.provoke_panic("never reached", mailbox, Future())
except errors.LaunchError as error:
    print(error.code)
mailbox.drain()
print(len(mailbox))
"""


def test_future_of_what_could_not_begin_is_forgotten() -> None:
    output = subprocess.check_output([sys.executable, "-c", LEFT], text=True, timeout=LIMIT)
    assert output.splitlines() == ["launch.failed", "0"]
