"""Extensions: packages of software whose handlers the agent installs, enables, updates and removes."""
