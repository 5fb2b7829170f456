/*
 * The life of a sandbox, step by step, with nothing around it: no protocol, no supervision, no engine. Processes make such lives as fast
 * as they can; what they sustain is about what an engine with the same containment can hope for.
 */
#define _GNU_SOURCE
#include "sustained.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_PROCESSES 8
#define PAGE 4096
/* What a worker has to itself after a first run: about 200 KiB. */
#define PAGES 50
#define MOST_GROUPS 4
#define MEMORY_LIMIT "536870912"
#define PROCESS_LIMIT "128"
#define QUOTA "100000"

/* In the order of a life; each life has all steps up to one of them. */
enum step { OWN_NAMESPACES, KEPT_NETWORK, IDS, FILES, PRIVILEGES, ANSWER, WORKER, CGROUPS };
static const char *const STEPS[] = {"namespaces", "network", "ids", "files", "privileges", "answer", "worker", "cgroups"};

/* Where groups of cgroup v1 go, and what limits them. */
struct home {
  char directory[512];
  const char *limit;
  const char *value;
};

static const struct {
  const char *name;
  const char *limit;
  const char *value;
} CONTROLLERS[MOST_GROUPS] = {{"memory", "memory.limit_in_bytes", MEMORY_LIMIT},
                              {"pids", "pids.max", PROCESS_LIMIT},
                              {"cpu", "cpu.cfs_quota_us", QUOTA},
                              {"cpuacct", NULL, NULL}};

static enum step last_step;
/* Tells the groups of this program from those of others. */
static int run;
static struct home homes[MOST_GROUPS];
static int home_count;
/* Of one of the processes. */
static int own_network, kept_network, rules;
static char *memory;

pid_t clone_into(uint64_t flags) {
  struct clone_args arguments;
  memset(&arguments, 0, sizeof arguments);
  arguments.flags = flags;
  arguments.exit_signal = SIGCHLD;
  return (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
}

int reap(pid_t child) {
  int status;
  return waitpid(child, &status, 0) == child ? 0 : -1;
}

int clone_exit_wait(uint64_t flags) {
  pid_t child = clone_into(flags);
  if (child == 0) {
    _exit(0);
  }
  return child < 0 ? -1 : reap(child);
}

/* Ends a process that failed; 0 would be success. */
static void fail(void) {
  _exit(errno != 0 ? errno : EIO);
}

uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int write_to(const char *text, const char *format, ...) {
  char path[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(path, sizeof path, format, arguments);
  va_end(arguments);
  int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) {
    return -1;
  }
  ssize_t written = write(file, text, strlen(text));
  close(file);
  return written < 0 ? -1 : 0;
}

/* Several processes do something over and over, after each has prepared itself; the clock runs once all have. */
static int together(int processes, int (*prepare)(void), int (*once)(int process, long turn), uint64_t *times, long count) {
  int ready[2], go[2];
  if (pipe(ready) != 0 || pipe(go) != 0) {
    return -1;
  }
  pid_t workers[MOST_PROCESSES];
  long turns = (count + processes - 1) / processes;
  int result = 0;
  for (int i = 0; i < processes; i++) {
    workers[i] = fork();
    if (workers[i] == 0) {
      close(go[1]);
      close(ready[0]);
      char byte = 0;
      if (prepare() != 0 || write(ready[1], &byte, 1) != 1) {
        fail();
      }
      /* The last one to do so is seen by the parent, should another never be ready. */
      close(ready[1]);
      if (read(go[0], &byte, 1) < 0) {
        fail();
      }
      for (long turn = 0; turn < turns; turn++) {
        if (once(i, turn) != 0) {
          fail();
        }
      }
      _exit(0);
    }
  }
  close(ready[1]);
  char byte;
  for (int i = 0; i < processes; i++) {
    /* The end, when one could not prepare itself. */
    if (read(ready[0], &byte, 1) != 1) {
      break;
    }
  }
  uint64_t begin = now();
  close(go[1]);
  for (int i = 0; i < processes; i++) {
    int status = -1;
    if (workers[i] < 0 || waitpid(workers[i], &status, 0) != workers[i] || status != 0) {
      errno = workers[i] > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : ECHILD;
      result = -1;
    }
  }
  uint64_t each = (now() - begin) / (uint64_t)(turns * processes);
  for (long i = 0; i < count; i++) {
    times[i] = each;
  }
  int failure = errno;
  close(ready[0]);
  close(go[0]);
  errno = failure;
  return result;
}

static int nothing(void) {
  return 0;
}

static int clone_all_once(int process, long turn) {
  (void)process, (void)turn;
  return clone_exit_wait(NAMESPACES | CLONE_NEWNET);
}

int clone_by_two(uint64_t *times, long count) {
  return together(2, nothing, clone_all_once, times, count);
}

static const char *group(int home, int process, long turn) {
  static char directory[640];
  snprintf(directory, sizeof directory, "%.511s/floor-%d-%d-%ld", homes[home].directory, run, process, turn);
  return directory;
}

/* The steps of the sandbox's first process; then it ends, or waits to be killed. */
static void first_process(int socket, int process, long turn) {
  char message[64];
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || (last_step >= IDS && read(socket, message, 1) != 1)) {
    fail();
  }
  for (int i = 0; last_step >= CGROUPS && i < home_count; i++) {
    if (write_to("0", "%s/tasks", group(i, process, turn)) != 0) {
      fail();
    }
  }
  if (last_step >= FILES && (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0 ||
                             mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "size=64m,mode=0755") != 0)) {
    fail();
  }
  if (last_step >= PRIVILEGES) {
    if (write_to("0", "/proc/sys/user/max_user_namespaces") != 0 || (rules >= 0 && syscall(SYS_landlock_restrict_self, rules, 0) != 0)) {
      fail();
    }
    for (unsigned long capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; capability++) {
    }
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2];
    memset(none, 0, sizeof none);
    if (syscall(SYS_capset, &header, none) != 0) {
      fail();
    }
  }
  if (last_step < ANSWER) {
    _exit(0);
  }
  pid_t worker = last_step >= WORKER ? fork() : 0;
  if (worker < 0) {
    fail();
  }
  if (worker == 0) {
    for (long i = 0; i < PAGES; i++) {
      memory[i * PAGE]++;
    }
    if (read(socket, message, sizeof message) != sizeof message || write(socket, message, sizeof message) != sizeof message) {
      fail();
    }
  } else {
    close(socket);
  }
  for (;;) {
    pause();
  }
}

static int make_groups(int process, long turn) {
  for (int i = 0; i < home_count; i++) {
    const char *directory = group(i, process, turn);
    if (mkdir(directory, 0755) != 0 || (homes[i].limit != NULL && write_to(homes[i].value, "%s/%s", directory, homes[i].limit) != 0)) {
      return -1;
    }
  }
  return 0;
}

static int remove_groups(int process, long turn) {
  int result = 0;
  for (int i = 0; i < home_count; i++) {
    if (rmdir(group(i, process, turn)) != 0) {
      result = -1;
    }
  }
  return result;
}

/* From the clone to its answer. */
static int lead(pid_t child, int ends[2]) {
  if (last_step >= KEPT_NETWORK && setns(own_network, CLONE_NEWNET) != 0) {
    return -1;
  }
  if (last_step >= IDS && (write_to("deny", "/proc/%d/setgroups", child) != 0 || write_to("0 0 1", "/proc/%d/gid_map", child) != 0 ||
                           write_to("0 0 1", "/proc/%d/uid_map", child) != 0 || write(ends[0], "", 1) != 1)) {
    return -1;
  }
  if (last_step < ANSWER) {
    return 0;
  }
  char message[64] = "";
  close(ends[1]);
  ends[1] = -1;
  if (write(ends[0], message, sizeof message) != sizeof message || read(ends[0], message, sizeof message) != sizeof message) {
    return -1;
  }
  return kill(child, SIGKILL);
}

/* Whatever fails, nothing is left of it. */
static int life(int process, long turn) {
  int ends[2] = {-1, -1};
  pid_t child = -1;
  errno = 0;
  if (last_step >= IDS && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return -1;
  }
  int result = last_step >= CGROUPS ? make_groups(process, turn) : 0;
  if (result == 0 && last_step >= KEPT_NETWORK) {
    result = setns(kept_network, CLONE_NEWNET);
  }
  if (result == 0) {
    child = clone_into(NAMESPACES);
    if (child == 0) {
      first_process(ends[1], process, turn);
    }
    result = child > 0 ? lead(child, ends) : -1;
  }
  int failure = errno;
  if (child > 0) {
    if (result != 0) {
      kill(child, SIGKILL);
    }
    int status = -1;
    if (waitpid(child, &status, 0) != child || (WIFEXITED(status) && WEXITSTATUS(status) != 0)) {
      failure = WIFEXITED(status) ? WEXITSTATUS(status) : ECHILD;
      result = -1;
    }
  }
  for (int i = 0; i < 2; i++) {
    if (ends[i] >= 0) {
      close(ends[i]);
    }
  }
  if (last_step >= CGROUPS && remove_groups(process, turn) != 0 && result == 0) {
    return -1;
  }
  errno = failure;
  return result;
}

/* What is made once for many lives: root of a user namespace where this process is nobody, private mounts, a network, rules, memory. */
static int prepare_lives(void) {
  char ids[64];
  uid_t user = geteuid();
  snprintf(ids, sizeof ids, "0 %u 1", user);
  if (user != 0) {
    char groups[64];
    snprintf(groups, sizeof groups, "0 %u 1", getegid());
    if (unshare(CLONE_NEWUSER) != 0 || write_to("deny", "/proc/self/setgroups") != 0 || write_to(groups, "/proc/self/gid_map") != 0 ||
        write_to(ids, "/proc/self/uid_map") != 0) {
      return -1;
    }
  }
  if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
    return -1;
  }
  own_network = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  if (own_network < 0 || unshare(CLONE_NEWNET) != 0) {
    return -1;
  }
  kept_network = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  if (kept_network < 0) {
    return -1;
  }
  if (user == 0) {
    if (setns(own_network, CLONE_NEWNET) != 0) {
      return -1;
    }
  } else {
    /* The host's cannot be gone back to from here: another empty one takes its place. */
    if (unshare(CLONE_NEWNET) != 0) {
      return -1;
    }
    close(own_network);
    own_network = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  }
  struct landlock_ruleset_attr handled = {.handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_CHAR};
  /* A kernel without it has one step less. */
  rules = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0);
  memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return -1;
  }
  memset(memory, 1, PAGES * PAGE);
  return 0;
}

/* Groups go below those of this process. */
static void find_homes(void) {
  home_count = 0;
  FILE *groups = fopen("/proc/self/cgroup", "re");
  char line[512];
  while (groups != NULL && fgets(line, sizeof line, groups) != NULL) {
    char names[64], path[256];
    if (sscanf(line, "%*d:%63[^:]:%255s", names, path) != 2) {
      continue;
    }
    for (size_t i = 0; i < MOST_GROUPS; i++) {
      char list[80], wanted[32];
      snprintf(list, sizeof list, ",%s,", names);
      snprintf(wanted, sizeof wanted, ",%s,", CONTROLLERS[i].name);
      /* Controllers that are mounted together share a group. */
      int shared = strcmp(CONTROLLERS[i].name, "cpuacct") == 0 && strstr(list, ",cpu,") != NULL;
      if (strstr(list, wanted) != NULL && !shared && home_count < MOST_GROUPS) {
        struct home *home = &homes[home_count++];
        snprintf(home->directory, sizeof home->directory, "/sys/fs/cgroup/%s%s", names, path);
        home->limit = CONTROLLERS[i].limit;
        home->value = CONTROLLERS[i].value;
      }
    }
  }
  if (groups != NULL) {
    fclose(groups);
  }
}

int live(const char *step, uint64_t *times, long count, const char **lacking) {
  size_t number = 0;
  while (number < sizeof STEPS / sizeof STEPS[0] && strcmp(step, STEPS[number]) != 0) {
    number++;
  }
  if (number == sizeof STEPS / sizeof STEPS[0]) {
    errno = EINVAL;
    return -1;
  }
  last_step = (enum step)number;
  run = getpid();
  if (last_step == CGROUPS) {
    find_homes();
    for (int i = 0; i < home_count; i++) {
      if (access(homes[i].directory, W_OK) != 0) {
        home_count = 0;
      }
    }
    if (home_count == 0) {
      *lacking = "no groups of cgroup v1 that this user may make";
      return -1;
    }
  }
  return together(MOST_PROCESSES, prepare_lives, life, times, count);
}
