"""Random numbers by purpose: every stream is derived from the run's seed and a name."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import numpy as np
import torch


def derive(seed: int, *purpose: object) -> int:
    """A 63-bit seed for one purpose, as `derive(seed, "order", epoch)`.

    Streams of different purposes, and of neighbouring seeds, are independent.
    """
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(device: torch.device, seed: int, *purpose: object) -> torch.Generator:
    """A generator on `device` for one purpose."""
    return torch.Generator(device).manual_seed(derive(seed, *purpose))


def seed_everything(seed: int, *purpose: object) -> None:
    """Seed the global generators: dropout and initialisation draw from them."""
    value = derive(seed, *purpose)
    random.seed(value)
    np.random.seed(value % 2**32)
    torch.manual_seed(value)


def random_states(device: torch.device) -> dict[str, Any]:
    """The state of every global generator, as types that `weights_only` loading accepts."""
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    states: dict[str, Any] = {
        "python": [version, list(words), gauss],
        "numpy": [
            name,
            torch.from_numpy(np.asarray(keys).astype(np.int64)),
            position,
            has_gauss,
            cached,
        ],
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def restore_random_states(states: dict[str, Any], device: torch.device) -> None:
    """Undo everything drawn since `random_states`."""
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))
    name, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(states["torch"])
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    elif "mps" in states:
        torch.mps.set_rng_state(states["mps"])
