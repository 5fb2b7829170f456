/* Sixteen threads open, use, cancel and close clients at random, each other's too, with good and broken arguments: every answer
   is typed and nothing is left. Usage: storm DIRECTORY SECONDS [SEED] */
#define _GNU_SOURCE
#include "exports.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>

#define THREADS 16
#define CLIENTS 6
#define SANDBOXES 32
#define ID_SIZE 40

static const char *const codes[] = {
    "",          "INVALID_ARGUMENT",  "NOT_FOUND",   "ALREADY_EXISTS",         "CLOSED",          "CANCELLED",         "TIMEOUT",
    "LIMIT_EXCEEDED", "UNSUPPORTED", "ISOLATION_UNAVAILABLE", "UNAUTHENTICATED", "PERMISSION_DENIED", "RATE_LIMITED",
    "UNAVAILABLE", "INTERNAL",
};
#define CODES (sizeof codes / sizeof *codes)

/* Shared without any order: a handle here may be closed, an id may be gone or another client's. */
static _Atomic e2b_client clients[CLIENTS];
static char ids[SANDBOXES][ID_SIZE];
static pthread_mutex_t ids_mutex = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint64_t answers[CODES], calls = 1, untyped;
static char config[4200], archive[4200];
static double end;

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A generator of its own for each thread. */
struct thread {
    pthread_t thread;
    uint64_t state;
    uint8_t bytes[4096];
};

static uint64_t chance(struct thread *self, uint64_t below)
{
    self->state ^= self->state << 13;
    self->state ^= self->state >> 7;
    self->state ^= self->state << 17;
    return self->state % below;
}

/* Checks an answer and frees it; true when it is a result. */
static bool settle(const char *name, int32_t code, e2b_buffer *out)
{
    char expected[64] = "{";
    bool typed = code >= 0 && code < E2B_STATUS_INTERNAL && out->data != NULL;
    if (typed && code != E2B_STATUS_OK)
        snprintf(expected, sizeof expected, "{\"code\":\"%s\",\"message\":\"", codes[code]);
    typed = typed && out->length > strlen(expected) && memcmp(out->data, expected, strlen(expected)) == 0;
    if (typed)
        atomic_fetch_add(&answers[code], 1);
    else if (atomic_fetch_add(&untyped, 1) < 20)
        fprintf(stderr, "%s: status %d: %.*s\n", name, code, (int)(out->length < 400 ? out->length : 400), (char *)out->data);
    e2b_buffer_free(out);
    e2b_buffer_free(out);
    return code == E2B_STATUS_OK;
}

static void close_one(e2b_client client)
{
    e2b_buffer out = {0};
    settle("e2b_close", e2b_close(client, &out), &out);
}

static void create_one(e2b_client client, struct thread *self)
{
    e2b_buffer out = {0};
    int32_t code = create_e2b_sandbox(client, 0, T("storm"), NONE, 60, 32, 1, &out);
    const char *start = code == E2B_STATUS_OK ? memmem(out.data, out.length, "\"sandbox_id\":\"", 14) : NULL;
    char old[ID_SIZE] = "";
    if (start != NULL) {
        size_t slot = chance(self, SANDBOXES);
        pthread_mutex_lock(&ids_mutex);
        memcpy(old, ids[slot], sizeof old);
        snprintf(ids[slot], sizeof ids[slot], "%.*s", (int)strcspn(start + 14, "\""), start + 14);
        pthread_mutex_unlock(&ids_mutex);
    }
    settle("create_e2b_sandbox", code, &out);
    if (old[0] != '\0') {
        code = terminate_e2b_sandbox(client, 0, T(old), T("true"), &out);
        settle("terminate_e2b_sandbox", code, &out);
    }
}

/* One of the ways to break an argument, or none. */
static void spoil(struct thread *self, const struct argument *argument, struct value *value)
{
    static const int64_t numbers[] = {E2B_ABSENT, INT64_MAX, -1, 0, 1, 86401};
    if (is_integer(argument)) {
        if (chance(self, 4) == 0)
            value->number = numbers[chance(self, sizeof numbers / sizeof *numbers)];
        return;
    }
    switch (chance(self, 24)) {
    case 0: *value = (struct value){0}; break;
    case 1: *value = (struct value){NULL, 5, 0}; break;
    case 2: value->length = UINT64_MAX; break;
    case 3: value->length = 0; break;
    case 4: *value = (struct value){(const uint8_t *)"a\0b", 3, 0}; break;
    case 5: *value = (struct value){(const uint8_t *)"\xed\xa0\x80", 3, 0}; break;
    case 6: *value = (struct value){self->bytes, chance(self, sizeof self->bytes), 0}; break;
    default: break;
    }
}

static void use_one(e2b_client client, struct thread *self)
{
    const struct export *export = &exports[chance(self, EXPORTS)];
    /* Checking the host and opening start a process each: not at every turn. */
    bool dear = export->call == call_e2b_check || export->call == call_e2b_open || export->call == call_e2b_close;
    if (dear && chance(self, 20) != 0)
        export = export_named("run_e2b_code");
    struct value values[MOST_ARGUMENTS] = {{0}};
    char id[ID_SIZE];
    pthread_mutex_lock(&ids_mutex);
    memcpy(id, ids[chance(self, SANDBOXES)], sizeof id);
    pthread_mutex_unlock(&ids_mutex);
    pass(export, values, id, archive);
    for (int index = 0; index < MOST_ARGUMENTS && export->arguments[index].kind != 0; index++)
        spoil(self, &export->arguments[index], &values[index]);
    e2b_buffer out = {0};
    settle(export->name, export->call(client, chance(self, 2) ? atomic_fetch_add(&calls, 1) : 0, values, &out), &out);
}

static void *storm(void *argument)
{
    struct thread *self = argument;
    for (size_t index = 0; index < sizeof self->bytes; index++)
        self->bytes[index] = (uint8_t)(1 + chance(self, 255));
    /* On a busy machine the time may be over before much was tried. */
    for (int round = 0; round < 50 || seconds() < end; round++) {
        size_t slot = chance(self, CLIENTS);
        e2b_client client = atomic_load(&clients[slot]);
        e2b_buffer out = {0};
        switch (chance(self, 64)) {
        case 0: case 1: {
            e2b_client opened = 0;
            if (settle("e2b_open", e2b_open(T(config), &opened, &out), &out))
                close_one(atomic_exchange(&clients[slot], opened));
            break;
        }
        case 2: /* The handle stays in its place: everybody's next calls find it closed. */
            close_one(client);
            break;
        case 3: case 4: case 5: {
            /* Probably somebody else's call, in flight right now. */
            uint64_t call = atomic_load(&calls) - chance(self, THREADS);
            settle("e2b_cancel", e2b_cancel(client, call, &out), &out);
            break;
        }
        case 6: {
            char id[ID_SIZE];
            pthread_mutex_lock(&ids_mutex);
            memcpy(id, ids[chance(self, SANDBOXES)], sizeof id);
            pthread_mutex_unlock(&ids_mutex);
            int32_t code = execute_e2b_process(client, atomic_fetch_add(&calls, 1), T(id), T("sleep 0.2"), NONE, 5, NONE, &out);
            settle("execute_e2b_process", code, &out);
            break;
        }
        case 7: case 8: case 9: case 10: case 11: case 12: create_one(client, self); break;
        default: use_one(client, self); break;
        }
    }
    return NULL;
}

static int descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int number = 0;
    while (directory != NULL && readdir(directory) != NULL)
        number++;
    if (directory != NULL)
        closedir(directory);
    return number;
}

int main(int count, char **arguments)
{
    if (count != 3 && count != 4) {
        fprintf(stderr, "usage: storm DIRECTORY SECONDS [SEED]\n");
        return 2;
    }
    uint64_t seed = count == 4 ? strtoull(arguments[3], NULL, 10) : (uint64_t)time(NULL);
    printf("storm: seed %" PRIu64 "\n", seed);
    fflush(stdout);
    snprintf(config, sizeof config, "{\"pool_base\":1,\"pool_python\":0,\"pool_node\":0,\"data_directory\":\"%.4000s\"}", arguments[1]);
    snprintf(archive, sizeof archive, "%s/archive", arguments[1]);
    e2b_client first = 0;
    CALL(e2b_open(T(config), &first, &out));
    if (cannot_isolate()) {
        free(answer);
        return report("storm");
    }
    EXPECT_OK;
    CALL(e2b_close(first, &out));
    EXPECT_OK;
    int before = descriptors();

    end = seconds() + strtod(arguments[2], NULL);
    struct thread threads[THREADS];
    for (size_t index = 0; index < THREADS; index++) {
        threads[index].state = (seed + index + 1) * 0x9e3779b97f4a7c15 | 1;
        CHECK(pthread_create(&threads[index].thread, NULL, storm, &threads[index]) == 0);
    }
    for (size_t index = 0; index < THREADS; index++)
        CHECK(pthread_join(threads[index].thread, NULL) == 0);
    for (size_t slot = 0; slot < CLIENTS; slot++)
        close_one(clients[slot]);

    CHECK(untyped == 0);
    printf("storm: %" PRIu64 " results", (uint64_t)answers[0]);
    for (size_t code = 1; code < CODES; code++)
        if (answers[code] > 0)
            printf(", %" PRIu64 " %s", (uint64_t)answers[code], codes[code]);
    printf("\n");
    /* All of it was tried in earnest. */
    CHECK(answers[E2B_STATUS_OK] > 10 && answers[E2B_STATUS_CLOSED] > 0 && answers[E2B_STATUS_INVALID_ARGUMENT] > 0 &&
          answers[E2B_STATUS_NOT_FOUND] > 0);
    expect_counts(0, 0, 0, 0);
    int after = descriptors();
    if (!CHECK(after <= before))
        fprintf(stderr, "    %d descriptors before, %d after\n", before, after);
    errno = 0;
    CHECK(waitpid(-1, NULL, WNOHANG | __WALL) == -1 && errno == ECHILD);
    free(answer);
    return report("storm");
}
