"""One transfer in one process: graph and session, targets, scales, memory."""
