"""The worker of one host: takes operations, runs idempotent steps, reconciles what is with what should be, reports."""
