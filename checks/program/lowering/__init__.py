"""libcst tree to `ast`: newer grammar than the host, in statements, expressions, calls, strings and patterns."""
