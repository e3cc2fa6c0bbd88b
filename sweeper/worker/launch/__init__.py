"""Starting workers: processes on this machine."""
