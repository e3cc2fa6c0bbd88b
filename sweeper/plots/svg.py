"""SVG of a view: seen without scripts, before they have run, on paper and in papers."""

from dataclasses import dataclass
from html import escape

from sweeper.plots.palette import BAND_OPACITY
from sweeper.plots.picture_size import PictureSize
from sweeper.plots.published_labels import Box, Label, place_labels
from sweeper.plots.svg_document import svg_document, svg_text
from sweeper.plots.svg_layout import Layout, page_layout, sized_layout
from sweeper.plots.svg_legend import draw_legend, error_bar, upright
from sweeper.plots.svg_shapes import dashes, draw_marker, draw_published, ink
from sweeper.plots.views import Series, View

_LINE = 18
"""Pixels of a line of words below a picture."""
_TICK, _MINOR = 5.0, 2.5
"""Lengths of ticks, in pixels of a picture on a page."""


def draw_svg(view: View, name: str) -> str:
    """Return an SVG element; `name` makes its ids unique within a page."""
    layout = page_layout(view)
    title = escape(f"{view.title}. {view.subtitle}")
    return (
        f'<svg viewBox="0 0 {layout.width:g} {layout.height:g}" role="img" aria-label="{title}" '
        f'font-size="{layout.font:g}" fill="currentColor">{_Picture(view, layout).draw(name)}</svg>'
    )


def standalone_svg(view: View) -> str:
    """Return a picture as an SVG file, with its title and its words below, on white."""
    return standalone_picture(view)[0]


def standalone_picture(view: View) -> tuple[str, PictureSize]:
    """Return a picture as an SVG file with its title and words, and its size."""
    layout = page_layout(view)
    words = [view.title, *view.subtitle.split(" · ")]
    weights = ["bold", *("normal" for _ in words[1:])]
    lines = "".join(
        f'<text x="{layout.left:g}" y="{layout.height + 26 + _LINE * number:g}" '
        f'font-weight="{weight}">{escape(line)}</text>'
        for number, (line, weight) in enumerate(zip(words, weights, strict=True))
    )
    height = layout.height + 26 + _LINE * len(words)
    size = PictureSize(layout.width, height, "px")
    drawn = _Picture(view, layout).draw("figure") + lines
    return svg_document(drawn, f"{view.title}. {view.subtitle}", size, layout.font), size


def sized_svg(view: View, size: PictureSize) -> str:
    """Return a picture of a given size as an SVG file, without words: a paper has captions.

    Raises InputError where it is too small.
    """
    layout = sized_layout(view, *size.pixels)
    drawn = _Picture(view, layout).draw("figure")
    return svg_document(drawn, f"{view.title}. {view.subtitle}", size, layout.font)


@dataclass(frozen=True, slots=True)
class _Picture:
    """A view at its layout: values become pixels."""

    view: View
    layout: Layout

    def draw(self, name: str) -> str:
        """Return all elements; `name` makes ids unique."""
        view, layout = self.view, self.layout
        labels = self._labels()
        parts = [self._axes(), f'<clipPath id="{name}-clip">', self._box(), "</clipPath>"]
        parts.append(f'<g clip-path="url(#{name}-clip)">')
        parts += [self._band(series) for series in view.coloured if series.band]
        if view.cut is not None:
            parts.append(upright(self._across(view.cut), layout.top, layout.bottom, layout.scale))
        parts += [self._strokes(series) or self._line(series) for series in view.series]
        parts += [self._bars(series) for series in view.coloured]
        parts += [self._marks(series) for series in view.coloured]
        parts += [
            draw_published(
                point.biases,
                self._across(point.nonzero),
                self._down(point.accuracy),
                layout.scale,
            )
            for point in view.published
        ]
        parts += [self._label(label) for label in labels]
        parts.append("</g>")
        parts.append(draw_legend(layout.entries, layout.places, layout.legend_size))
        if view.empty:
            middle = (layout.left + layout.right) / 2, (layout.top + layout.bottom) / 2
            parts.append(svg_text(*middle, "no complete trial yet", "middle"))
        return "".join(parts)

    def _across(self, size: float) -> float:
        layout = self.layout
        return round(layout.left + self.view.share(size) * (layout.right - layout.left), 1)

    def _down(self, accuracy: float) -> float:
        (low, high), layout = self.view.y_range, self.layout
        share = (accuracy - low) / (high - low)
        return round(layout.bottom - share * (layout.bottom - layout.top), 1)

    def _axes(self) -> str:
        layout, font = self.layout, self.layout.label_font
        grid, parts = [], []
        for value, label in layout.ticks:
            x = self._across(value)
            grid.append(f"M{x:g} {layout.top:g}V{layout.bottom:g}")
            parts.append(svg_text(x, layout.bottom + 1.35 * font + 2, label, "middle", font))
        for height, label in layout.heights:
            y = self._down(height)
            grid.append(f"M{layout.left:g} {y:g}H{layout.right:g}")
            parts.append(svg_text(layout.left - 0.6 * font, y + 0.35 * font, label, "end", font))
        parts.append(f'<path class="grid" d="{"".join(grid)}" stroke-width="{layout.scale:.3g}"/>')
        parts.append(self._ticks())
        across, down = (layout.left + layout.right) / 2, layout.y_middle
        below = layout.bottom + 1.35 * font + 1.55 * layout.font
        parts.append(svg_text(across, below, layout.x_name, "middle"))
        beside = 1.05 * layout.font
        parts.append(f'<g transform="rotate(-90 {beside:.4g} {down:.4g})">')
        parts.append(svg_text(beside, down, layout.y_name, "middle") + "</g>")
        parts.append(
            f'<g fill="none" stroke="currentColor" stroke-width="{layout.scale:.3g}">'
            f"{self._box()}</g>"
        )
        return "".join(parts)

    def _ticks(self) -> str:
        layout, labelled = self.layout, {value for value, _ in self.layout.ticks}
        lengths = dict.fromkeys(layout.minor, _MINOR) | dict.fromkeys(labelled, _TICK)
        path = "".join(
            f"M{self._across(value):g} {layout.bottom:g}v{length * layout.scale:.3g}"
            for value, length in sorted(lengths.items())
        )
        return f'<path d="{path}" stroke="currentColor" stroke-width="{layout.scale:.3g}"/>'

    def _box(self) -> str:
        layout = self.layout
        width, height = layout.right - layout.left, layout.bottom - layout.top
        place = f'x="{layout.left:g}" y="{layout.top:g}"'
        return f'<rect {place} width="{width:.5g}" height="{height:.5g}"/>'

    def _line(self, series: Series) -> str:
        corners = [(self._across(x), self._down(y)) for x, y in self.view.line_of(series)]
        if not corners:
            return ""
        (x, y), *rest = corners
        stairs = self.view.stairs
        path = f"M{x:g} {y:g}" + "".join(
            f"H{x:g}V{y:g}" if stairs else f"L{x:g} {y:g}" for x, y in rest
        )
        scale = self.layout.scale
        width = (1 if series.grey else 2) * scale
        return (
            f'<path d="{path}" fill="none" stroke="{ink(series)}" '
            f'stroke-width="{width:.3g}"{dashes(series, scale)}/>'
        )

    def _strokes(self, series: Series) -> str:
        """Return all lines of an arm as one path; empty where it has but one."""
        path = ""
        for stroke in series.strokes:
            corners = (f"{self._across(x):g} {self._down(y):g}" for x, y in stroke.points)
            path += f"M{'L'.join(corners)}"
        width = 1.5 * self.layout.scale
        return (
            f'<path d="{path}" fill="none" stroke="{ink(series)}" stroke-width="{width:.3g}"/>'
            if path
            else ""
        )

    def _band(self, series: Series) -> str:
        """Return the area between two lines; that of staircases goes on to the right edge."""
        places = [
            (self._across(x), self._down(low), self._down(high)) for x, low, high in series.band
        ]
        paint = f'fill="{ink(series)}" fill-opacity="{BAND_OPACITY}"'
        if not self.view.stairs:
            up = "L".join(f"{x:g} {high:g}" for x, _, high in places)
            down = "L".join(f"{x:g} {low:g}" for x, low, _ in reversed(places))
            return f'<path d="M{up}L{down}Z" {paint}/>'
        right = self._across(self.view.x_range[1])
        starts = [x for x, _, _ in places]
        ends = [*starts[1:], right]
        (left, bottom, _), *_ = places
        up = "".join(f"V{high:g}H{end:g}" for (_, _, high), end in zip(places, ends, strict=True))
        down = "".join(
            f"V{low:g}H{start:g}"
            for (_, low, _), start in zip(places[::-1], starts[::-1], strict=True)
        )
        return f'<path d="M{left:g} {bottom:g}{up}{down}Z" {paint}/>'

    def _bars(self, series: Series) -> str:
        return "".join(
            error_bar(
                self._across(self.view.x_of(dot)),
                self._down(dot.interval[1]),
                self._down(dot.interval[0]),
                ink(series),
                self.layout.scale,
            )
            for dot in series.dots
            if dot.interval
        )

    def _marks(self, series: Series) -> str:
        places = [(float(self.view.x_of(dot)), dot.other_accuracy) for dot in series.dots]
        return "".join(
            draw_marker(series, self._across(x), self._down(y), self.layout.scale)
            for x, y in (*places, *series.knots)
        )

    def _labels(self) -> list[Label]:
        view, layout = self.view, self.layout
        if not view.published:
            return []
        markers = [(self._across(p.nonzero), self._down(p.accuracy)) for p in view.published]
        arms = [
            (self._across(view.x_of(dot)), self._down(dot.other_accuracy))
            for series in view.coloured
            for dot in series.dots
        ]
        frame = Box(layout.left + 1, layout.top + 1, layout.right - 1, layout.bottom - 1)
        names = [point.short_name for point in view.published]
        texts = [str(layout.numbers.get(name, name)) for name in names]
        return place_labels(markers, texts, arms, frame, layout.name_font)

    def _label(self, label: Label) -> str:
        line = ""
        if label.leader:
            (x, y), (end_x, end_y) = label.leader
            line = (
                f'<path d="M{x:g} {y:g}L{end_x:g} {end_y:g}" stroke="var(--soft)" '
                'stroke-width="0.6"/>'
            )
        return line + (
            f'<text class="halo" x="{label.x:g}" y="{label.y:g}" text-anchor="{label.anchor}" '
            f'font-size="{self.layout.name_font:g}" fill="var(--soft)">{escape(label.text)}</text>'
        )
