"""Papers as data: what each reports, its tables, its claims, and what the results say of them."""
