"""What the agents do, one file each."""
