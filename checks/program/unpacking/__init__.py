"""Static unpacking of packed scripts: a whitelist of pure decoders, folded within bounds; nothing is executed."""

#: Where the folder of the submission is in the made-up file system that wrappers see.
ROOT = "/parameter-golf/records/track/submission"
