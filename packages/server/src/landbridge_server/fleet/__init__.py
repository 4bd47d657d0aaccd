"""The machines' agents: enrolment, sessions, heartbeats, facts, and who is alive."""
