"""The trainer's commands, and what they show."""
