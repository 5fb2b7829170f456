/*
 * What the kernel allows: the least that any sandbox engine has to do, without doing anything useful.
 * Usage: floor PROGRAM     PROGRAM is a static binary that ends at once
 * Reads lines "OPERATION COUNT" from its input and answers each with one line: COUNT times in nanoseconds, "lacking TEXT" where the host
 * does not have what the operation needs, or "error TEXT".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sustained.h"

#define MOST 100000
/* From linux/time_namespace; older headers lack it. */
#define NEW_TIME 0x00000080
#define SYSTEM_CALLS 1000
#define PAGES 256
#define LIFE "life-"

static const char *program;

/* A process in namespaces of its own is made, exits and is waited for. */
static int clone_all(uint64_t *time) {
  uint64_t begin = now();
  int result = clone_exit_wait(NAMESPACES | CLONE_NEWNET | NEW_TIME);
  *time = now() - begin;
  return result;
}

static int clone_without_net(uint64_t *time) {
  uint64_t begin = now();
  int result = clone_exit_wait(NAMESPACES | NEW_TIME);
  *time = now() - begin;
  return result;
}

static int fork_exec(uint64_t *time) {
  uint64_t begin = now();
  pid_t child = fork();
  if (child == 0) {
    execl(program, program, (char *)NULL);
    _exit(127);
  }
  int status = -1;
  int result = child > 0 && waitpid(child, &status, 0) == child && status == 0 ? 0 : -1;
  *time = now() - begin;
  return result;
}

/* A process that sleeps in namespaces of its own is killed and waited for. */
static int kill_wait(uint64_t *time) {
  int ready[2];
  if (pipe(ready) != 0) {
    return -1;
  }
  pid_t child = clone_into(NAMESPACES | CLONE_NEWNET);
  if (child == 0) {
    if (write(ready[1], "r", 1) != 1) {
      _exit(1);
    }
    for (;;) {
      pause();
    }
  }
  char byte;
  int parked = child > 0 && read(ready[0], &byte, 1) == 1;
  /* Until it sleeps. */
  usleep(200);
  uint64_t begin = now();
  int result = parked && kill(child, SIGKILL) == 0 ? reap(child) : -1;
  *time = now() - begin;
  close(ready[0]);
  close(ready[1]);
  return result;
}

/* 64 bytes to another process and back. */
static int round_trip(uint64_t *time) {
  static int near = -1;
  char message[64] = "";
  if (near < 0) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
      return -1;
    }
    pid_t child = fork();
    if (child < 0) {
      return -1;
    }
    if (child == 0) {
      close(ends[0]);
      /* Ends with the parent, whose end of the socket then closes. */
      while (recv(ends[1], message, sizeof message, 0) > 0 && send(ends[1], message, sizeof message, MSG_NOSIGNAL) > 0) {
      }
      _exit(0);
    }
    close(ends[1]);
    near = ends[0];
  }
  uint64_t begin = now();
  int result = send(near, message, sizeof message, MSG_NOSIGNAL) > 0 && recv(near, message, sizeof message, 0) > 0 ? 0 : -1;
  *time = now() - begin;
  return result;
}

static int fork_exit_wait(uint64_t *time) {
  uint64_t begin = now();
  int result = clone_exit_wait(0);
  *time = now() - begin;
  return result;
}

static int system_call(uint64_t *time) {
  uint64_t begin = now();
  for (int i = 0; i < SYSTEM_CALLS; i++) {
    syscall(SYS_getppid);
  }
  *time = (now() - begin) / SYSTEM_CALLS;
  return 0;
}

/* Fresh pages are written to, one by one. */
static int page_fault(uint64_t *time) {
  size_t length = (size_t)PAGES * (size_t)sysconf(_SC_PAGESIZE);
  volatile char *pages = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) {
    return -1;
  }
  madvise((void *)pages, length, MADV_NOHUGEPAGE);
  uint64_t begin = now();
  for (size_t i = 0; i < length; i += length / PAGES) {
    pages[i] = 1;
  }
  *time = (now() - begin) / PAGES;
  return munmap((void *)pages, length);
}

static int repeat(int (*operation)(uint64_t *), uint64_t *times, long count) {
  for (long i = 0; i < count; i++) {
    if (operation(&times[i]) != 0) {
      return -1;
    }
  }
  return 0;
}

static int run(const char *name, uint64_t *times, long count, const char **lacking) {
  if (strcmp(name, "system-call") == 0) return repeat(system_call, times, count);
  if (strcmp(name, "page-fault") == 0) return repeat(page_fault, times, count);
  if (strcmp(name, "fork") == 0) return repeat(fork_exit_wait, times, count);
  if (strcmp(name, "clone-all") == 0) return repeat(clone_all, times, count);
  if (strcmp(name, "clone-without-net") == 0) return repeat(clone_without_net, times, count);
  if (strcmp(name, "clone-by-two") == 0) return clone_by_two(times, count);
  if (strcmp(name, "fork-exec") == 0) return repeat(fork_exec, times, count);
  if (strcmp(name, "kill-wait") == 0) return repeat(kill_wait, times, count);
  if (strcmp(name, "round-trip") == 0) return repeat(round_trip, times, count);
  if (strncmp(name, LIFE, strlen(LIFE)) == 0) return live(name + strlen(LIFE), times, count, lacking);
  errno = EINVAL;
  return -1;
}

int main(int count, char **arguments) {
  if (count != 2) {
    fputs("usage: floor PROGRAM\n", stderr);
    return 2;
  }
  program = arguments[1];
  static uint64_t times[MOST];
  char name[64];
  long calls;
  while (scanf("%63s %ld", name, &calls) == 2) {
    const char *lacking = NULL;
    errno = 0;
    if (calls < 1 || calls > MOST || run(name, times, calls, &lacking) != 0) {
      printf("%s %s: %s\n", lacking != NULL ? "lacking" : "error", name, lacking != NULL ? lacking : strerror(errno));
    } else {
      for (long i = 0; i < calls; i++) {
        printf("%llu ", (unsigned long long)times[i]);
      }
      putchar('\n');
    }
    fflush(stdout);
  }
  return 0;
}
