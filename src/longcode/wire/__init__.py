"""The small HTTP layer on which the dialects stand: calls in, answers out, no framework."""
