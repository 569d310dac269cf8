from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from scripts import build_assets

pytestmark = pytest.mark.once

needs_packages = pytest.mark.skipif(
    not build_assets.NODE_MODULES.is_dir(), reason="needs node_modules: run `make setup`"
)


def test_the_list_takes_comments_and_repetitions(tmp_path: Path) -> None:
    listing = tmp_path / "icons.txt"
    listing.write_text("# all\nusers\nhome  # the house\n\nhome\n", encoding="utf-8")
    assert build_assets.icon_names(listing) == ["home", "users"]


@needs_packages
def test_the_sprite_holds_drawn_symbols(tmp_path: Path) -> None:
    root = ET.fromstring(build_assets.sprite(["home", "heart"]))
    symbols = {symbol.get("id"): symbol for symbol in root}
    assert set(symbols) == {"icon-home", "icon-heart"}
    assert symbols["icon-home"].get("stroke") == "currentColor"
    assert len(symbols["icon-home"]) > 0


@needs_packages
def test_an_unknown_icon_is_named() -> None:
    with pytest.raises(build_assets.AssetError, match="no-such-icon"):
        build_assets.sprite(["home", "no-such-icon"])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(build_assets.AssetError, match=r"gone\.js"):
        build_assets.copy_text(tmp_path / "gone.js", tmp_path / "there.js")


def test_references_to_source_maps_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("run();\n//# sourceMappingURL=a.js.map\n", encoding="utf-8")
    (tmp_path / "a.css").write_text("a{b:c}\n/*# sourceMappingURL=a.css.map */", encoding="utf-8")
    for name in ("a.js", "a.css"):
        build_assets.copy_text(tmp_path / name, tmp_path / "out" / name)
        assert "sourceMappingURL" not in (tmp_path / "out" / name).read_text(encoding="utf-8")
