/* Processes, and what several of them sustain together. */
#ifndef SUSTAINED_H
#define SUSTAINED_H

#include <stdint.h>
#include <sys/types.h>

/* All but the network namespace. */
#define NAMESPACES (CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

/* clone3 with SIGCHLD at the end: 0 in the child, -1 with errno. */
pid_t clone_into(uint64_t flags);

/* Waits for the end of a child: 0, or -1 with errno. */
int reap(pid_t child);

/* Clones, and waits for the child, which exits at once: 0, or -1 with errno. */
int clone_exit_wait(uint64_t flags);

/* Nanoseconds of the monotonic clock. */
uint64_t now(void);

/* Processes are cloned into all namespaces, exit, and are waited for, by two processes at once. Each of the times is the whole one
 * divided by their count, in nanoseconds. 0, or -1 with errno. */
int clone_by_two(uint64_t *times, long count);

/* Sandboxes live by eight processes at once, with the steps of a life up to the one named, in the cheapest way that is known. The
 * result is as of clone_by_two, or what the host lacks for that step. */
int live(const char *step, uint64_t *times, long count, const char **lacking);

#endif
