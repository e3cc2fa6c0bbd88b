"""Kernels: compiled loops and matrix products for a whole pack, by numba, oneDNN and Triton."""
