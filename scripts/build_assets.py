#!/usr/bin/env python3
"""Copy the front-end files that pages use from the installed packages into build/static/vendor/.

Only the files named here are taken (an allow-list), and icons only as one sprite of those named in
static/icons.txt. `make setup` runs this; nothing of it is committed.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parent.parent
NODE_MODULES = ROOT / "node_modules"
VENDOR = ROOT / "build" / "static" / "vendor"
ICON_LIST = ROOT / "static" / "icons.txt"
OUTLINE = NODE_MODULES / "@tabler" / "icons" / "icons" / "outline"

# Where each file comes from, and its name under vendor/.
FROM_NODE = {
    "@tabler/core/dist/css/tabler.min.css": "tabler/tabler.min.css",
    "@tabler/core/dist/js/tabler.min.js": "tabler/tabler.min.js",
    # The full build: the common one has no heat map and no calendar.
    "echarts/dist/echarts.min.js": "echarts/echarts.min.js",
}
# django-htmx ships the htmx that it was tested with.
FROM_DJANGO_HTMX = {"static/django_htmx/htmx-2.min.js": "htmx/htmx.min.js"}

# A manifest storage would look for the maps, which are not taken along.
SOURCE_MAP = re.compile(
    r"^[ \t]*(//[#@]\s*sourceMappingURL=\S+|/\*[#@]\s*sourceMappingURL=[^*]+\*/)[ \t]*\n?", re.M
)
SVG = "{http://www.w3.org/2000/svg}"
STROKE = {
    "fill": "none",
    "stroke": "currentColor",
    "stroke-width": "2",
    "stroke-linecap": "round",
    "stroke-linejoin": "round",
}


class AssetError(Exception):
    """A file or an icon that is asked for is not there."""


def copy_text(source: Path, target: Path) -> None:
    if not source.is_file():
        raise AssetError(f"missing: {source.relative_to(ROOT) if source.is_relative_to(ROOT) else source}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(SOURCE_MAP.sub("", source.read_text(encoding="utf-8")), encoding="utf-8")


def icon_names(listing: Path) -> list[str]:
    """The icon names of a list file: one a line, `#` starts a comment; sorted, each once."""
    lines = (line.split("#", 1)[0].strip() for line in listing.read_text(encoding="utf-8").splitlines())
    return sorted({line for line in lines if line})


def symbol(name: str) -> ET.Element:
    """One outline icon as a <symbol>; stroke settings are attributes, so that no style sheet is needed."""
    drawing = ET.parse(OUTLINE / f"{name}.svg").getroot()  # noqa: S314  (a locked package's own file)
    element = ET.Element(f"{SVG}symbol", {"id": f"icon-{name}", "viewBox": "0 0 24 24", **STROKE})
    for shape in drawing:
        if shape.get("d") != "M0 0h24v24H0z":  # the invisible frame
            shape.tail = None
            element.append(shape)
    return element


def sprite(names: list[str]) -> str:
    unknown = [name for name in names if not (OUTLINE / f"{name}.svg").is_file()]
    if unknown:
        raise AssetError(f"{ICON_LIST.name}: no such outline icon: {', '.join(unknown)}")
    ET.register_namespace("", SVG.strip("{}"))
    root = ET.Element(f"{SVG}svg")
    root.extend(symbol(name) for name in names)
    return ET.tostring(root, encoding="unicode")


def build() -> int:
    """Make the vendor folder anew; the number of icons in the sprite."""
    package = importlib.util.find_spec("django_htmx")
    if package is None or package.origin is None:
        raise AssetError("django-htmx is not installed in this environment")
    names = icon_names(ICON_LIST)
    drawing = sprite(names)
    shutil.rmtree(VENDOR, ignore_errors=True)
    for source, target in FROM_NODE.items():
        copy_text(NODE_MODULES / source, VENDOR / target)
    for source, target in FROM_DJANGO_HTMX.items():
        copy_text(Path(package.origin).parent / source, VENDOR / target)
    (VENDOR / "icons.svg").write_text(drawing, encoding="utf-8")
    return len(names)


def main() -> int:
    try:
        icons = build()
    except AssetError as error:
        print(f"build_assets: {error}", file=sys.stderr)
        return 1
    print(f"Front-end files are in {VENDOR.relative_to(ROOT)} ({icons} icons).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
