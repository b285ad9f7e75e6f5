"""Where work runs: device, processes, a cluster. What a task computes does not depend on it."""
