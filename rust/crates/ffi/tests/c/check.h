/* What the C tests share: counted checks, texts, and a little reading of JSON documents. */
#ifndef CHECK_H
#define CHECK_H

#include <e2bridge.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int passed, failed, skipped;

#define CHECK(condition) check((condition), #condition, __FILE__, __LINE__, NULL)
/* As CHECK, printing `document` when it fails. */
#define CHECK_IN(document, condition) check((condition), #condition, __FILE__, __LINE__, (document))

static inline bool check(bool condition, const char *text, const char *file, int line, const char *document)
{
    if (condition) {
        passed++;
    } else {
        failed++;
        fprintf(stderr, "%s:%d: not so: %s%s%s\n", file, line, text, document ? "\n    in " : "", document ? document : "");
    }
    return condition;
}

/* Prints the closing line; the exit status of the program. */
static inline int report(const char *name)
{
    printf("%s: %d passed, %d failed", name, passed, failed);
    if (skipped)
        printf(", %d skipped", skipped);
    printf("\n");
    return failed || (passed == 0 && skipped == 0) ? 1 : 0;
}

/* A text argument: pointer and length. */
#define T(text) (const uint8_t *)(text), (uint64_t)strlen(text)
#define NONE NULL, 0

/* A call's answer, the document NUL terminated; one at a time. */
static int32_t status;
static char *answer;

/* Takes over the buffer of a call: copies the document, frees the buffer twice. */
static inline void take(int32_t code, e2b_buffer *out)
{
    free(answer);
    answer = malloc(out->length + 1);
    if (answer == NULL)
        abort();
    memcpy(answer, out->data, out->length);
    answer[out->length] = '\0';
    status = code;
    e2b_buffer_free(out);
    e2b_buffer_free(out);
    CHECK(out->data == NULL && out->length == 0);
}

/* Makes a call whose last argument is the out-buffer `&out`. */
#define CALL(call)              \
    do {                        \
        e2b_buffer out = {0};   \
        int32_t code = (call);  \
        take(code, &out);       \
    } while (0)

/* True when the document has this member, written as compact JSON. */
static inline bool has(const char *member)
{
    return strstr(answer, member) != NULL;
}

/* Checks a status and the document's code. */
#define EXPECT_ERROR(number, name)                                \
    do {                                                          \
        CHECK_IN(answer, status == (number));                     \
        CHECK_IN(answer, has("\"code\":\"" name "\""));           \
        CHECK_IN(answer, has("\"message\":\""));                  \
        CHECK_IN(answer, has("\"context\":{"));                   \
    } while (0)
#define EXPECT_OK CHECK_IN(answer, status == E2B_STATUS_OK)

/* Copies the text at `key` into `value`. */
static inline bool string_at(const char *key, char *value, size_t size)
{
    char pattern[64];
    snprintf(pattern, sizeof pattern, "\"%s\":\"", key);
    const char *start = strstr(answer, pattern);
    if (start == NULL)
        return false;
    start += strlen(pattern);
    const char *end = strchr(start, '"');
    if (end == NULL || (size_t)(end - start) >= size)
        return false;
    memcpy(value, start, (size_t)(end - start));
    value[end - start] = '\0';
    return true;
}

/* True when the client that was to be opened was refused for what this host lacks; then the test is skipped. */
static inline bool cannot_isolate(void)
{
    const char *required = getenv("E2B_TESTS_REQUIRED");
    bool refused = status == E2B_STATUS_ISOLATION_UNAVAILABLE || status == E2B_STATUS_UNSUPPORTED;
    if (!refused || (required != NULL && strcmp(required, "1") == 0))
        return false;
    fprintf(stderr, "skipped, this host or build cannot isolate: %s\n", answer);
    skipped++;
    return true;
}

/* Checks what is alive in the process. */
static inline void expect_counts(unsigned clients, unsigned calls, unsigned buffers, unsigned sandboxes)
{
    char expected[128];
    snprintf(expected, sizeof expected, "{\"clients\":%u,\"calls\":%u,\"buffers\":%u,\"sandboxes\":%u}", clients, calls,
             buffers, sandboxes);
    CALL(e2b_live_counts(&out));
    EXPECT_OK;
    if (!CHECK_IN(answer, strcmp(answer, expected) == 0))
        fprintf(stderr, "    expected %s\n", expected);
}

#endif
