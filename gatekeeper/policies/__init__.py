"""The policies of a task, its contract and its key template, all checked when the task's module is imported."""
