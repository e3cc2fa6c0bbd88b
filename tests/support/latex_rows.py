"""LaTeX read back: the rows of a tabular as a reader sees them."""

import re

_BACK = {
    r"\textbackslash{}": "\\",
    r"\textasciitilde{}": "~",
    r"\textasciicircum{}": "^",
    r"\textless{}": "<",
    r"\textgreater{}": ">",
    r"\textbar{}": "|",
    r"$\le$": "≤",
    r"$\ge$": "≥",
    "{,}": ",",
    "-{}": "-",
    r"\,": " ",
}
_TOKEN = re.compile("|".join([*map(re.escape, _BACK), r"\\[&%$#_{}]"]))
_CELL = re.compile(r"(?<!\\)&")


def read(text: str) -> str:
    """Return what LaTeX prints for text; whatever else is special must not be there."""
    without = re.sub(r"\\textbf\{(.*)\}$", r"\1", text)
    rest = _TOKEN.sub("", without)
    unescaped = re.search(r"[\\&%$#_^~{}]", rest)
    if unescaped:
        raise AssertionError(f"{unescaped[0]!r} stands unescaped in {text!r}")
    return _TOKEN.sub(lambda match: _BACK.get(match[0], match[0][1:]), without)


def rows(text: str) -> list[list[str]]:
    """Return the cells of the only tabular of a document, head first, and check its columns."""
    [(columns, inside)] = re.findall(
        r"\\begin\{tabular\}\{([lr]+)\}\n(.*)\\end\{tabular\}", text, re.DOTALL
    )
    lines = [
        line.removesuffix(r" \\")
        for line in inside.splitlines()
        if line not in (r"\toprule", r"\midrule", r"\bottomrule")
    ]
    cells = [[read(cell.strip()) for cell in _CELL.split(line)] for line in lines]
    assert {len(line) for line in cells} == {len(columns)}
    assert balanced(text)
    return cells


def balanced(text: str) -> bool:
    """Tell whether braces and environments of a document close in their order."""
    depth = 0
    for line in text.splitlines():
        if line.startswith("%"):
            continue
        for brace in re.findall(r"(?<!\\)[{}]", line.replace("\\\\", "")):
            depth += 1 if brace == "{" else -1
            if depth < 0:
                return False
    opened = re.findall(r"\\begin\{(\w+)\}", text)
    return depth == 0 and opened == re.findall(r"\\end\{(\w+)\}", text)[::-1]
