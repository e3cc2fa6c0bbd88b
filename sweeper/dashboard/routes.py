"""What can be asked for, as a few words: for counting, for the log, and for trying everything."""

OWN = (
    ("GET", "/healthz"),
    ("GET", "/metrics"),
    ("GET", "/login"),
    ("POST", "/login"),
    ("POST", "/logout"),
)
"""Method and path of every route that neither of the two dashboards answers.

A test tries all of them without the right token, and those that their routers know: a new one that
no router knows belongs here.
"""

OTHER = "other"
_WHOLE = frozenset({"/", "/healthz", "/metrics", "/login", "/logout"})
_BELOW = ("/api/studies", "/api", "/artifacts", "/csv", "/dashboard", "/static", "/sweeps")
CLASSES = frozenset({*_WHOLE, *(f"{start}/*" for start in _BELOW), OTHER})


def route(path: str) -> str:
    """Return the class of a path, one of CLASSES, whatever it is.

    >>> route("/api/studies/12"), route("/dashboard"), route("/sweeps/a/fronts.json"), route("/x")
    ('/api/studies/*', '/dashboard/*', '/sweeps/*', 'other')
    """
    if path in _WHOLE:
        return path
    for start in _BELOW:
        if path == start or path.startswith(f"{start}/"):
            return f"{start}/*"
    return OTHER
