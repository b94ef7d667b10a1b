"""Pictures of clusters: recovery windows, growth, the week's schedule. Each has a table that says the same."""
