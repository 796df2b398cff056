"""Runs a command at a terminal of its own and types what it is told to, when it is asked.

Usage: terminal_driver.py '[["expected text", "what to type"], ...]' COMMAND...
Prints what the terminal showed, and exits with the command's status.
"""

import json
import os
import pty
import select
import sys
import time

DEADLINE_SECONDS = 30


def main() -> int:
    dialogue = json.loads(sys.argv[1])
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(sys.argv[2], sys.argv[2:])
    shown = b""
    seen = 0
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        ready, _, _ = select.select([terminal], [], [], 1)
        if ready:
            try:
                chunk = os.read(terminal, 4096)
            except OSError:  # Linux says so when the last process has closed the terminal
                break
            if not chunk:
                break
            shown += chunk
        while dialogue and dialogue[0][0].encode() in shown[seen:]:
            expected, answer = dialogue.pop(0)
            seen = shown.index(expected.encode(), seen) + len(expected)
            os.write(terminal, answer.encode())
    else:
        os.kill(pid, 9)
    sys.stdout.buffer.write(shown)
    sys.stdout.flush()
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


sys.exit(main())
