/* Loading the library, and calling it, changes no signal disposition and prints nothing. Usage: load LIBRARY */
#define _GNU_SOURCE
#include "check.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The signal lines of /proc/self/status: blocked, ignored, caught. */
static void signals(char *text, size_t size)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    text[0] = '\0';
    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file))
        if (strncmp(line, "SigBlk", 6) == 0 || strncmp(line, "SigIgn", 6) == 0 || strncmp(line, "SigCgt", 6) == 0) {
            /* Signals 32 and 33 are the C library's own: it catches them from the first thread on. */
            unsigned long long set = strtoull(line + 7, NULL, 16) & ~(3ULL << 31);
            size_t length = strlen(text);
            snprintf(text + length, size - length, "%.6s %016llx\n", line, set);
        }
    fclose(file);
}

static int threads(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    int number = -1;
    if (file == NULL)
        return -1;
    while (fgets(line, sizeof line, file))
        sscanf(line, "Threads: %d", &number);
    fclose(file);
    return number;
}

int main(int count, char **arguments)
{
    char before[512], after[512], used[512];
    if (count != 2) {
        fprintf(stderr, "usage: load LIBRARY\n");
        return 2;
    }
    signals(before, sizeof before);
    CHECK(strlen(before) > 60);
    /* Both streams into memory while the library works. */
    int captured = memfd_create("captured", MFD_CLOEXEC);
    int out = fcntl(1, F_DUPFD_CLOEXEC, 3), err = fcntl(2, F_DUPFD_CLOEXEC, 3);
    bool ready = captured >= 0 && out >= 0 && err >= 0 && dup2(captured, 1) == 1 && dup2(captured, 2) == 2;

    void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    signals(after, sizeof after);
    int threads_after = threads();
    uint32_t version = 0;
    int32_t opened = -1, closed = -1;
    if (library != NULL) {
        uint32_t (*abi_version)(void);
        int32_t (*open)(const uint8_t *, uint64_t, e2b_client *, e2b_buffer *);
        int32_t (*close)(e2b_client, e2b_buffer *);
        void (*release)(e2b_buffer *);
        *(void **)&abi_version = dlsym(library, "e2b_abi_version");
        *(void **)&open = dlsym(library, "e2b_open");
        *(void **)&close = dlsym(library, "e2b_close");
        *(void **)&release = dlsym(library, "e2b_buffer_free");
        version = abi_version();
        e2b_client client = 0;
        e2b_buffer buffer = {0};
        opened = open(NONE, &client, &buffer);
        release(&buffer);
        closed = close(client, &buffer);
        release(&buffer);
    }
    signals(used, sizeof used);

    dup2(out, 1);
    dup2(err, 2);
    struct stat written = {0};
    CHECK(ready);
    if (!CHECK(library != NULL))
        fprintf(stderr, "    %s\n", dlerror());
    CHECK(version == E2B_ABI_VERSION);
    CHECK(strcmp(before, after) == 0);
    CHECK(strcmp(before, used) == 0);
    CHECK(threads_after == 1);
    /* A host without isolation refuses to open, and then there is nothing to close. */
    CHECK(opened == E2B_STATUS_OK ? closed == E2B_STATUS_OK : closed == E2B_STATUS_INVALID_ARGUMENT);
    CHECK(fstat(captured, &written) == 0 && written.st_size == 0);
    /* The library stays: its threads, if any, still need their code. */
    CHECK(library != NULL && dlclose(library) == 0);
    CHECK(dlopen(arguments[1], RTLD_NOW | RTLD_NOLOAD) != NULL);
    return report("load");
}
