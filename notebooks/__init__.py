"""Two notebooks, with their outputs, and what executes them: ``python -m notebooks --help``."""
