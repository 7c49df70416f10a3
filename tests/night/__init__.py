"""The situations of 3 a.m.: each is produced on a real installation, and one command must show its cause and the next step."""
