"""The agents of the benchmark, loaded through TASK_MODULES."""
