"""The import of torchvision works with and without its compiled operators."""

from __future__ import annotations

import subprocess
import sys

import pytest


def python(program: str) -> str:
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_torchvision_timm_and_open_clip_import_after_the_call() -> None:
    program = (
        "from optsg.data.torchvision_compat import ensure_torchvision_importable as ensure\n"
        "ensure(); ensure()\n"
        "import torchvision, timm, open_clip\nprint('imported')"
    )
    assert python(program) == "imported"


def test_missing_operators_are_declared_and_still_refuse_to_run() -> None:
    program = (
        "import sys, torch\nfrom optsg.data import torchvision_compat as compat\n"
        "if compat._compiled_operators_load(): sys.exit(print('they load'))\n"
        "compat._compiled_operators_load = lambda: False\n"
        "compat.ensure_torchvision_importable()\n"
        "import torchvision\n"
        "try: torch.ops.torchvision.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)\n"
        "except (NotImplementedError, RuntimeError): print('refused')"
    )
    said = python(program)
    if said == "they load":
        pytest.skip("the operators of this torchvision load, or it is not installed")
    assert said == "refused"


def test_nothing_is_declared_where_the_operators_load() -> None:
    program = (
        "import torch\nfrom optsg.data import torchvision_compat as compat\n"
        "compat._compiled_operators_load = lambda: True\n"
        "compat.ensure_torchvision_importable()\n"
        "print(compat._declared, hasattr(torch.ops.torchvision, 'nms'))"
    )
    assert python(program) == "[] False"
