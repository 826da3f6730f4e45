"""Work: plans, tickets, leases, reports, and who does what where."""
