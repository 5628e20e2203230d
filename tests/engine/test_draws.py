"""What several devices draw for a batch is, row by row, what one device draws."""

from __future__ import annotations

import pytest
import torch

from ppr.engine import distributed
from ppr.engine.draws import OwnRows
from ppr.errors import BadRequest

SAMPLES, DEVICES = 12, 3
LAW = torch.tensor([0.2, 0.5, 0.3])
DRAWS = {
    "rand, sizes apart": lambda n, g: torch.rand(n, 3, generator=g),
    "rand, sizes together": lambda n, g: torch.rand((n, 3), generator=g),
    "randn": lambda n, g: torch.randn(n, 2, 2, generator=g),
    "two views": lambda n, g: torch.rand(2 * n, generator=g),
    "randint": lambda n, g: torch.randint(0, 99, (n, 4), generator=g),
    "multinomial": lambda n, g: torch.multinomial(LAW, n, replacement=True, generator=g),
    "double": lambda n, g: torch.rand(n, generator=g, dtype=torch.float64),
}


@pytest.mark.parametrize("case", DRAWS)
def test_each_device_has_its_rows_of_one_devices_draws(case, monkeypatch):
    draw = DRAWS[case]
    random = torch.Generator().manual_seed(5)
    whole, after = draw(SAMPLES, random), torch.rand((), generator=random)
    monkeypatch.setattr(distributed, "size", lambda: DEVICES)
    own = SAMPLES // DEVICES
    for rank in range(DEVICES):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        random = torch.Generator().manual_seed(5)
        with OwnRows(random, own):
            found, following = draw(own, random), torch.rand((), generator=random)
        views = whole.view(-1, SAMPLES, *whole.shape[1:])
        expected = views[:, rank * own : (rank + 1) * own].flatten(0, 1)
        assert torch.equal(found, expected)
        assert found.dtype == whole.dtype
        assert torch.equal(following, after)  # and the stream is where one device's is


def test_other_streams_are_left_alone(monkeypatch):
    monkeypatch.setattr(distributed, "size", lambda: 2)
    monkeypatch.setattr(distributed, "rank", lambda: 1)
    other = torch.Generator().manual_seed(1)
    expected = torch.rand(4, generator=torch.Generator().manual_seed(1))
    with OwnRows(torch.Generator(), 2):
        assert torch.equal(torch.rand(4, generator=other), expected)


def test_an_order_of_the_batch_cannot_be_shared_out(monkeypatch):
    random = torch.Generator()
    with OwnRows(random, 2), pytest.raises(BadRequest, match="engine.devices: randperm draws"):
        torch.randperm(2, generator=random)
