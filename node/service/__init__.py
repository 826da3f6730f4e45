"""The node as a service of the machine: unit text, service managers, and what doctor compares."""
