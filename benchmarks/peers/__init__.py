"""The clients that are compared, one per module.

Each has `open_pull(job)`, an async context manager that yields a function which pulls the list, and
`ids(result)`, which returns the ids of the result of that function.
"""
