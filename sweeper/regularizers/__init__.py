"""Penalties R(W) on stacks of weight matrices: pure functions, one formula each.

A formula takes `weight` [pack, out, in] and its hyperparameters by keyword, floats as numbers or
[pack], and returns [pack]; convolution kernels come as [out, in x height x width]. Beside a value
there may be a `_shrinkage`, dR/d|w|, as small as it broadcasts over the weights, and a `_prox`,
argmin over u of 1/2 |u - v|^2 + step x strength x R(u). The catalogue tells which exist. All are
finite where weights are exactly 0; shrinkages and proxes are not differentiable.
"""
