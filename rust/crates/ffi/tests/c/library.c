/* The library itself: versions, buffers, error documents; needs no engine. */
#include "check.h"

static void versions(void)
{
    CHECK(E2B_ABI_VERSION == 1);
    CHECK(e2b_abi_version() == E2B_ABI_VERSION);
    CALL(e2b_version(&out));
    EXPECT_OK;
    CHECK_IN(answer, has("\"abi_version\":1"));
    CHECK_IN(answer, has("\"version\":\""));
    CHECK_IN(answer, has("\"supervisor_digest\":\""));
}

/* The constants are the numbers that were promised, for ever. */
static void statuses(void)
{
    const int32_t constants[] = {
        E2B_STATUS_OK, E2B_STATUS_INVALID_ARGUMENT, E2B_STATUS_NOT_FOUND, E2B_STATUS_ALREADY_EXISTS, E2B_STATUS_CLOSED,
        E2B_STATUS_CANCELLED, E2B_STATUS_TIMEOUT, E2B_STATUS_LIMIT_EXCEEDED, E2B_STATUS_UNSUPPORTED,
        E2B_STATUS_ISOLATION_UNAVAILABLE, E2B_STATUS_UNAUTHENTICATED, E2B_STATUS_PERMISSION_DENIED,
        E2B_STATUS_RATE_LIMITED, E2B_STATUS_UNAVAILABLE, E2B_STATUS_INTERNAL,
    };
    for (size_t number = 0; number < sizeof constants / sizeof *constants; number++)
        CHECK(constants[number] == (int32_t)number);
    CHECK(sizeof constants / sizeof *constants == 15);
    CHECK(E2B_ABSENT == INT64_MIN);
}

static void buffers(void)
{
    e2b_buffer_free(NULL);
    e2b_buffer empty = {0};
    e2b_buffer_free(&empty);
    CHECK(empty.data == NULL && empty.length == 0);
    expect_counts(0, 0, 0, 0);
    e2b_buffer first = {0}, second = {0};
    CHECK(e2b_version(&first) == 0 && e2b_version(&second) == 0);
    CHECK(first.data != second.data);
    expect_counts(0, 0, 2, 0);
    e2b_buffer_free(&first);
    e2b_buffer_free(&first);
    expect_counts(0, 0, 1, 0);
    CHECK(second.length > 2 && second.data[0] == '{' && second.data[second.length - 1] == '}');
    e2b_buffer_free(&second);
    expect_counts(0, 0, 0, 0);
    for (int round = 0; round < 10000; round++) {
        e2b_buffer out = {0};
        e2b_check(T("{"), &out);
        e2b_buffer_free(&out);
    }
    expect_counts(0, 0, 0, 0);
}

static void null_out(void)
{
    e2b_client client = 7;
    CHECK(e2b_version(NULL) == E2B_STATUS_INVALID_ARGUMENT);
    CHECK(e2b_live_counts(NULL) == E2B_STATUS_INVALID_ARGUMENT);
    CHECK(e2b_open(NONE, &client, NULL) == E2B_STATUS_INVALID_ARGUMENT);
    CHECK(e2b_close(1, NULL) == E2B_STATUS_INVALID_ARGUMENT);
    CHECK(list_e2b_templates(1, 0, NULL) == E2B_STATUS_INVALID_ARGUMENT);
    CHECK(client == 7);
}

/* What each configuration is refused for. */
static void configurations(void)
{
    static const char *const cases[][2] = {
        {"", "\"argument\":\"config\""},
        {"[]", "\"argument\":\"config\""},
        {"{\"backend\":\"local\"", "\"argument\":\"config\""},
        {"{\"colour\":1}", "\"argument\":\"config.colour\""},
        {"{\"backend\":true}", "\"argument\":\"config.backend\""},
        {"{\"isolation\":\"loose\"}", "\"argument\":\"config.isolation\""},
        {"{\"pool_base\":65}", "\"argument\":\"config.pool_base\""},
        {"{\"disk_mb\":\"9\"}", "\"argument\":\"config.disk_mb\""},
    };
    e2b_client client = 7;
    for (size_t index = 0; index < sizeof cases / sizeof *cases; index++) {
        CALL(e2b_open(T(cases[index][0]), &client, &out));
        EXPECT_ERROR(E2B_STATUS_INVALID_ARGUMENT, "INVALID_ARGUMENT");
        CHECK_IN(answer, has(cases[index][1]));
        CALL(e2b_check(T(cases[index][0]), &out));
        EXPECT_ERROR(E2B_STATUS_INVALID_ARGUMENT, "INVALID_ARGUMENT");
    }
    CALL(e2b_open(T("{\"backend\":\"cloud\",\"api_key\":\"not a key\"}"), &client, &out));
    EXPECT_ERROR(E2B_STATUS_INVALID_ARGUMENT, "INVALID_ARGUMENT");
    CHECK_IN(answer, has("\"argument\":\"config.api_key\""));
    CHECK_IN(answer, !has("not a key"));
    CALL(e2b_check(T("{\"backend\":\"cloud\"}"), &out));
    EXPECT_ERROR(E2B_STATUS_UNSUPPORTED, "UNSUPPORTED");
    CALL(e2b_open(T("{}"), NULL, &out));
    EXPECT_ERROR(E2B_STATUS_INVALID_ARGUMENT, "INVALID_ARGUMENT");
    CHECK_IN(answer, has("\"argument\":\"client\""));
    CALL(e2b_open(NULL, 2, &client, &out));
    EXPECT_ERROR(E2B_STATUS_INVALID_ARGUMENT, "INVALID_ARGUMENT");
    CALL(e2b_open((const uint8_t *)"\xff{}", 3, &client, &out));
    EXPECT_ERROR(E2B_STATUS_INVALID_ARGUMENT, "INVALID_ARGUMENT");
    CHECK_IN(answer, has("UTF-8"));
    CHECK(client == 7);
    expect_counts(0, 0, 0, 0);
}

/* Numbers that never were handles. */
static void invented_clients(void)
{
    const e2b_client invented[] = {0, 1, 42, UINT32_MAX, (e2b_client)1 << 32, UINT64_MAX, (e2b_client)(uintptr_t)&invented};
    for (size_t index = 0; index < sizeof invented / sizeof *invented; index++) {
        CALL(list_e2b_sandboxes(invented[index], 0, NONE, &out));
        EXPECT_ERROR(E2B_STATUS_INVALID_ARGUMENT, "INVALID_ARGUMENT");
        CHECK_IN(answer, has("\"argument\":\"client\""));
        CALL(e2b_close(invented[index], &out));
        EXPECT_ERROR(E2B_STATUS_INVALID_ARGUMENT, "INVALID_ARGUMENT");
        CALL(e2b_cancel(invented[index], 1, &out));
        EXPECT_ERROR(E2B_STATUS_INVALID_ARGUMENT, "INVALID_ARGUMENT");
    }
}

int main(void)
{
    versions();
    statuses();
    buffers();
    null_out();
    configurations();
    invented_clients();
    free(answer);
    return report("library");
}
