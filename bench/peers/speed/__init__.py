"""The bench of speed: how fast Gatehouse and its peers take calls and run tasks that do nothing."""
