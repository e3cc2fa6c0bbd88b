"""Worker: claim slots, ask, train, record, tell; and `launch`, which starts many of them.

`sweeper.worker.worker_loop.work` runs one. Nothing is imported here, since training loads torch.
"""
