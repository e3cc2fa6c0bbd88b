"""Trainers: what turns the trials that a worker has claimed into measured networks.

`sweeper.trainers.open_trainer` gives the one of a sweep. Nothing is imported here, since
training loads torch.
"""
