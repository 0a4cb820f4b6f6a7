"""Static unpacking of packed scripts: a whitelist of pure decoders, folded within bounds; nothing is executed."""
