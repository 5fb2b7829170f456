/* A sandbox's life through the C ABI: real sandboxes, so it needs a host that can isolate. */
#define _GNU_SOURCE
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static e2b_client client;
static char id[160];

static void open_client(void)
{
    CALL(e2b_open(T("{\"backend\":\"local\",\"pool_base\":0,\"pool_python\":0,\"pool_node\":0}"), &client, &out));
}

/* Counts the processes below one, and how many of them hold a file whose name starts so. */
static void holders(long process, const char *name, int *processes, int *holding)
{
    char path[64], link[256];
    snprintf(path, sizeof path, "/proc/%ld/fd", process);
    DIR *directory = opendir(path);
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        ssize_t length = readlinkat(dirfd(directory), entry->d_name, link, sizeof link);
        *holding += length >= (ssize_t)strlen(name) && memcmp(link, name, strlen(name)) == 0;
    }
    if (directory != NULL)
        closedir(directory);
    snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", process, process);
    FILE *children = fopen(path, "r");
    for (long child; children != NULL && fscanf(children, "%ld", &child) == 1;) {
        ++*processes;
        holders(child, name, processes, holding);
    }
    if (children != NULL)
        fclose(children);
}

/* A descriptor that this process left open on exec, as JVMs and other libraries do, reaches no process of the engine. */
static void leaked_descriptor(void)
{
    int leaked = memfd_create("leaked", 0);
    CHECK(leaked >= 0 && fcntl(leaked, F_GETFD) == 0);
    open_client();
    EXPECT_OK;
    CALL(create_e2b_sandbox(client, 0, T("box"), NONE, E2B_ABSENT, 64, E2B_ABSENT, &out));
    EXPECT_OK;
    CHECK_IN(answer, string_at("sandbox_id", id, sizeof id));
    CALL(execute_e2b_process(client, 0, T(id), T("ls -l /proc/self/fd; sleep 60 & sleep 0.2"), NONE, E2B_ABSENT, NONE, &out));
    EXPECT_OK;
    CHECK_IN(answer, has("\"exit_code\":0") && has("/dev/null") && !has("leaked"));
    int processes = 0, holding = 0;
    holders(getpid(), "/memfd:leaked", &processes, &holding);
    /* Supervisor, zygote, init, shepherd, sleep; and this process alone holds it. */
    CHECK(processes >= 4 && holding == 1);
    close(leaked);
    CALL(e2b_close(client, &out));
    EXPECT_OK;
    expect_counts(0, 0, 0, 0);
}

static void create(void)
{
    /* Absent and 0 differ: 0 is refused, absent is the default. */
    CALL(create_e2b_sandbox(client, 0, T("box"), NONE, 0, E2B_ABSENT, E2B_ABSENT, &out));
    EXPECT_ERROR(E2B_STATUS_INVALID_ARGUMENT, "INVALID_ARGUMENT");
    CHECK_IN(answer, has("\"argument\":\"timeout\""));
    CALL(create_e2b_sandbox(client, 0, NONE, NONE, E2B_ABSENT, E2B_ABSENT, E2B_ABSENT, &out));
    EXPECT_ERROR(E2B_STATUS_INVALID_ARGUMENT, "INVALID_ARGUMENT");
    CHECK_IN(answer, has("\"argument\":\"name\""));
    CALL(create_e2b_sandbox(client, 0, T("box"), T("no-such-template"), E2B_ABSENT, E2B_ABSENT, E2B_ABSENT, &out));
    EXPECT_ERROR(E2B_STATUS_NOT_FOUND, "NOT_FOUND");
    CHECK_IN(answer, has("base") && has("python") && has("node"));
    expect_counts(1, 0, 0, 0);

    CALL(create_e2b_sandbox(client, 0, T("box"), NONE, E2B_ABSENT, 64, E2B_ABSENT, &out));
    EXPECT_OK;
    CHECK_IN(answer, has("\"name\":\"box\"") && has("\"status\":\"running\"") && has("\"template\":\"base\""));
    CHECK_IN(answer, has("\"timeout\":3600") && has("\"memory_mb\":64") && has("\"cpu_count\":1"));
    CHECK_IN(answer, string_at("sandbox_id", id, sizeof id) && strncmp(id, "sb_", 3) == 0 && strlen(id) >= 23);
    expect_counts(1, 0, 0, 1);
}

static void look(void)
{
    CALL(list_e2b_sandboxes(client, 0, NONE, &out));
    EXPECT_OK;
    CHECK_IN(answer, has("\"total_count\":1") && has(id));
    CALL(list_e2b_sandboxes(client, 0, T("terminated"), &out));
    EXPECT_OK;
    CHECK_IN(answer, has("\"total_count\":0"));
    CALL(get_e2b_sandbox_status(client, 0, T(id), &out));
    EXPECT_OK;
    CHECK_IN(answer, has("\"status\":\"running\"") && has("\"metrics\":{") && has(id));
    CALL(get_e2b_sandbox_status(client, 0, T("sb_aaaaaaaaaaaaaaaaaaaaaaaaaa"), &out));
    EXPECT_ERROR(E2B_STATUS_NOT_FOUND, "NOT_FOUND");
    CALL(set_e2b_timeout(client, 0, T(id), 120, &out));
    EXPECT_OK;
    CHECK_IN(answer, has("\"timeout\":120"));
    CALL(monitor_e2b_health(client, 0, T("true"), &out));
    EXPECT_OK;
    CHECK_IN(answer, has("\"overall_health\":\"healthy\"") && has(id) && has("\"create_e2b_sandbox\":{\"count\":4,\"errors\":3"));
}

static void execute(void)
{
    CALL(execute_e2b_process(client, 0, T(id), T("echo out; echo err >&2; exit 3"), NONE, E2B_ABSENT, NONE, &out));
    EXPECT_OK;
    CHECK_IN(answer, has("\"exit_code\":3") && has("\"stdout\":\"out\\n\"") && has("\"stderr\":\"err\\n\""));
    /* With args there is no shell; an empty list is not an absent one. */
    CALL(execute_e2b_process(client, 0, T(id), T("echo"), T("[\"$HOME\",\"a  b\"]"), 10, T("true"), &out));
    EXPECT_OK;
    CHECK_IN(answer, has("\"stdout\":\"$HOME a  b\\n\""));
    CALL(execute_e2b_process(client, 0, T(id), T("echo out"), T("[]"), 10, NONE, &out));
    EXPECT_OK;
    CHECK_IN(answer, has("\"exit_code\":127"));
    CALL(execute_e2b_process(client, 0, T(id), T("echo out"), NONE, 10, T("false"), &out));
    EXPECT_OK;
    CHECK_IN(answer, has("\"exit_code\":0") && has("\"stdout\":\"\""));
    CALL(execute_e2b_process(client, 0, T(id), T("sleep 30"), NONE, 1, NONE, &out));
    EXPECT_OK;
    CHECK_IN(answer, has("\"timed_out\":true") && has("\"exit_code\":-1"));
}

static void code(void)
{
    CALL(run_e2b_code(client, 0, T(id), T("javascript"), T("console.log('hi'); 6*7"), NONE, E2B_ABSENT, &out));
    EXPECT_OK;
    CHECK_IN(answer, has("\"stdout\":\"hi\\n\"") && has("\"result\":\"42\"") && has("\"error\":null"));
    CALL(run_e2b_code(client, 0, T(id), T("js"), T("null.x"), NONE, 5, &out));
    EXPECT_OK;
    CHECK_IN(answer, has("\"name\":\"TypeError\""));
    CALL(run_e2b_code(client, 0, T(id), T("cobol"), T(""), NONE, 5, &out));
    EXPECT_ERROR(E2B_STATUS_INVALID_ARGUMENT, "INVALID_ARGUMENT");
    CALL(run_e2b_code(client, 0, T(id), T("python"), T("1"), NONE, 5, &out));
    EXPECT_ERROR(E2B_STATUS_UNSUPPORTED, "UNSUPPORTED");
}

static void files(void)
{
    static const uint8_t content[] = {0, 1, 0xff, 'x'};
    CALL(write_e2b_file(client, 0, T(id), T("deep/er/file"), content, sizeof content, &out));
    EXPECT_OK;
    CHECK_IN(answer, has("\"size\":4") && has("\"path\":\"/home/user/deep/er/file\""));
    CALL(read_e2b_file(client, 0, T(id), T("/home/user/deep/er/file"), &out));
    EXPECT_OK;
    CHECK_IN(answer, has("\"content_base64\":\"AAH/eA==\""));
    CALL(write_e2b_file(client, 0, T(id), T("empty"), (const uint8_t *)"", 0, &out));
    EXPECT_OK;
    CALL(write_e2b_file(client, 0, T(id), T("empty"), NONE, &out));
    EXPECT_ERROR(E2B_STATUS_INVALID_ARGUMENT, "INVALID_ARGUMENT");
    CHECK_IN(answer, has("\"argument\":\"content\""));
    CALL(read_e2b_file(client, 0, T(id), T("none"), &out));
    EXPECT_ERROR(E2B_STATUS_NOT_FOUND, "NOT_FOUND");
}

static void templates(void)
{
    CALL(list_e2b_templates(client, 0, &out));
    EXPECT_OK;
    CHECK_IN(answer, has("\"template_name\":\"base\"") && has("\"built_in\":true"));
    CALL(export_e2b_template(client, 0, T(id), T("base"), NONE, &out));
    EXPECT_ERROR(E2B_STATUS_ALREADY_EXISTS, "ALREADY_EXISTS");
    CALL(delete_e2b_template(client, 0, T("never-was"), &out));
    EXPECT_ERROR(E2B_STATUS_NOT_FOUND, "NOT_FOUND");
}

/* What a thread's long execution ended with. */
struct execution {
    uint64_t call;
    int32_t status;
    bool named;
};

static void *long_execution(void *argument)
{
    struct execution *execution = argument;
    e2b_buffer out = {0};
    execution->status = execute_e2b_process(client, execution->call, T(id), T("sleep 60"), NONE, 60, NONE, &out);
    const char *name = execution->status == E2B_STATUS_CANCELLED ? "\"CANCELLED\"" : "\"CLOSED\"";
    execution->named = memmem(out.data, out.length, name, strlen(name)) != NULL;
    e2b_buffer_free(&out);
    return NULL;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void pause_ms(long milliseconds)
{
    nanosleep(&(struct timespec){milliseconds / 1000, milliseconds % 1000 * 1000000}, NULL);
}

static void cancel(void)
{
    struct execution execution = {.call = 9};
    pthread_t thread;
    if (!CHECK(pthread_create(&thread, NULL, long_execution, &execution) == 0))
        return;
    bool cancelled = false;
    double start = seconds();
    pause_ms(100);
    while (!cancelled && seconds() - start < 10) {
        CALL(e2b_cancel(client, 9, &out));
        EXPECT_OK;
        cancelled = has("{\"cancelled\":true}");
        if (!cancelled)
            pause_ms(10);
    }
    CHECK(cancelled);
    pthread_join(thread, NULL);
    CHECK(seconds() - start < 10);
    CHECK(execution.status == E2B_STATUS_CANCELLED && execution.named);
    CALL(e2b_cancel(client, 9, &out));
    CHECK_IN(answer, has("{\"cancelled\":false}"));
    /* The sandbox is as good as before. */
    CALL(execute_e2b_process(client, 9, T(id), T("true"), NONE, 10, NONE, &out));
    EXPECT_OK;
    CHECK_IN(answer, has("\"exit_code\":0"));
}

static void terminate(void)
{
    CALL(terminate_e2b_sandbox(client, 0, T(id), T("TRUE"), &out));
    EXPECT_ERROR(E2B_STATUS_INVALID_ARGUMENT, "INVALID_ARGUMENT");
    CALL(terminate_e2b_sandbox(client, 0, T(id), NONE, &out));
    EXPECT_OK;
    CHECK_IN(answer, has("\"status\":\"terminated\"") && has(id));
    expect_counts(1, 0, 0, 0);
    CALL(get_e2b_sandbox_status(client, 0, T(id), &out));
    EXPECT_OK;
    CHECK_IN(answer, has("\"status\":\"terminated\""));
    CALL(execute_e2b_process(client, 0, T(id), T("true"), NONE, 10, NONE, &out));
    EXPECT_ERROR(E2B_STATUS_NOT_FOUND, "NOT_FOUND");
    CHECK_IN(answer, has("\"status\":\"terminated\""));
}

/* Closing while a call is in flight: it ends, the client is gone, the handle stays dead. */
static void close_during_a_call(void)
{
    CALL(create_e2b_sandbox(client, 0, T("second"), NONE, E2B_ABSENT, 64, E2B_ABSENT, &out));
    EXPECT_OK;
    CHECK_IN(answer, string_at("sandbox_id", id, sizeof id));
    struct execution execution = {0};
    pthread_t thread;
    if (!CHECK(pthread_create(&thread, NULL, long_execution, &execution) == 0))
        return;
    pause_ms(200);
    double start = seconds();
    CALL(e2b_close(client, &out));
    EXPECT_OK;
    CHECK_IN(answer, has("{\"closed\":true}"));
    pthread_join(thread, NULL);
    CHECK(seconds() - start < 10);
    CHECK(execution.status == E2B_STATUS_CLOSED && execution.named);
    CALL(e2b_close(client, &out));
    EXPECT_OK;
    CHECK_IN(answer, has("{\"closed\":false}"));
    CALL(list_e2b_sandboxes(client, 0, NONE, &out));
    EXPECT_ERROR(E2B_STATUS_CLOSED, "CLOSED");
    CALL(e2b_cancel(client, 1, &out));
    EXPECT_ERROR(E2B_STATUS_CLOSED, "CLOSED");
    expect_counts(0, 0, 0, 0);
}

/* Clients one after another reuse a slot and never a handle. */
static void reopen(void)
{
    e2b_client before = client;
    for (int round = 0; round < 3; round++) {
        open_client();
        EXPECT_OK;
        CHECK(client != before && client != 0);
        CALL(list_e2b_templates(before, 0, &out));
        EXPECT_ERROR(E2B_STATUS_CLOSED, "CLOSED");
        CALL(e2b_close(client, &out));
        EXPECT_OK;
        before = client;
    }
    expect_counts(0, 0, 0, 0);
}

int main(void)
{
    CALL(e2b_check(NONE, &out));
    CHECK_IN(answer, status == E2B_STATUS_OK || status == E2B_STATUS_UNSUPPORTED);
    open_client();
    if (cannot_isolate()) {
        free(answer);
        return report("sandbox");
    }
    EXPECT_OK;
    if (status == E2B_STATUS_OK) {
        create();
        look();
        execute();
        code();
        files();
        templates();
        cancel();
        terminate();
        close_during_a_call();
        reopen();
        leaked_descriptor();
    }
    free(answer);
    return report("sandbox");
}
