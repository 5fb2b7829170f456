//! Process 1 of a sandbox: executions under shepherds, files, trees; no user code.
