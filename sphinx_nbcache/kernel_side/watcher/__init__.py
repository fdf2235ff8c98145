"""The system tracer: a process that sees what kernels and their children do with files.

Linux hands chosen system calls of a tree of processes to another process, which looks and lets them
go on (`seccomp` user notification: https://man7.org/linux/man-pages/man2/seccomp_unotify.2.html).
So programs in any language are observed, and libraries in C. A watcher is a program of its own that
uses only the standard library. It starts an ordinary kernel, or the zygote, and ends with it; being
their ancestor, it may read their memory also where Yama restricts that
(https://docs.kernel.org/admin-guide/LSM/Yama.html).
"""
