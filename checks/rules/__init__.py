"""One rule, one file, in the folder of its group; see ``checks.rules.registry``."""
