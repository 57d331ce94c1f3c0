"""Many runs: a sweep's beginning and end, its members, its shards."""
