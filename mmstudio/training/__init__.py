"""Learning from a project's vectors: jobs, fusion, losses, the loop, checkpoints and runs, in a process of its own."""
