"""Training of a pack of trials as one stacked program: `sweeper.training.pack.train_pack`.

Its data, networks, methods, pruning and evaluation; imports torch, so nothing is imported here.
"""
