"""Learning-rate schedules: pure functions of the step, so that a resumed run needs no state.

A schedule is built from the run's number of steps and that of an epoch, and maps a step, counted
from 0, to the factor in [0, 1] that multiplies every parameter group's base learning rate.
"""
