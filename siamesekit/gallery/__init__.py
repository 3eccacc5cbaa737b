"""Who is it: enroll, identify, forget."""
