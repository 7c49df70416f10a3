"""The drill: injects faults on a running installation, and shows that each leaves one effect and nothing else behind."""
