"""Many runs: plan, estimate, make."""
