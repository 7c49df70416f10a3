"""The agents: one file or package each, which holds the tasks of its agent."""
