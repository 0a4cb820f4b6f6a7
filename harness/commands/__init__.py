"""The subcommands of ``pgolf``: one module each, exporting a click command named ``command``."""
