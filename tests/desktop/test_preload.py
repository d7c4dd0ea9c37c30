"""torch is brought in part for the starter, and whole for whoever needs it whole."""

from __future__ import annotations

import subprocess
import sys

STARTER = ("import sys, numpy as np\n"
           "from mmstudio.desktop.preload import SHAPES, _PutOff, complete_torch, import_torch_in_part\n"
           "import_torch_in_part()\n"
           "from mmstudio.encoders import load_encoder\n"
           "encoder = load_encoder('starter', 'cpu')\n"
           "def read(): return encoder.forward([encoder.prepare('a dog', 'text')])[0]\n"
           "first = read()\n"
           "assert isinstance(sys.modules[SHAPES], _PutOff), 'it was needed'\n"
           "import torch\n")


def _run(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", STARTER + code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_starter_reads_with_a_part_of_torch_and_the_rest_comes_behind_it() -> None:
    _run("with torch.device('meta'): a, b = torch.empty(2, 3), torch.empty(3, 5)\n"
         "complete_torch()\n"
         "assert not isinstance(sys.modules[SHAPES], _PutOff)\n"
         "assert torch._meta_registrations is sys.modules[SHAPES]\n"
         "assert torch.linalg.eigh(torch.empty(4, 4, device='meta'))[1].shape == (4, 4)\n"
         "assert torch.cdist(a, b.T).shape == (2, 5)\n"
         "assert np.array_equal(first, read())")


def test_whoever_asks_for_what_was_put_off_gets_it() -> None:
    _run("from torch._meta_registrations import meta_index_Tensor\n"
         "from torch._subclasses.fake_tensor import FakeTensorMode\n"
         "with FakeTensorMode(): assert (torch.empty(2, 3) @ torch.empty(3, 5)).shape == (2, 5)\n"
         "assert not isinstance(sys.modules[SHAPES], _PutOff)")


def test_to_complete_torch_without_a_part_of_it_is_to_import_it() -> None:
    done = subprocess.run([sys.executable, "-c",
                           "import sys\nfrom mmstudio.desktop.preload import SHAPES, complete_torch\n"
                           "complete_torch()\nassert SHAPES in sys.modules\ncomplete_torch()"],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
