"""Rules on the integrity of a submission: none yet, network and state transfer are evaluation rules."""
