"""Programs run by a looped transformer, state by state against an interpreter.

Giannou et al., arXiv:2301.13196; the machine is _subleq.py. Memory is in columns 1 to 8, commands
begin half-way. Programs:

    random    `programs` of 2 to 8 commands, over memory that starts in -20..20
    add       1..20 of each of two numbers, through a helper cell
    multiply  by adding one number as often as the other says

Metrics: `measured/right`, the share of programs whose memory, rounded, and counter are right after
each of `loops` loops; `measured/error`, the largest distance of a memory cell from its integer in
the programs that are right.
"""

from __future__ import annotations

import numpy as np
import torch

from ppr.engine.bench import Bench
from ppr.engine.seeding import derive
from ppr.fields import Annotated, Count, Ge, Literal, Positive
from ppr.registry import component
from ppr.studies.study import Study
from ppr.studies.theory_numerics._subleq import Machine, Program, interpret

CELLS = 8


def random_program(random: np.random.Generator, start: int) -> tuple[dict[int, int], Program]:
    length = int(random.integers(2, 9))
    cells = random.integers(1, CELLS + 1, (length, 2)).tolist()
    targets = random.integers(start, start + length + 1, length).tolist()
    memory = dict(enumerate(random.integers(-20, 21, CELLS).tolist(), start=1))
    return memory, [(a, b, c) for (a, b), c in zip(cells, targets, strict=True)]


def adder(random: np.random.Generator, start: int) -> tuple[dict[int, int], Program]:
    """Cell 2 += cell 1, through cell 3."""
    x, y = random.integers(1, 21, 2).tolist()
    return {1: x, 2: y}, [(1, 3, start + 1), (3, 2, start + 2), (3, 3, start + 3)]


def multiplier(random: np.random.Generator, start: int) -> tuple[dict[int, int], Program]:
    """Cell 3 = cell 1 times cell 2; cell 4 helps, cell 5 is 1, cell 6 is 0."""
    x, y = (int(n) for n in (random.integers(1, 6), random.integers(1, 8)))
    program = [
        (2, 4, start + 1),
        (4, 3, start + 2),
        (4, 4, start + 3),
        (5, 1, start + 5),
        (6, 6, start),
    ]
    return {1: x, 2: y, 5: 1}, program


MAKERS = {"random": random_program, "add": adder, "multiply": multiplier}


@component("task")
class LoopedPrograms(Study):
    def __init__(
        self,
        bench: Bench,
        *,
        kind: Literal["random", "add", "multiply"] = "random",
        lam: Positive = 20.0,
        bits: Annotated[int, Ge(5)] = 5,
        programs: Count = 100,
        loops: Count = 30,
    ) -> None:
        super().__init__(bench)
        self.kind, self.lam, self.bits = kind, lam, bits
        self.programs, self.loops = programs, loops

    def measure(self) -> dict[str, dict[str, float]]:
        machine, start = Machine(self.bits, self.lam), 2 ** (self.bits - 1)
        random = np.random.default_rng(derive(self.bench.seed, "programs"))
        made = [MAKERS[self.kind](random, start) for _ in range(self.programs)]
        size = 2**self.bits
        truth = [interpret(*each, start, size, self.loops) for each in made]
        X = torch.stack([machine.load(memory, program, start) for memory, program in made])
        right = torch.ones(self.programs, dtype=torch.bool)
        error = torch.zeros(self.programs, dtype=torch.float64)
        for t in range(self.loops):
            X = machine.loop(X)
            values = torch.tensor([states[t][0] for states in truth], dtype=torch.float64)
            counters = torch.tensor([states[t][1] for states in truth])
            away = (machine.values(X) - values).abs().amax(1)
            right &= (away < 0.5) & (machine.counter(X) == counters)
            error = torch.maximum(error, away)
        known = error[right].max().item() if right.any() else float("nan")
        measured = {"right": right.double().mean().item()}
        return {"measured": measured | ({"error": known} if right.any() else {})}
