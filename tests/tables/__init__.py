"""The tables that tests serve; each is found first by the process that is started with this folder."""
