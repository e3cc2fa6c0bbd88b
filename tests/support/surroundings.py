"""Surroundings of a run of tests: the same wherever it is started, by a terminal or a script."""

import os
import signal
import sys

OURS = "SWEEPER_"
KEPT = frozenset(
    {"SWEEPER_DATA", "SWEEPER_TEST_DEVICE", "SWEEPER_TEST_MYSQL", "SWEEPER_SOAK_SECONDS"}
)
"""What is said to the tests themselves."""
# Each changes what a program prints, finds, connects to or warns of: the terminal's, Python's, the
# locale's, proxies', and those of libpq and Ray.
PREFIXES = (OURS, "LC_", "PG", "CLICOLOR", "TTY_")
NAMES = frozenset(
    {
        "COLUMNS",
        "FORCE_COLOR",
        "GITHUB_ACTIONS",  # for which Typer prints colors
        "LANG",
        "LANGUAGE",
        "LINES",
        "NO_COLOR",
        "PYTHONDEVMODE",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONINSPECT",
        "PYTHONIOENCODING",
        "PYTHONOPTIMIZE",
        "PYTHONPATH",
        "PYTHONSAFEPATH",
        "PYTHONUNBUFFERED",
        "PYTHONWARNINGS",
        "PY_COLORS",
        "RAY_ADDRESS",
        "TERM",
        "TERMINAL_WIDTH",
    }
)
PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")


def set_usual_surroundings() -> None:
    """Set the environment variables, the umask and the signals of this process and its children.

    What a script starts with `&` ignores Ctrl-C, what nohup starts SIGHUP, and children inherit it.
    """
    for name in list(os.environ):
        known = name in NAMES or name.startswith(PREFIXES) or name.lower() in PROXIES
        if known and name not in KEPT:
            del os.environ[name]
    os.environ["LC_ALL"] = "C.UTF-8"
    # On a busy machine any command takes so long that it says what it does.
    os.environ["SWEEPER_PROGRESS"] = "0"
    # Tests run side by side, and OpenMP's threads wait for each other in a loop: with two in each
    # process, trainings of tests took 84 s of the CPUs and 131 on the clock, with one 50 and 38.
    os.environ["OMP_NUM_THREADS"] = "1"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    # Hundreds of programs are started, and each would compile the sources of what it imports again:
    # of a worker's start with PyTorch 3.1 s of a CPU in place of 1.7, of a collection 25 and 11.
    sys.dont_write_bytecode = False
    os.umask(0o022)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGCHLD):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) in {signal.SIG_IGN, signal.SIG_DFL}:
        signal.signal(signal.SIGINT, signal.default_int_handler)
