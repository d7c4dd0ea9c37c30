"""Write the colour maps from colorcet: importing that package takes a fifth of a second of plotting libraries."""

from __future__ import annotations

import json

import colorcet

from mmstudio import paths

NAMES = ("CET_D1", "CET_D1A", "glasbey_dark", "glasbey_light", "linear_bmy_10_95_c78", "linear_kbc_5_95_c73",
         "linear_kryw_0_100_c71")


def hexadecimal(name: str) -> str:
    """The colours of a map, six digits each."""
    return "".join(colour.lstrip("#") for colour in colorcet.palette[name])


if __name__ == "__main__":
    maps = json.dumps({name: hexadecimal(name) for name in NAMES}, indent=1)
    (paths.resources() / "colours/maps.json").write_text(maps + "\n", encoding="utf-8")
