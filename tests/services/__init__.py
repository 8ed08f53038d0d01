"""The real services that tests and benchmarks run on, from wheels: PostgreSQL 18 and Valkey 9."""
