"""The abstract interpreter: values, the machine, what it models of Python and torch, statements."""
