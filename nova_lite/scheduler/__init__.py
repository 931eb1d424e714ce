"""Which host a server goes to: a pure choice, a claim that can't oversubscribe, and a sweeper for what is overdue."""
