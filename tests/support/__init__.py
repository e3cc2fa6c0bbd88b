"""Helpers of the tests: values made by hand, trainings without torch, servers, processes."""
