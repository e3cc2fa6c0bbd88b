"""Login page of the dashboard: a form for the token, or a button to log out."""

from functools import cache
from http import HTTPStatus

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from sweeper.dashboard.server.responses import Header, Response


def login(status: HTTPStatus, destination: str, problem: str = "", *headers: Header) -> Response:
    """Return the form that asks for the token, then goes on to `destination`."""
    page = _template().render(logged_in=False, destination=destination, problem=problem)
    return Response(status, page, "text/html", headers)


def logged_in() -> Response:
    """Return the page for who has a session, with a button to log out."""
    return Response(HTTPStatus.OK, _template().render(logged_in=True), "text/html")


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True,
        loader=PackageLoader("sweeper.dashboard.server", "."),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template("login_page.html")
