"""What others run to use the console: a Python package of its own, below src, and what makes it of the OpenAPI file."""
