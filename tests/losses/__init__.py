"""A file a loss: its family, fields to try, and a reference, a loop over its paper's equation.

FAMILY says what the loss is called with (`_inputs` of tests/test_losses.py), VARIATIONS the fields
to try, and `reference(*inputs, **fields)` works on lists of Python floats, slowly, sharing nothing
with ppr. A loss that looks at its training targets first has SEEN, what its `see` is
called with; one with parameters of its own has `settle(loss)`, which fills them with what the
reference takes them to be.
"""
