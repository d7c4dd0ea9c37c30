"""The colour maps that ship are colorcet's, and come without its plotting libraries."""

from __future__ import annotations

import subprocess
import sys

import colorcet
import numpy as np
import pytest
from PIL import ImageColor

from mmstudio.colour_maps import colour_map


@pytest.mark.parametrize("name", ["CET_D1", "CET_D1A", "glasbey_dark", "glasbey_light", "linear_bmy_10_95_c78",
                                  "linear_kbc_5_95_c73", "linear_kryw_0_100_c71"])
def test_a_colour_map_is_the_published_one(name: str) -> None:
    assert np.array_equal(colour_map(name), [ImageColor.getrgb(colour) for colour in colorcet.palette[name]])


def test_an_unknown_colour_map_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        colour_map("rainbow")


def test_drawing_heat_imports_no_plotting_library() -> None:
    """An import within a paint event kept its painter alive, and took 150 ms of the window's time."""
    looked = "from mmstudio.desktop import heat; heat.colour(0.5); import sys; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", looked], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
