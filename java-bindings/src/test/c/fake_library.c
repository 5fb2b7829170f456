/*
 * A library with the interface of libe2bridge and no engine: it answers what NativeCallsTest asks it to, which the real one
 * does only when something is broken. -DABI=n sets the version that it claims.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "e2bridge.h"

#ifndef ABI
#define ABI E2B_ABI_VERSION
#endif

#define CLIENT 42
#define MOST_CALLS 1024

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static uint64_t in_flight[MOST_CALLS];
static int cancelled[MOST_CALLS];
static int closed, running, most_running, buffers, cancels;

static int32_t answer(int32_t status, const char *text, e2b_buffer *out) {
    if (text == NULL) {
        out->data = NULL;
        out->length = 0;
        return status;
    }
    out->length = strlen(text);
    out->data = malloc(out->length + 1);
    memcpy(out->data, text, out->length + 1);
    pthread_mutex_lock(&mutex);
    buffers++;
    pthread_mutex_unlock(&mutex);
    return status;
}

static int is(const uint8_t *text, uint64_t length, const char *word) {
    return length == strlen(word) && memcmp(text, word, length) == 0;
}

uint32_t e2b_abi_version(void) { return ABI; }

void e2b_buffer_free(e2b_buffer *buffer) {
    if (buffer == NULL || buffer->data == NULL) {
        return;
    }
    free(buffer->data);
    buffer->data = NULL;
    buffer->length = 0;
    pthread_mutex_lock(&mutex);
    buffers--;
    pthread_mutex_unlock(&mutex);
}

int32_t e2b_open(const uint8_t *config, uint64_t config_length, e2b_client *client, e2b_buffer *out) {
    char text[4096];
    pthread_mutex_lock(&mutex);
    closed = running = most_running = cancels = 0;
    pthread_mutex_unlock(&mutex);
    *client = CLIENT;
    snprintf(text, sizeof text, "{\"backend\":\"fake\",\"config\":%.*s}", (int)config_length, (const char *)config);
    return answer(0, text, out);
}

int32_t e2b_close(e2b_client client, e2b_buffer *out) {
    pthread_mutex_lock(&mutex);
    closed = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    return answer(0, client == CLIENT ? "{\"closed\":true}" : "{\"closed\":false}", out);
}

int32_t e2b_cancel(e2b_client client, uint64_t call, e2b_buffer *out) {
    int found = 0;
    (void)client;
    pthread_mutex_lock(&mutex);
    cancels++;
    for (int i = 0; i < MOST_CALLS; i++) {
        if (call != 0 && in_flight[i] == call) {
            found = cancelled[i] = 1;
        }
    }
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    return answer(0, found ? "{\"cancelled\":true}" : "{\"cancelled\":false}", out);
}

int32_t e2b_live_counts(e2b_buffer *out) {
    char text[256];
    pthread_mutex_lock(&mutex);
    snprintf(text, sizeof text, "{\"buffers\":%d,\"running\":%d,\"most_running\":%d,\"cancels\":%d}", buffers, running,
             most_running, cancels);
    pthread_mutex_unlock(&mutex);
    return answer(0, text, out);
}

/* What crossed, parameter by parameter: null, or the length. */
int32_t create_e2b_sandbox(e2b_client client, uint64_t call, const uint8_t *name, uint64_t name_length, const uint8_t *template_name,
                           uint64_t template_name_length, int64_t timeout, int64_t memory_mb, int64_t cpu_count, e2b_buffer *out) {
    char text[1024];
    snprintf(text, sizeof text,
             "{\"client\":%llu,\"call\":%llu,\"name\":%d,\"name_length\":%llu,\"name_sum\":%u,\"template\":%d,\"template_length\":%llu,"
             "\"timeout\":\"%lld\",\"memory_mb\":\"%lld\",\"cpu_count\":\"%lld\"}",
             (unsigned long long)client, (unsigned long long)call, name != NULL, (unsigned long long)name_length,
             name_length == 0 ? 0u : (unsigned)(name[0] + name[name_length - 1]), template_name != NULL,
             (unsigned long long)template_name_length, (long long)timeout, (long long)memory_mb, (long long)cpu_count);
    return answer(0, text, out);
}

/* The id says what to answer. */
int32_t get_e2b_sandbox_status(e2b_client client, uint64_t call, const uint8_t *sandbox_id, uint64_t sandbox_id_length, e2b_buffer *out) {
    (void)client;
    (void)call;
#define ASKED(word) is(sandbox_id, sandbox_id_length, word)
    if (ASKED("unknown_number")) {
        return answer(99, "{\"code\":\"NEW_CODE\",\"message\":\"something new\",\"context\":{\"n\":1}}", out);
    }
    if (ASKED("negative_number")) {
        return answer(-7, "{\"code\":\"X\",\"message\":\"m\",\"context\":{}}", out);
    }
    if (ASKED("full_error")) {
        return answer(2,
                      "{\"code\":\"NOT_FOUND\",\"message\":\"there is none\",\"argument\":\"sandbox_id\",\"context\":"
                      "{\"status\":\"terminated\",\"n\":1,\"x\":1.5,\"b\":true,\"z\":null,\"l\":[1,\"a\"],\"o\":{\"k\":[]}}}",
                      out);
    }
    if (ASKED("empty_error")) {
        return answer(14, NULL, out);
    }
    if (ASKED("error_not_json")) {
        return answer(14, "oops", out);
    }
    if (ASKED("error_without_keys")) {
        return answer(7, "{}", out);
    }
    if (ASKED("empty")) {
        return answer(0, NULL, out);
    }
    if (ASKED("not_json")) {
        return answer(0, "oops", out);
    }
    if (ASKED("array")) {
        return answer(0, "[]", out);
    }
    return answer(0, "{\"sandbox_id\":\"sb\",\"status\":\"running\",\"metrics\":{},\"further\":{\"a\":[1]}}", out);
}

/* command: milliseconds to wait, with a delay before the call can be cancelled when args are given. */
int32_t execute_e2b_process(e2b_client client, uint64_t call, const uint8_t *sandbox_id, uint64_t sandbox_id_length,
                            const uint8_t *command, uint64_t command_length, const uint8_t *args, uint64_t args_length, int64_t timeout,
                            const uint8_t *capture_output, uint64_t capture_output_length, e2b_buffer *out) {
    char text[64] = {0};
    struct timespec until;
    int slot = -1, ended_by_cancel = 0, ended_by_close = 0;
    (void)client, (void)sandbox_id, (void)sandbox_id_length, (void)args, (void)args_length, (void)timeout, (void)capture_output,
        (void)capture_output_length;
    memcpy(text, command, command_length < sizeof text - 1 ? command_length : sizeof text - 1);
    if (args != NULL) {
        usleep(50 * 1000);
    }
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += atol(text) / 1000;
    until.tv_nsec += atol(text) % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&mutex);
    if (++running > most_running) {
        most_running = running;
    }
    for (int i = 0; i < MOST_CALLS && slot < 0; i++) {
        if (in_flight[i] == 0) {
            slot = i;
            in_flight[i] = call;
            cancelled[i] = 0;
        }
    }
    while (!(ended_by_cancel = cancelled[slot]) && !(ended_by_close = closed) &&
           pthread_cond_timedwait(&changed, &mutex, &until) == 0) {
    }
    in_flight[slot] = 0;
    running--;
    pthread_mutex_unlock(&mutex);
    if (ended_by_cancel) {
        return answer(5, "{\"code\":\"CANCELLED\",\"message\":\"cancelled\",\"context\":{}}", out);
    }
    if (ended_by_close) {
        return answer(4, "{\"code\":\"CLOSED\",\"message\":\"closed\",\"context\":{}}", out);
    }
    return answer(0, "{\"timed_out\":false}", out);
}

/* Ignores cancels; 300 ms. */
int32_t terminate_e2b_sandbox(e2b_client client, uint64_t call, const uint8_t *sandbox_id, uint64_t sandbox_id_length,
                              const uint8_t *force, uint64_t force_length, e2b_buffer *out) {
    char text[64];
    (void)client, (void)sandbox_id, (void)sandbox_id_length, (void)force, (void)force_length;
    usleep(300 * 1000);
    snprintf(text, sizeof text, "{\"call\":%llu}", (unsigned long long)call);
    return answer(0, text, out);
}
