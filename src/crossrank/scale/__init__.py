"""Many machines: batch jobs on Ray Data, a service on Ray Serve."""
