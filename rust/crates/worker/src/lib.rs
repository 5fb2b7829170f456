//! Warm interpreters: the embedded JavaScript engine and the worker programs of CPython, Node and the shell.
