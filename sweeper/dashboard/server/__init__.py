"""HTTP server around Optuna's dashboard: access, caching, metrics and the log."""
