/* Makes system calls that never happen, and tells what the filters above this program say of each.
 *
 * A filter of its own hands every call to a listener, which answers it with an error in the place of the kernel. The kernel asks all
 * filters and takes the strictest answer: an error of a filter above comes before the listener. So the listener hears exactly of the
 * calls that are allowed, and the arguments are never looked at by anybody but filters.
 *
 * Input, argv[1]: a file of lines "number argument1 ... argument6", all hexadecimal. Output, a line for each: "allowed", or the errno. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What no filter answers. */
#define HEARD EHWPOISON

static struct { unsigned long number, arguments[6]; long result; } *calls;
static size_t count;
static volatile int listener = -1, done;

static long call(unsigned long number, const unsigned long *arguments) {
    long result = (long)number;
    register unsigned long fourth __asm__("r10") = arguments[3];
    register unsigned long fifth __asm__("r8") = arguments[4];
    register unsigned long sixth __asm__("r9") = arguments[5];
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(arguments[0]), "S"(arguments[1]), "d"(arguments[2]), "r"(fourth), "r"(fifth), "r"(sixth)
                     : "rcx", "r11", "memory");
    return result;
}

static void *caller(void *unused) {
    static const unsigned long none[6];
    struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF)};
    struct sock_fprog program = {1, code};
    (void)unused;
    listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    if (listener < 0)
        return NULL;
    /* From here on nothing but system calls that the listener answers. */
    for (size_t i = 0; i < count; i++)
        calls[i].result = call(calls[i].number, calls[i].arguments);
    done = 1;
    for (;;)
        call(SYS_getpid, none);
}

int main(int argc, char **argv) {
    FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (!file)
        return 2;
    size_t room = 0;
    for (;;) {
        if (count == room) {
            room = room ? 2 * room : 1024;
            calls = realloc(calls, room * sizeof *calls);
            if (!calls)
                return 3;
        }
        unsigned long *a = calls[count].arguments;
        if (fscanf(file, "%lx %lx %lx %lx %lx %lx %lx", &calls[count].number, a, a + 1, a + 2, a + 3, a + 4, a + 5) != 7)
            break;
        count++;
    }
    pthread_t thread;
    if (pthread_create(&thread, NULL, caller, NULL))
        return 4;
    for (int i = 0; listener < 0 && i < 5000; i++)
        usleep(1000);
    while (!done) {
        struct seccomp_notif heard;
        memset(&heard, 0, sizeof heard);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &heard)) {
            if (errno == EINTR)
                continue;
            return 5;
        }
        struct seccomp_notif_resp answer = {.id = heard.id, .error = -HEARD};
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer))
            return 6;
    }
    for (size_t i = 0; i < count; i++) {
        if (calls[i].result == -HEARD)
            puts("allowed");
        else
            printf("%ld\n", -calls[i].result);
    }
    fflush(stdout);
    _exit(0);
}
