"""The clients that are compared, one module each: `opened(job)` yields the pull, `ids` its ids."""
