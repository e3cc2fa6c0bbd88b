"""Images of pictures: SVG as it is, others drawn from it by a headless Chromium."""

import asyncio
import base64
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sweeper.atomic_write import atomic_write
from sweeper.errors import InputError, SweeperError, choices, first_line
from sweeper.plots.picture_size import UNITS, PictureSize

FORMATS: Mapping[str, str] = {
    "jpeg": "jpeg",
    "jpg": "jpeg",
    "pdf": "pdf",
    "png": "png",
    "svg": "svg",
    "webp": "webp",
}
"""Kinds of image by the ending of a file."""
INSTALL = "install Chrome or Chromium, or run choreo_get_chrome"
_SECONDS = 60


def image_format(path: Path) -> str:
    """Return the kind of image that a path ends in. Raises InputError for another ending."""
    ending = path.suffix.lstrip(".").lower()
    if ending not in FORMATS:
        raise InputError(f"{path}: not a kind of image: {choices(ending, FORMATS)}")
    return FORMATS[ending]


def save_image(svg: str, size: PictureSize, path: str | Path, *, dots: float | None = None) -> Path:
    """Write a picture in the kind that the path ends in, and return the path.

    A bitmap has so many `dots` for each pixel of the SVG, as its size says unless told otherwise.

    Only SVG needs no browser. A PDF is one page of exactly the size, with lines and fonts. Raises
    InputError for another ending or without a Chromium, SweeperError if it fails.
    """
    path = Path(path)
    kind = image_format(path)
    return atomic_write(
        path, svg.encode() if kind == "svg" else _rendered(svg, size, kind, dots or size.dots)
    )


def _rendered(svg: str, size: PictureSize, kind: str, dots: float) -> bytes:
    try:
        import choreographer
        from choreographer.errors import ChromeNotFoundError
    except ImportError as error:
        raise InputError(
            "images other than SVG need a browser: pip install 'sweeper[figures]', or in a "
            "checkout pip install -e '.[figures]'"
        ) from error
    try:
        # In a thread: a notebook has a loop of its own that runs already.
        with ThreadPoolExecutor(1) as thread:
            drawing = _drawn(choreographer.Browser, svg, size, kind, dots)
            return thread.submit(asyncio.run, asyncio.wait_for(drawing, _SECONDS)).result()
    except ChromeNotFoundError as error:
        raise InputError(f"images other than SVG need a browser: {INSTALL}") from error
    except Exception as error:  # a browser, its pipe and its page fail in many ways
        reason = first_line(error)
        raise SweeperError(f"the browser could not draw the picture: {reason}") from error


async def _drawn(browser_class: Any, svg: str, size: PictureSize, kind: str, dots: float) -> bytes:
    # Without its sandbox, so that it works as root and in containers too; what it opens is our own
    # picture alone.
    page = f"<!doctype html><style>*{{margin:0}}svg{{display:block}}</style>{svg}"
    width, height = size.pixels
    async with browser_class(headless=True, enable_sandbox=False) as browser:
        tab = await browser.create_tab("about:blank")
        frame = (await tab.send_command("Page.getFrameTree"))["result"]["frameTree"]["frame"]["id"]
        content = {"frameId": frame, "html": page}
        await tab.send_command("Page.setDocumentContent", params=content)
        if kind == "pdf":
            inches = {"paperWidth": width / UNITS["in"], "paperHeight": height / UNITS["in"]}
            margins = dict.fromkeys(("marginTop", "marginBottom", "marginLeft", "marginRight"), 0)
            options = {**inches, **margins, "printBackground": True, "pageRanges": "1"}
            answer = await tab.send_command("Page.printToPDF", params=options)
        else:
            clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": dots}
            options = {"format": kind, "clip": clip, "captureBeyondViewport": True}
            answer = await tab.send_command("Page.captureScreenshot", params=options)
    if "result" not in answer:
        raise SweeperError(str(answer.get("error", answer)))
    image = base64.b64decode(answer["result"]["data"])
    return _cut_to(image, size) if kind == "pdf" else image


def _cut_to(pdf: bytes, size: PictureSize) -> bytes:
    """Return a PDF whose page is of exactly the size: Chromium takes up to half a point more.

    The picture stands in the upper left corner. No byte is moved, since a PDF counts them.
    """
    match = re.search(rb"/MediaBox \[0 0 [0-9.]+ ([0-9.]+)\]", pdf)
    if match is None:
        return pdf
    width, height = (side * 72 / UNITS["in"] for side in size.pixels)
    top = float(match[1])
    sides = (f"{side:.2f}".rstrip("0").strip(".") for side in (top - height, width, top))
    box = f"/MediaBox [0 {' '.join(side.removeprefix('0') or '0' for side in sides)}]".encode()
    return pdf.replace(match[0], box.ljust(len(match[0])), 1) if len(box) <= len(match[0]) else pdf
