"""``python -m crosscheck`` is the command ``crosscheck``."""

import signal

# Until a command hears Ctrl-C, it ends the process at once: an exception in a module that is loaded would be a traceback.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from crosscheck._cli.main import main

if __name__ == "__main__":
    main()
