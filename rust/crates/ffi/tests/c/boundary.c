/* Every export with every argument broken in every way: a typed error that names the argument, and nothing left.
   Usage: boundary EXPORTS_TXT DIRECTORY MIB [--without-engine]
   MIB is the size of huge texts; without an engine the functions of a client are called with wrong clients alone. */
#define _GNU_SOURCE
#include "exports.h"

static e2b_client client;
static char id[160], archive[4096];

static void call_one(const struct export *export, e2b_client of, const struct value *values)
{
    CALL(export->call(of, 0, values, &out));
}

/* Makes the call with one value replaced, on the live client. */
static void with(const struct export *export, int index, struct value value)
{
    struct value values[MOST_ARGUMENTS] = {{0}};
    pass(export, values, id, archive);
    values[index] = value;
    call_one(export, client, values);
    if (!CHECK(status >= E2B_STATUS_OK && status < E2B_STATUS_INTERNAL))
        fprintf(stderr, "    %s, %s: %d %.300s\n", export->name, export->arguments[index].name, status, answer);
}

/* The refusal names the argument, or for an argument of many parts the part. */
static void expect_refused(const struct export *export, int index, const char *how)
{
    char named[96];
    snprintf(named, sizeof named, "\"argument\":\"%s", export->arguments[index].name);
    bool refused = CHECK(status == E2B_STATUS_INVALID_ARGUMENT && has("\"code\":\"INVALID_ARGUMENT\"") && has(named) &&
                         (how == NULL || has(how)));
    if (!refused)
        fprintf(stderr, "    %s, %s (%s): %d %.300s\n", export->name, export->arguments[index].name, how ? how : "", status, answer);
}

static void texts(const struct export *export, int index)
{
    static const struct {
        const char *bytes;
        uint64_t length;
    } not_utf8[] = {{"\xff", 1}, {"ab\xed\xa0\x80", 5}, {"\xc0\x80", 2}, {"\xf5\x80\x80\x80", 4}, {"\xe2\x82", 2}};
    const struct argument *argument = &export->arguments[index];
    const uint8_t *some = (const uint8_t *)"some";
    for (size_t each = 0; argument->kind != 'B' && each < sizeof not_utf8 / sizeof *not_utf8; each++) {
        with(export, index, (struct value){(const uint8_t *)not_utf8[each].bytes, not_utf8[each].length, 0});
        expect_refused(export, index, "UTF-8");
    }
    with(export, index, (struct value){NULL, 1, 0});
    expect_refused(export, index, "is NULL with a length of 1");
    with(export, index, (struct value){NULL, UINT64_MAX, 0});
    expect_refused(export, index, "is NULL with a length");
    /* Lengths that are negative to a signed reader; refused before the pointer is used. */
    for (int shift = 0; shift < 32; shift += 8) {
        with(export, index, (struct value){some, UINT64_MAX >> shift | (uint64_t)1 << 63, 0});
        expect_refused(export, index, "exceeds the address space");
    }
    if (argument->kind != 't') {
        with(export, index, (struct value){0});
        expect_refused(export, index, "must be given");
    }
    with(export, index, (struct value){(const uint8_t *)"a\0b", 3, 0});
    /* Code and content may hold any character; everywhere else the operating system would cut the text at the NUL. */
    if (strcmp(argument->name, "code") != 0 && argument->kind != 'B')
        CHECK_IN(answer, status == E2B_STATUS_INVALID_ARGUMENT || status == E2B_STATUS_NOT_FOUND);
    with(export, index, (struct value){some, 0, 0});
}

static void huge_texts(const struct export *export, int index, uint8_t *huge, uint64_t size)
{
    const struct argument *argument = &export->arguments[index];
    bool any = strcmp(argument->name, "code") == 0 || argument->kind == 'B';
    for (const char *fill = any ? "x" : "x[\"\n"; *fill != '\0'; fill++) {
        memset(huge, *fill, size);
        with(export, index, (struct value){huge, size, 0});
        /* An answer never repeats what was too long. */
        if (!CHECK((any || status != E2B_STATUS_OK) && strlen(answer) < 64 * 1024))
            fprintf(stderr, "    %s, %s of '%c': %d %.300s\n", export->name, argument->name, *fill, status, answer);
    }
}

static void integers(const struct export *export, int index)
{
    static const int64_t beyond[] = {INT64_MAX, INT64_MIN + 1, -1, (int64_t)1 << 32, ((int64_t)1 << 32) + 1};
    for (size_t each = 0; each < sizeof beyond / sizeof *beyond; each++) {
        with(export, index, (struct value){NULL, 0, beyond[each]});
        expect_refused(export, index, NULL);
    }
    if (export->arguments[index].kind == 'I') {
        with(export, index, (struct value){NULL, 0, E2B_ABSENT});
        expect_refused(export, index, "must be given");
    }
}

/* Numbers that never were handles. */
static void wrong_clients(const struct export *export)
{
    const e2b_client invented[] = {0, 1, UINT32_MAX, UINT64_MAX, client ^ ((uint64_t)1 << 63), client + 1, (e2b_client)(uintptr_t)&invented};
    struct value values[MOST_ARGUMENTS] = {{0}};
    pass(export, values, id, archive);
    for (size_t each = 0; each < sizeof invented / sizeof *invented; each++) {
        call_one(export, invented[each], values);
        if (!CHECK(status == E2B_STATUS_INVALID_ARGUMENT && has("\"argument\":\"client\"")))
            fprintf(stderr, "    %s of %" PRIu64 ": %d %.300s\n", export->name, invented[each], status, answer);
    }
}

static void closed_client(const struct export *export, e2b_client closed)
{
    struct value values[MOST_ARGUMENTS] = {{0}};
    pass(export, values, id, archive);
    call_one(export, closed, values);
    bool closing = export->call == call_e2b_close;
    if (!CHECK(closing ? has("{\"closed\":false}") : status == E2B_STATUS_CLOSED && has("\"code\":\"CLOSED\"")))
        fprintf(stderr, "    %s: %d %.300s\n", export->name, status, answer);
}

static void open_client(void)
{
    char config[4200];
    snprintf(config, sizeof config, "{\"pool_base\":0,\"pool_python\":0,\"pool_node\":0,\"data_directory\":\"%.4000s\"}", archive);
    *strrchr(config, '/') = '\0';
    strcat(config, "\"}");
    CALL(e2b_open(T(config), &client, &out));
}

/* Every argument of an export, on the live client. */
static void arguments_of(const struct export *export, uint8_t *huge, uint64_t size)
{
    for (int index = 0; index < MOST_ARGUMENTS && export->arguments[index].kind != 0; index++) {
        if (is_integer(&export->arguments[index])) {
            integers(export, index);
        } else {
            texts(export, index);
            huge_texts(export, index, huge, size);
        }
    }
}

/* On a client with a sandbox, which is as good as before at the end. */
static void with_engine(uint8_t *huge, uint64_t size)
{
    e2b_client closed = client;
    CALL(e2b_close(client, &out));
    open_client();
    EXPECT_OK;
    CALL(create_e2b_sandbox(client, 0, T("box"), NONE, E2B_ABSENT, 64, E2B_ABSENT, &out));
    EXPECT_OK;
    CHECK_IN(answer, string_at("sandbox_id", id, sizeof id));
    for (size_t each = 0; failed == 0 && each < EXPORTS; each++) {
        if (exports[each].takes_client)
            closed_client(&exports[each], closed);
        arguments_of(&exports[each], huge, size);
    }
    CALL(get_e2b_sandbox_status(client, 0, T(id), &out));
    CHECK_IN(answer, has("\"status\":\"running\""));
    CALL(e2b_close(client, &out));
    EXPECT_OK;
}

int main(int count, char **arguments)
{
    if (count < 4) {
        fprintf(stderr, "usage: boundary EXPORTS_TXT DIRECTORY MIB [--without-engine]\n");
        return 2;
    }
    expect_every_export(arguments[1]);
    snprintf(archive, sizeof archive, "%s/archive", arguments[2]);
    uint64_t size = strtoull(arguments[3], NULL, 10) << 20;
    uint8_t *huge = malloc(size);
    if (!CHECK(huge != NULL))
        return report("boundary");
    for (size_t each = 0; each < EXPORTS; each++) {
        CHECK(exports[each].call(client, 1, (struct value[MOST_ARGUMENTS]){{0}}, NULL) == E2B_STATUS_INVALID_ARGUMENT);
        if (exports[each].takes_client)
            wrong_clients(&exports[each]);
        else if (exports[each].call != call_e2b_check)
            arguments_of(&exports[each], huge, size);
    }
    if (count == 4) {
        open_client();
        if (!cannot_isolate()) {
            EXPECT_OK;
            with_engine(huge, size);
        }
    }
    expect_counts(0, 0, 0, 0);
    free(huge);
    free(answer);
    return report("boundary");
}
