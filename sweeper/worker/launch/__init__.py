"""Launchers of workers: processes of this machine, and tasks of Ray."""
