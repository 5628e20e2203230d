"""A looped transformer whose hand-written weights run programs of one instruction, SUBLEQ.

Giannou et al., "Looped Transformers as Programmable Computers", 2023, arXiv:2301.13196. The idea is
the paper's; how the weights are laid out is worked out anew here. The input X [n, d] has a
scratchpad, column 0, then memory, then commands; each but the first has an address of log2 n bits,
+1 or -1. SUBLEQ a b c is mem[b] -= mem[a]; if mem[b] <= 0 go to c, else to the next command. A loop
is three layers of

    X + sum_h softmax(lam (X Q_h) (X K_h)^T) X V_h,    then    X + ReLU(X W1) W2

1  the scratchpad reads the command at the program counter; its addresses are snapped to +-1
2  two heads read mem[a] and mem[b]; ReLUs give the flag mem[b] - mem[a] <= 0 (a ramp from 1/4 to
   3/4) and the counter plus one (ripple carry: into bit i it is ReLU(b_0 + .. + b_{i-1} - i + 1))
3  the column with address b takes -mem[a] from the scratchpad, all others nothing from one another;
   the counter becomes c or its successor, and what else the scratchpad holds is cleared

A column that has nothing to read looks at one that holds nothing. Weights depend on n and lam.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Program = Sequence[tuple[int, int, int]]
ASIDE = 1000.0
"""The score of a column that shall be looked at alone."""


def addresses(bits: int) -> Tensor:
    """Codes of 2^bits columns, the lowest bit first. [2^bits, bits]"""
    numbers = torch.arange(2**bits)[:, None]
    return (2 * ((numbers >> torch.arange(bits)) & 1) - 1).double()


@dataclass(frozen=True)
class Head:
    Q: Tensor
    K: Tensor
    V: Tensor


@dataclass(frozen=True)
class Layer:
    heads: tuple[Head, ...]
    W1: Tensor
    W2: Tensor

    def __call__(self, X: Tensor, lam: float) -> Tensor:
        """[..., n, d] -> the same."""
        read = torch.zeros_like(X)
        for head in self.heads:
            scores = lam * (X @ head.Q) @ (X @ head.K).mT
            read = read + scores.softmax(-1) @ X @ head.V
        X = X + read
        return X + (X @ self.W1).relu() @ self.W2


class Units:
    """The ReLUs of a layer, added one by one."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.into: list[Tensor] = []
        self.out: list[Tensor] = []

    def add(self, row: int, gain: float, *terms: tuple[int, float]) -> None:
        """X[row] += gain * ReLU(sum of X[source] * weight)."""
        into, out = torch.zeros(2, self.width, dtype=torch.float64)
        for source, weight in terms:
            into[source] += weight
        out[row] = gain
        self.into.append(into)
        self.out.append(out)

    def add_plain(self, row: int, gain: float, source: int) -> None:
        """X[row] += gain * X[source], as two ReLUs."""
        self.add(row, gain, (source, 1))
        self.add(row, -gain, (source, -1))

    def layer(self, *heads: Head) -> Layer:
        return Layer(heads, torch.stack(self.into, dim=1), torch.stack(self.out))


class Machine:
    """The looped transformer of 2^bits columns."""

    def __init__(self, bits: int, lam: float) -> None:
        self.bits, self.lam = bits, lam
        coded = ["code", "a", "b", "c", "counter", "A", "B", "C", "next"]
        single = ["value", "scratch", "rest", "va", "vb", "flag"]
        self.at = {name: i * bits for i, name in enumerate(coded)}
        self.at |= {name: len(coded) * bits + i for i, name in enumerate(single)}
        self.width = len(coded) * bits + len(single)
        self.layers = (self._fetch(), self._read(), self._write())

    def rows(self, name: str) -> range:
        return range(self.at[name], self.at[name] + self.bits)

    def load(self, memory: Mapping[int, int], program: Program, start: int) -> Tensor:
        """The input [n, d] for a program whose first command is column `start`; later ones halt.

        A command that halts goes to itself: it takes the last column's value, 0, from itself.
        """
        n, codes = 2**self.bits, addresses(self.bits)
        X = torch.zeros(n, self.width, dtype=torch.float64)
        X[1:, self.rows("code")] = codes[1:]
        X[0, self.at["scratch"]] = 1
        X[1:, self.at["rest"]] = 1
        X[0, self.rows("counter")] = codes[start]
        for place, value in memory.items():
            X[place, self.at["value"]] = value
        for place in range(start, n):
            given = place - start < len(program)
            command = program[place - start] if given else (n - 1, n - 1, place)
            for name, address in zip("abc", command, strict=True):
                X[place, self.rows(name)] = codes[address]
        return X

    def loop(self, X: Tensor) -> Tensor:
        for layer in self.layers:
            X = layer(X, self.lam)
        return X

    def counter(self, X: Tensor) -> Tensor:
        bits = (X[..., 0, self.rows("counter")] > 0).long()
        return (bits << torch.arange(self.bits)).sum(-1)

    def values(self, X: Tensor) -> Tensor:
        return X[..., self.at["value"]]

    def _head(
        self,
        looks: Iterable[tuple[int, int]],
        aside: tuple[tuple[str, float], tuple[str, float]],
        copies: Iterable[tuple[int, int, float]],
    ) -> Head:
        """Scores are products of the rows in `looks`, and one more of the two rows `aside`."""
        Q, K = torch.zeros(2, self.width, self.bits + 1, dtype=torch.float64)
        V = torch.zeros(self.width, self.width, dtype=torch.float64)
        for i, (query, key) in enumerate(looks):
            Q[query, i], K[key, i] = 1, 1
        (query_name, query_gain), (key_name, key_gain) = aside
        Q[self.at[query_name], -1], K[self.at[key_name], -1] = query_gain, key_gain
        for source, row, gain in copies:
            V[source, row] = gain
        return Head(Q, K, V)

    def pointer(self, address: str, copies: Iterable[tuple[int, int, float]]) -> Head:
        """The scratchpad looks at the column of an address; all others at the scratchpad."""
        looks = zip(self.rows(address), self.rows("code"), strict=True)
        return self._head(looks, (("rest", ASIDE), ("scratch", 1.0)), copies)

    def _fetch(self) -> Layer:
        units, s = Units(self.width), self.at["scratch"]
        pairs = [
            pair
            for command, held in zip("abc", "ABC", strict=True)
            for pair in zip(self.rows(command), self.rows(held), strict=True)
        ]
        for _, row in pairs:  # the clamp of twice its value to -1..1
            units.add(row, 1, (row, 2), (s, 1))
            units.add(row, -1, (row, 2), (s, -1))
            units.add(row, -1, (s, 1))
            units.add_plain(row, -1, row)
        return units.layer(self.pointer("counter", [(source, row, 1) for source, row in pairs]))

    def _read(self) -> Layer:
        units, s, value = Units(self.width), self.at["scratch"], self.at["value"]
        va, vb, flag = self.at["va"], self.at["vb"], self.at["flag"]
        units.add(flag, 1, (s, 1))
        units.add(flag, -1, (vb, 2), (va, -2), (s, -0.5))
        units.add(flag, 1, (vb, 2), (va, -2), (s, -1.5))
        counter = self.rows("counter")
        for i, row in enumerate(self.rows("next")):
            units.add_plain(row, 1, counter[i])
            for count, gain in ((i, 2), (i + 1, -4)):  # the carry into the bit, and out of it
                terms = [(counter[j], 1.0) for j in range(count)]
                units.add(row, gain, *terms, (s, 1 - count))
        return units.layer(self.pointer("A", [(value, va, 1)]), self.pointer("B", [(value, vb, 1)]))

    def _write(self) -> Layer:
        units, s, flag = Units(self.width), self.at["scratch"], self.at["flag"]
        for row, jump, after in zip(
            self.rows("counter"), self.rows("C"), self.rows("next"), strict=True
        ):
            units.add(row, 1, (jump, 1), (s, -1), (flag, 2))
            units.add(row, 1, (after, 1), (s, 1), (flag, -2))
            units.add(row, -1, (s, 1))
            units.add_plain(row, -1, row)
        held = [row for name in ("A", "B", "C", "next") for row in self.rows(name)]
        for row in (*held, self.at["va"], self.at["vb"], flag):
            units.add_plain(row, -1, row)
        # An address that is met scores log2 n, any other column one less, and holds no va. The
        # scratchpad itself looks at those others, for `rest` is 0 in it and 1 in them.
        looks = zip(self.rows("code"), self.rows("B"), strict=True)
        copies = [(self.at["va"], self.at["value"], -1.0)]
        head = self._head(looks, (("rest", 1.0), ("rest", self.bits - 1.0)), copies)
        head.Q[s, -1] = ASIDE
        return units.layer(head)


def interpret(
    memory: Mapping[int, int], program: Program, start: int, size: int, loops: int
) -> list[tuple[list[int], int]]:
    """What a program does, by the book: memory and counter after every loop."""
    values = [memory.get(place, 0) for place in range(size)]
    counter, states = start, []
    for _ in range(loops):
        if counter - start < len(program):
            a, b, c = program[counter - start]
            values[b] -= values[a]
            counter = c if values[b] <= 0 else counter + 1
        states.append((list(values), counter))
    return states
