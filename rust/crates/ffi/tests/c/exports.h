/* Every export by name, with its arguments as data, so that a test can do the same to each of them. */
#ifndef EXPORTS_H
#define EXPORTS_H

#include "check.h"

#define MOST_ARGUMENTS 5

/* Stands for the id of a live sandbox. */
#define SANDBOX "@sandbox"
/* Stands for a file in a directory of the test. */
#define ARCHIVE "@archive"

struct argument {
    /* T a text that must be given, t one that may be absent, B bytes that must be given, I and i likewise an integer. */
    char kind;
    const char *name;
    /* What passes: a text, one of the above, or decimal digits. */
    const char *passes;
};

/* What is passed: pointer and length, or a number. */
struct value {
    const uint8_t *data;
    uint64_t length;
    int64_t number;
};

struct export {
    const char *name;
    int32_t (*call)(e2b_client client, uint64_t call, const struct value *v, e2b_buffer *out);
    struct argument arguments[MOST_ARGUMENTS];
    bool takes_client;
};

#define TEXT(index) v[index].data, v[index].length
#define NUMBER(index) v[index].number
#define CALLER(name, arguments)                                                                                \
    static inline int32_t call_##name(e2b_client client, uint64_t call, const struct value *v, e2b_buffer *out) \
    {                                                                                                          \
        (void)client, (void)call, (void)v;                                                                     \
        return name arguments;                                                                                 \
    }

CALLER(create_e2b_sandbox, (client, call, TEXT(0), TEXT(1), NUMBER(2), NUMBER(3), NUMBER(4), out))
CALLER(list_e2b_sandboxes, (client, call, TEXT(0), out))
CALLER(get_e2b_sandbox_status, (client, call, TEXT(0), out))
CALLER(set_e2b_timeout, (client, call, TEXT(0), NUMBER(1), out))
CALLER(terminate_e2b_sandbox, (client, call, TEXT(0), TEXT(1), out))
CALLER(execute_e2b_process, (client, call, TEXT(0), TEXT(1), TEXT(2), NUMBER(3), TEXT(4), out))
CALLER(run_e2b_code, (client, call, TEXT(0), TEXT(1), TEXT(2), TEXT(3), NUMBER(4), out))
CALLER(run_e2b_agent, (client, call, TEXT(0), TEXT(1), TEXT(2), TEXT(3), TEXT(4), out))
CALLER(write_e2b_file, (client, call, TEXT(0), TEXT(1), TEXT(2), out))
CALLER(read_e2b_file, (client, call, TEXT(0), TEXT(1), out))
CALLER(deploy_e2b_template, (client, call, TEXT(0), TEXT(1), TEXT(2), out))
CALLER(scale_e2b_deployment, (client, call, TEXT(0), NUMBER(1), TEXT(2), out))
CALLER(export_e2b_template, (client, call, TEXT(0), TEXT(1), TEXT(2), out))
CALLER(list_e2b_templates, (client, call, out))
CALLER(delete_e2b_template, (client, call, TEXT(0), out))
CALLER(export_e2b_template_file, (client, call, TEXT(0), TEXT(1), out))
CALLER(import_e2b_template_file, (client, call, TEXT(0), TEXT(1), out))
CALLER(monitor_e2b_health, (client, call, TEXT(0), out))
CALLER(e2b_version, (out))
CALLER(e2b_check, (TEXT(0), out))
CALLER(e2b_live_counts, (out))
CALLER(e2b_close, (client, out))
CALLER(e2b_cancel, (client, call, out))

/* The client that is opened is closed again. */
static inline int32_t call_e2b_open(e2b_client client, uint64_t call, const struct value *v, e2b_buffer *out)
{
    (void)call;
    client = 0;
    int32_t code = e2b_open(TEXT(0), &client, out);
    if (code == E2B_STATUS_OK) {
        e2b_buffer closed = {0};
        e2b_close(client, &closed);
        e2b_buffer_free(&closed);
    }
    return code;
}

#define EXPORT(name, takes_client, ...) {#name, call_##name, {__VA_ARGS__}, takes_client}
/* As the word says; some exports have none. */
#define NO_ARGUMENTS {0, NULL, NULL}

static const struct export exports[] = {
    EXPORT(create_e2b_sandbox, true, {'T', "name", "box"}, {'t', "template", "base"}, {'i', "timeout", "60"}, {'i', "memory_mb", "64"},
           {'i', "cpu_count", "1"}),
    EXPORT(list_e2b_sandboxes, true, {'t', "status_filter", "all"}),
    EXPORT(get_e2b_sandbox_status, true, {'T', "sandbox_id", SANDBOX}),
    EXPORT(set_e2b_timeout, true, {'T', "sandbox_id", SANDBOX}, {'I', "timeout", "60"}),
    EXPORT(terminate_e2b_sandbox, true, {'T', "sandbox_id", SANDBOX}, {'t', "force", "true"}),
    EXPORT(execute_e2b_process, true, {'T', "sandbox_id", SANDBOX}, {'T', "command", "echo"}, {'t', "args", "[\"a\"]"},
           {'i', "timeout", "20"}, {'t', "capture_output", "true"}),
    EXPORT(run_e2b_code, true, {'T', "sandbox_id", SANDBOX}, {'T', "language", "javascript"}, {'T', "code", "1+1"},
           {'t', "context", "context"}, {'i', "timeout", "20"}),
    EXPORT(run_e2b_agent, true, {'T', "sandbox_id", SANDBOX}, {'T', "agent_type", "momentum"}, {'T', "symbols", "[\"SPY\"]"},
           {'t', "strategy_params", "{\"prices\":{\"SPY\":[1,2,3,4]},\"timeout\":20}"}, {'t', "use_gpu", "false"}),
    EXPORT(write_e2b_file, true, {'T', "sandbox_id", SANDBOX}, {'T', "path", "file"}, {'B', "content", "text"}),
    EXPORT(read_e2b_file, true, {'T', "sandbox_id", SANDBOX}, {'T', "path", "file"}),
    EXPORT(deploy_e2b_template, true, {'T', "template_name", "base"}, {'T', "category", "Test"},
           {'T', "configuration", "{\"instances\":1,\"memory_mb\":64}"}),
    EXPORT(scale_e2b_deployment, true, {'T', "deployment_id", "dep_aaaaaaaaaaaaaaaaaaaaaaaaaa"}, {'I', "instance_count", "1"},
           {'t', "auto_scale", "false"}),
    EXPORT(export_e2b_template, true, {'T', "sandbox_id", SANDBOX}, {'T', "template_name", "exported"}, {'t', "include_data", "true"}),
    EXPORT(list_e2b_templates, true, NO_ARGUMENTS),
    EXPORT(delete_e2b_template, true, {'T', "template_name", "exported"}),
    EXPORT(export_e2b_template_file, true, {'T', "template_name", "exported"}, {'T', "file", ARCHIVE}),
    EXPORT(import_e2b_template_file, true, {'T', "file", ARCHIVE}, {'t', "template_name", "imported"}),
    EXPORT(monitor_e2b_health, true, {'t', "include_all_sandboxes", "true"}),
    EXPORT(e2b_cancel, true, NO_ARGUMENTS),
    EXPORT(e2b_close, true, NO_ARGUMENTS),
    EXPORT(e2b_open, false, {'t', "config", "{\"pool_base\":0}"}),
    EXPORT(e2b_check, false, {'t', "config", "{}"}),
    EXPORT(e2b_version, false, NO_ARGUMENTS),
    EXPORT(e2b_live_counts, false, NO_ARGUMENTS),
};
#define EXPORTS (sizeof exports / sizeof *exports)

static inline const struct export *export_named(const char *name)
{
    for (size_t index = 0; index < EXPORTS; index++)
        if (strcmp(exports[index].name, name) == 0)
            return &exports[index];
    return NULL;
}

/* The table has every line of exports.txt, but for the two exports that answer no document, and no other. */
static inline void expect_every_export(const char *list)
{
    FILE *file = fopen(list, "r");
    char line[256];
    size_t lines = 0;
    if (!CHECK(file != NULL))
        return;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        lines++;
        if (strcmp(line, "e2b_abi_version") == 0 || strcmp(line, "e2b_buffer_free") == 0)
            continue;
        if (!CHECK(export_named(line) != NULL))
            fprintf(stderr, "    %s is not in the table of exports.h\n", line);
    }
    fclose(file);
    CHECK(lines == EXPORTS + 2);
}

/* The text of an argument that passes. */
static inline const char *passing(const struct argument *argument, const char *sandbox, const char *archive)
{
    return strcmp(argument->passes, SANDBOX) == 0 ? sandbox : strcmp(argument->passes, ARCHIVE) == 0 ? archive : argument->passes;
}

static inline bool is_integer(const struct argument *argument)
{
    return argument->kind == 'i' || argument->kind == 'I';
}

/* Fills in what passes. */
static inline void pass(const struct export *export, struct value *values, const char *sandbox, const char *archive)
{
    for (int index = 0; index < MOST_ARGUMENTS && export->arguments[index].kind != 0; index++) {
        const char *text = passing(&export->arguments[index], sandbox, archive);
        values[index] = (struct value){(const uint8_t *)text, strlen(text), strtoll(text, NULL, 10)};
    }
}

#endif
