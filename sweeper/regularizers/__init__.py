"""Penalties R(W) on stacks of weight matrices: pure functions, one formula each.

A formula takes `weight` [pack, out, in] and its hyperparameters by keyword, and returns [pack];
convolution kernels come as [out, in x height x width]. Beside a value there may be a `shrinkage`,
dR/d|w|, and a `prox`. The catalogue tells which exist. All are finite where weights are exactly 0.
"""
