"""A file a loss: fields to try, and a reference, a loop over its paper's equation.

What the loss is called with follows from its family (`_inputs` of tests/test_losses.py), or is
another batch that BATCH names. VARIATIONS are the fields to try, and `reference(*inputs, **fields)`
works on lists of Python floats, slowly, sharing nothing with ppr. A loss that looks at its training
targets first has SEEN, what its `see` is called with; one with parameters of its own has
`settle(loss)`, which fills them with what the reference takes them to be.
"""
