"""Which device is chosen, and what is said of one that is not there."""

from __future__ import annotations

import pytest
import torch
from optsg.data.errors import ConfigError
from optsg.train.device import choose_device


def test_auto_is_a_device_that_is_there() -> None:
    device = choose_device("auto")
    assert torch.ones(2, device=device).sum().item() == 2.0
    assert device.type == "cpu" or not torch.cuda.is_available() or device.type == "cuda"


@pytest.mark.parametrize("name", ["cuda:99", "nonsense"])
def test_a_device_that_is_not_there_names_those_that_are(name: str) -> None:
    usable = ["auto", *(["cuda"] if torch.cuda.is_available() else []), "cpu"]
    with pytest.raises(ConfigError, match=rf"^--device {name}: not available here; use .*{' or '.join(usable[-1:])}$"):
        choose_device(name)
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError) as caught:
            choose_device("cuda")
        assert "cuda or" not in str(caught.value)
