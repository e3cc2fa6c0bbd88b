"""Images of figures, drawn by kaleido in a headless Chromium."""

from pathlib import Path
from typing import Any

from sweeper.atomic_write import atomic_write
from sweeper.errors import InputError, SweeperError, choices, first_line

FORMATS = ("jpeg", "jpg", "pdf", "png", "svg", "webp")
INSTALL = "install Chrome or Chromium, or run kaleido_get_chrome"


def save_figure(
    figure: Any, path: str | Path, *, width: int = 960, height: int = 600, scale: float = 2
) -> Path:
    """Write a figure in the format that the path ends in; `scale` is for bitmaps.

    Raises InputError for another ending or without a Chromium, SweeperError if it fails.
    """
    path = Path(path)
    format_ = path.suffix.lstrip(".").lower()
    if format_ not in FORMATS:
        raise InputError(f"{path}: not a kind of image: {choices(format_, FORMATS)}")
    image = _render(figure, {"format": format_, "width": width, "height": height, "scale": scale})
    return atomic_write(path, image)


def _render(figure: Any, options: dict[str, Any]) -> bytes:
    try:
        import kaleido
        from kaleido.errors import ChromeNotFoundError
    except ImportError as error:
        raise InputError("images need kaleido: pip install 'sweeper[figures]'") from error
    try:
        # MathJax would be fetched from the network, and no text of ours needs it. kaleido starts
        # the browser without its sandbox, so that it works as root and in containers too; what it
        # opens is our own page alone.
        image = kaleido.calc_fig_sync(
            figure.to_plotly_json(), opts=options, kopts={"mathjax": False, "timeout": 60}
        )
    except ChromeNotFoundError as error:
        raise InputError(f"images need a browser: {INSTALL}") from error
    except Exception as error:  # a browser, its pipe and its page fail in many ways
        reason = first_line(error)
        raise SweeperError(f"the browser could not draw the figure: {reason}") from error
    return bytes(image)
