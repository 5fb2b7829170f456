/*
 * E2Bridge: sandboxes for untrusted code, by a C ABI. Made by scripts/generate-bindings; not edited by hand.
 *
 * Rules of every function
 * - Text is a pointer and a length in bytes: UTF-8, not NUL terminated. NULL with length 0 = absent; NULL with a length is
 *   INVALID_ARGUMENT; a pointer that is not NULL with length 0 = the empty text.
 * - Integers: E2B_ABSENT = absent, so that 0 and absent differ. Flags, objects and lists cross as text: "true" or "false",
 *   a JSON object, a JSON array.
 * - The status is 0 or one of E2B_STATUS_*; `out` gets the result document or the error document
 *   {"code","message","argument"?,"context"{}}, UTF-8 JSON. `out` NULL: INVALID_ARGUMENT, and nothing is done.
 *   What `out` held before is overwritten unread; free it first.
 * - Rules of pointers: a text's pointer is NULL or refers to its length of bytes that nobody changes during the call; `out`,
 *   `client` and `buffer` are NULL or refer to aligned memory that the caller may write.
 * - `call` is a number that the caller picks to be able to cancel the call, unique among the client's calls in flight;
 *   0 = not cancellable.
 * - Every function that takes a client may answer INVALID_ARGUMENT (client, call) and CLOSED, and every function INTERNAL,
 *   which is a defect of E2Bridge; they are not repeated below.
 */

#ifndef E2BRIDGE_H
#define E2BRIDGE_H

#include <stdint.h>

/**
 * Version of this ABI: raised by every change that an existing caller could notice.
 */
#define E2B_ABI_VERSION 1

/**
 * The value of an `int64_t` argument that means absent.
 */
#define E2B_ABSENT INT64_MIN

/**
 * Done; the out-buffer holds the result document.
 */
#define E2B_STATUS_OK 0

/**
 * An argument breaks a rule; the error document names it. Nothing was created.
 */
#define E2B_STATUS_INVALID_ARGUMENT 1

/**
 * No such sandbox, deployment, template or file.
 */
#define E2B_STATUS_NOT_FOUND 2

/**
 * The name is taken, or reserved.
 */
#define E2B_STATUS_ALREADY_EXISTS 3

/**
 * The client was closed.
 */
#define E2B_STATUS_CLOSED 4

/**
 * The call was cancelled by e2b_cancel.
 */
#define E2B_STATUS_CANCELLED 5

/**
 * The request itself took too long; an execution's time-out is a result, not an error.
 */
#define E2B_STATUS_TIMEOUT 6

/**
 * A documented bound was met: size, count, or capacity of the host.
 */
#define E2B_STATUS_LIMIT_EXCEEDED 7

/**
 * This backend, template or host cannot do it.
 */
#define E2B_STATUS_UNSUPPORTED 8

/**
 * The host cannot give the isolation asked for; the message names cause and remedy.
 */
#define E2B_STATUS_ISOLATION_UNAVAILABLE 9

/**
 * The cloud refused the credentials.
 */
#define E2B_STATUS_UNAUTHENTICATED 10

/**
 * The operation is not permitted.
 */
#define E2B_STATUS_PERMISSION_DENIED 11

/**
 * The cloud asks to slow down.
 */
#define E2B_STATUS_RATE_LIMITED 12

/**
 * The engine or the cloud did not answer; trying again may help.
 */
#define E2B_STATUS_UNAVAILABLE 13

/**
 * A defect in E2Bridge.
 */
#define E2B_STATUS_INTERNAL 14

/**
 * A document on its way out: UTF-8 JSON, not NUL terminated. Written by the library, read by the caller and freed only by
 * e2b_buffer_free; a plain value, so whoever copies it must free one of the copies only.
 */
typedef struct e2b_buffer {
    /**
     * First byte; NULL when empty.
     */
    uint8_t *data;
    /**
     * Number of bytes.
     */
    uint64_t length;
} e2b_buffer;

/**
 * A client: slot and generation, never a pointer. Any number of threads may use one at the same time; used after e2b_close
 * it answers CLOSED; 0 is never a client.
 */
typedef uint64_t e2b_client;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Answers E2B_ABI_VERSION as the library was built with; a caller compares it with the header's and refuses a mismatch.
 *
 * Parameters: none.
 * Ownership: nothing is handed over.
 * Threads: any.
 * Errors: none.
 */
uint32_t e2b_abi_version(void);

/**
 * Answers {"version","abi_version","supervisor_digest"}: the release, the ABI, and the SHA-256 of the helper inside.
 *
 * Parameters: none.
 * Ownership: `out` is the caller's to free with e2b_buffer_free.
 * Threads: any.
 * Errors: INVALID_ARGUMENT when `out` is NULL.
 */
int32_t e2b_version(struct e2b_buffer *out);

/**
 * Answers what this host can isolate, what not and why, and the command or setting that mends it; makes no client.
 *
 * Parameters: `config` as in e2b_open.
 * Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
 * Threads: any; waits until each facility was tried.
 * Errors: INVALID_ARGUMENT, UNSUPPORTED (the cloud has no host to check).
 */
int32_t e2b_check(const uint8_t *config,
                  uint64_t config_length,
                  struct e2b_buffer *out);

/**
 * Answers {"clients","calls","buffers","sandboxes"}: what is alive in this process, for leak checks. A closed client counts
 * until the last call on it has ended. The buffer of the answer itself is not counted.
 *
 * Parameters: none.
 * Ownership: `out` is the caller's to free with e2b_buffer_free.
 * Threads: any.
 * Errors: INVALID_ARGUMENT when `out` is NULL.
 */
int32_t e2b_live_counts(struct e2b_buffer *out);

/**
 * Frees a buffer that this library wrote and sets it to NULL and 0, so that freeing it again does nothing.
 *
 * Parameters: `buffer` may be NULL or empty.
 * Ownership: takes the bytes back; the e2b_buffer itself stays the caller's.
 * Threads: any; one buffer by one thread at a time.
 * Errors: none.
 */
void e2b_buffer_free(struct e2b_buffer *buffer);

/**
 * Opens a client and answers the backend and isolation mode chosen.
 *
 * Parameters: `config` a JSON object, each key optional, an unknown one refused: backend (local, cloud), isolation (required,
 * best_effort), data_directory, python, node (paths), pool_base, pool_python, pool_node (0 to 64 ready sandboxes), disk_mb (at
 * least 1); absent = {}. Without `backend` the variable E2B_BACKEND decides, else local; a key alone decides nothing. Of the cloud:
 * api_key, access_token, domain, api_url, sandbox_url (texts; absent = E2B_API_KEY, E2B_ACCESS_TOKEN, E2B_DOMAIN, E2B_API_URL,
 * E2B_SANDBOX_URL), ca_file (path of PEM certificates), templates (an object: the cluster's templates for base, python, node),
 * connect_timeout, request_timeout, idle_timeout (1 to 3600 seconds); neither key nor token appears in any answer. With best_effort, where the host refuses
 * namespaces, sandboxes are of the tier `process`: Landlock, seccomp and limits without namespaces, the writable places below the
 * directory in the variable E2B_ROOT of programs; status, health and check name the tier. `client` required; written on success.
 * Ownership: the arguments are read during the call only; the handle is the caller's to close with e2b_close; `out` is the
 * caller's to free with e2b_buffer_free.
 * Threads: any; the handle may be used by any number of threads at once.
 * Errors: INVALID_ARGUMENT (config.<key>), UNAUTHENTICATED (the cloud without a key), UNSUPPORTED, ISOLATION_UNAVAILABLE,
 * PERMISSION_DENIED, LIMIT_EXCEEDED, UNAVAILABLE.
 */
int32_t e2b_open(const uint8_t *config,
                 uint64_t config_length,
                 e2b_client *client,
                 struct e2b_buffer *out);

/**
 * Closes a client: ends its sandboxes (of the cloud those it created alone, not those of deployments) and makes the handle answer
 * CLOSED. Answers {"closed":true}, or false when it was
 * closed before. Calls in flight end with CLOSED or with their result.
 *
 * Parameters: `client` a handle that e2b_open wrote.
 * Ownership: the handle is used up; `out` is the caller's to free with e2b_buffer_free.
 * Threads: any, also while other threads are in calls on this client; waits until everything of it is gone.
 * Errors: INVALID_ARGUMENT for a number that never was a handle.
 */
int32_t e2b_close(e2b_client client,
                  struct e2b_buffer *out);

/**
 * Cancels a call in flight: it soon ends with CANCELLED, or with its result when it was about to end. Answers
 * {"cancelled":true}, or false when no call of that number is in flight: it has ended, or not begun.
 *
 * Parameters: `client` the handle and `call` the number that the call was made with; 0 = none, refused.
 * Ownership: `out` is the caller's to free with e2b_buffer_free.
 * Threads: any; does not wait for the call to end.
 * Errors: INVALID_ARGUMENT, CLOSED.
 */
int32_t e2b_cancel(e2b_client client, uint64_t call, struct e2b_buffer *out);

/**
 * Creates an isolated sandbox from a template and answers its id, limits and isolation.
 *
 * Parameters: `name` required, `[a-z0-9][a-z0-9._-]{0,63}`, need not be unique. `template_name` a built-in template (base,
 * python, node), an exported one by name or tpl_ id; absent = base. `timeout` its life in seconds, 1 to 86400; absent = 3600.
 * `memory_mb` MiB, at least 16, 32 or 64 by template; absent = 512. `cpu_count` 1 to the host's number; absent = 1.
 * Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
 * Threads: any, also at the same time on one client; waits; e2b_cancel ends it.
 * Errors: INVALID_ARGUMENT, NOT_FOUND (template), LIMIT_EXCEEDED, UNSUPPORTED, ISOLATION_UNAVAILABLE, UNAVAILABLE.
 */
int32_t create_e2b_sandbox(e2b_client client,
                           uint64_t call,
                           const uint8_t *name,
                           uint64_t name_length,
                           const uint8_t *template_name,
                           uint64_t template_name_length,
                           int64_t timeout,
                           int64_t memory_mb,
                           int64_t cpu_count,
                           struct e2b_buffer *out);

/**
 * Lists this client's sandboxes, alive and remembered, oldest first.
 *
 * Parameters: `status_filter` running, paused, expired, terminated, failed or all; absent = running.
 * Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
 * Threads: any, also at the same time on one client; does not wait for the sandbox.
 * Errors: INVALID_ARGUMENT.
 */
int32_t list_e2b_sandboxes(e2b_client client,
                           uint64_t call,
                           const uint8_t *status_filter,
                           uint64_t status_filter_length,
                           struct e2b_buffer *out);

/**
 * Answers state and live metrics of a sandbox, sampled at most 100 ms ago; of an ended one what is remembered.
 *
 * Parameters: `sandbox_id` required.
 * Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
 * Threads: any, also at the same time on one client; does not wait for the sandbox.
 * Errors: INVALID_ARGUMENT, NOT_FOUND.
 */
int32_t get_e2b_sandbox_status(e2b_client client,
                               uint64_t call,
                               const uint8_t *sandbox_id,
                               uint64_t sandbox_id_length,
                               struct e2b_buffer *out);

/**
 * Lets a sandbox live `timeout` seconds from now, longer or shorter than before.
 *
 * Parameters: `sandbox_id` required. `timeout` required, 1 to 86400 seconds.
 * Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
 * Threads: any, also at the same time on one client; does not wait for the sandbox.
 * Errors: INVALID_ARGUMENT, NOT_FOUND.
 */
int32_t set_e2b_timeout(e2b_client client,
                        uint64_t call,
                        const uint8_t *sandbox_id,
                        uint64_t sandbox_id_length,
                        int64_t timeout,
                        struct e2b_buffer *out);

/**
 * Ends a sandbox and returns when every process, mount, cgroup and file of it is gone. Ending an ended one is NOT_FOUND
 * with its state in `context.status`.
 *
 * Parameters: `sandbox_id` required. `force` "true" kills at once; "false" or absent sends SIGTERM to programs, waits up to 5 s for
 * them, then kills. Embedded JavaScript, which cannot catch a signal, ends at once either way.
 * Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
 * Threads: any, also at the same time on one client; waits up to the grace period; not cancellable.
 * Errors: INVALID_ARGUMENT, NOT_FOUND, UNAVAILABLE.
 */
int32_t terminate_e2b_sandbox(e2b_client client,
                              uint64_t call,
                              const uint8_t *sandbox_id,
                              uint64_t sandbox_id_length,
                              const uint8_t *force,
                              uint64_t force_length,
                              struct e2b_buffer *out);

/**
 * Runs a program in a sandbox and waits for its exit. A non-zero exit and a time-out are results, not errors.
 *
 * Parameters: `sandbox_id` required. `command` required. `args` a JSON array of strings: then `command` is the program and
 * `args` its arguments, no shell; absent = `command` is a line for /bin/sh -c. `timeout` 1 to 86400 seconds; absent = 60.
 * `capture_output` "false" keeps no output; "true" or absent keeps 8 MiB a stream.
 * Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
 * Threads: any, also at the same time on one client; waits; e2b_cancel ends it.
 * Errors: INVALID_ARGUMENT, NOT_FOUND, LIMIT_EXCEEDED (an argument over 128 KiB), CANCELLED, CLOSED, UNAVAILABLE.
 */
int32_t execute_e2b_process(e2b_client client,
                            uint64_t call,
                            const uint8_t *sandbox_id,
                            uint64_t sandbox_id_length,
                            const uint8_t *command,
                            uint64_t command_length,
                            const uint8_t *args,
                            uint64_t args_length,
                            int64_t timeout,
                            const uint8_t *capture_output,
                            uint64_t capture_output_length,
                            struct e2b_buffer *out);

/**
 * Runs code in a warm interpreter of the sandbox. An exception in the code is a result, not an error.
 *
 * Parameters: `sandbox_id` required. `language` required: javascript (js), python (py), shell (sh, bash). `code` required, may
 * be empty. `context` the name of a context that keeps its state; absent = stateless. `timeout` 1 to 86400 seconds; absent = 60.
 * Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
 * Threads: any, also at the same time on one client; waits; e2b_cancel ends it.
 * Errors: INVALID_ARGUMENT, NOT_FOUND, LIMIT_EXCEEDED (code over 16 MiB), UNSUPPORTED (the template lacks the language), CANCELLED,
 * CLOSED, UNAVAILABLE.
 */
int32_t run_e2b_code(e2b_client client,
                     uint64_t call,
                     const uint8_t *sandbox_id,
                     uint64_t sandbox_id_length,
                     const uint8_t *language,
                     uint64_t language_length,
                     const uint8_t *code,
                     uint64_t code_length,
                     const uint8_t *context,
                     uint64_t context_length,
                     int64_t timeout,
                     struct e2b_buffer *out);

/**
 * Runs a trading agent inside the sandbox and waits for it.
 *
 * Parameters: `sandbox_id` required. `agent_type` required: momentum, mean_reversion, moving_average_crossover, pairs, kelly,
 * buy_and_hold, or the name of /opt/agents/<name>.{js,py} in the sandbox. `symbols` required, a JSON array of 1 to 1000 strings.
 * `strategy_params` a JSON object, of which `prices` and `timeout` (seconds, default 300) are E2Bridge's; absent = {}. `use_gpu`
 * "true" or "false"; absent = false.
 * Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
 * Threads: any, also at the same time on one client; waits; e2b_cancel ends it.
 * Errors: INVALID_ARGUMENT, NOT_FOUND, LIMIT_EXCEEDED, UNSUPPORTED (no GPU that the sandbox can reach), CANCELLED, CLOSED,
 * UNAVAILABLE.
 */
int32_t run_e2b_agent(e2b_client client,
                      uint64_t call,
                      const uint8_t *sandbox_id,
                      uint64_t sandbox_id_length,
                      const uint8_t *agent_type,
                      uint64_t agent_type_length,
                      const uint8_t *symbols,
                      uint64_t symbols_length,
                      const uint8_t *strategy_params,
                      uint64_t strategy_params_length,
                      const uint8_t *use_gpu,
                      uint64_t use_gpu_length,
                      struct e2b_buffer *out);

/**
 * Writes a file in the sandbox, making missing parent directories; an existing file is replaced.
 *
 * Parameters: `sandbox_id` required. `path` required, absolute or relative to /home/user. `content` required, at most 256 MiB of
 * bytes; an empty file is a pointer that is not NULL with length 0.
 * Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
 * Threads: any, also at the same time on one client; waits; e2b_cancel ends it.
 * Errors: INVALID_ARGUMENT, NOT_FOUND, LIMIT_EXCEEDED, PERMISSION_DENIED, CANCELLED, CLOSED, UNAVAILABLE.
 */
int32_t write_e2b_file(e2b_client client,
                       uint64_t call,
                       const uint8_t *sandbox_id,
                       uint64_t sandbox_id_length,
                       const uint8_t *path,
                       uint64_t path_length,
                       const uint8_t *content,
                       uint64_t content_length,
                       struct e2b_buffer *out);

/**
 * Reads a regular file of the sandbox; the document has it as `content_base64`.
 *
 * Parameters: `sandbox_id` required. `path` required, absolute or relative to /home/user.
 * Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
 * Threads: any, also at the same time on one client; waits; e2b_cancel ends it.
 * Errors: INVALID_ARGUMENT, NOT_FOUND, LIMIT_EXCEEDED, PERMISSION_DENIED, CANCELLED, CLOSED, UNAVAILABLE.
 */
int32_t read_e2b_file(e2b_client client,
                      uint64_t call,
                      const uint8_t *sandbox_id,
                      uint64_t sandbox_id_length,
                      const uint8_t *path,
                      uint64_t path_length,
                      struct e2b_buffer *out);

/**
 * Starts a deployment: all its instances, or none and an error.
 *
 * Parameters: `template_name` required, a template's name or tpl_ id. `category` required, 1 to 128 bytes of free text.
 * `configuration` required, a JSON object; known keys instances, env, start_command, timeout, memory_mb, cpu_count, metadata,
 * agent; the whole object reaches each instance as the variable E2B_CONFIGURATION.
 * Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
 * Threads: any, also at the same time on one client; waits; e2b_cancel ends it.
 * Errors: INVALID_ARGUMENT, NOT_FOUND (template), LIMIT_EXCEEDED, ISOLATION_UNAVAILABLE, CANCELLED, CLOSED, UNAVAILABLE.
 */
int32_t deploy_e2b_template(e2b_client client,
                            uint64_t call,
                            const uint8_t *template_name,
                            uint64_t template_name_length,
                            const uint8_t *category,
                            uint64_t category_length,
                            const uint8_t *configuration,
                            uint64_t configuration_length,
                            struct e2b_buffer *out);

/**
 * Brings a deployment to a number of instances; a shortfall is `status` partial with `failures`, not an error.
 *
 * Parameters: `deployment_id` required. `instance_count` required, 0 to 1000; 0 ends the deployment. `auto_scale` "true": dead
 * instances are replaced and the count follows the load between 1 and `instance_count`; "false" or absent: it does not.
 * Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
 * Threads: any, also at the same time on one client; waits; e2b_cancel ends it.
 * Errors: INVALID_ARGUMENT, NOT_FOUND, CANCELLED, CLOSED, UNAVAILABLE.
 */
int32_t scale_e2b_deployment(e2b_client client,
                             uint64_t call,
                             const uint8_t *deployment_id,
                             uint64_t deployment_id_length,
                             int64_t instance_count,
                             const uint8_t *auto_scale,
                             uint64_t auto_scale_length,
                             struct e2b_buffer *out);

/**
 * Makes a template of what a sandbox changed; an exported template of that name is replaced atomically.
 *
 * Parameters: `sandbox_id` required. `template_name` required, `[a-z0-9][a-z0-9._-]{0,63}`, not a built-in name nor starting
 * with tpl_. `include_data` "true" takes /home/user and /data too; "false" or absent does not.
 * Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
 * Threads: any, also at the same time on one client; waits; e2b_cancel ends it.
 * Errors: INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS (a reserved name), LIMIT_EXCEEDED, CANCELLED, CLOSED, UNAVAILABLE.
 */
int32_t export_e2b_template(e2b_client client,
                            uint64_t call,
                            const uint8_t *sandbox_id,
                            uint64_t sandbox_id_length,
                            const uint8_t *template_name,
                            uint64_t template_name_length,
                            const uint8_t *include_data,
                            uint64_t include_data_length,
                            struct e2b_buffer *out);

/**
 * Lists the built-in templates, then the exported ones by name.
 *
 * Parameters: none of its own.
 * Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
 * Threads: any, also at the same time on one client; does not wait for the sandbox.
 * Errors: none of its own.
 */
int32_t list_e2b_templates(e2b_client client, uint64_t call, struct e2b_buffer *out);

/**
 * Deletes an exported template; sandboxes made of it live on.
 *
 * Parameters: `template_name` required, a name or tpl_ id.
 * Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
 * Threads: any, also at the same time on one client; does not wait for the sandbox.
 * Errors: INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED (a built-in template).
 */
int32_t delete_e2b_template(e2b_client client,
                            uint64_t call,
                            const uint8_t *template_name,
                            uint64_t template_name_length,
                            struct e2b_buffer *out);

/**
 * Writes an exported template to an archive file on the host.
 *
 * Parameters: `template_name` required, a name or tpl_ id. `file` required, the host's path of the file to write.
 * Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
 * Threads: any, also at the same time on one client; waits for the file; not cancellable.
 * Errors: INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, UNAVAILABLE, UNSUPPORTED (the cloud).
 */
int32_t export_e2b_template_file(e2b_client client,
                                 uint64_t call,
                                 const uint8_t *template_name,
                                 uint64_t template_name_length,
                                 const uint8_t *file,
                                 uint64_t file_length,
                                 struct e2b_buffer *out);

/**
 * Reads a template archive from the host into a template, and refuses an archive that could harm.
 *
 * Parameters: `file` required, the host's path of the archive. `template_name` as in export_e2b_template; absent = the name in
 * the archive.
 * Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
 * Threads: any, also at the same time on one client; waits for the file; not cancellable.
 * Errors: INVALID_ARGUMENT, NOT_FOUND (file), ALREADY_EXISTS, LIMIT_EXCEEDED, PERMISSION_DENIED, UNAVAILABLE, UNSUPPORTED (the
 * cloud).
 */
int32_t import_e2b_template_file(e2b_client client,
                                 uint64_t call,
                                 const uint8_t *file,
                                 uint64_t file_length,
                                 const uint8_t *template_name,
                                 uint64_t template_name_length,
                                 struct e2b_buffer *out);

/**
 * Probes the engine and, on request, every sandbox; answers isolation, capacity, latencies since open, and alerts.
 *
 * Parameters: `include_all_sandboxes` "true" or "false"; absent = false.
 * Ownership: the arguments are read during the call only; `out` is the caller's to free with e2b_buffer_free.
 * Threads: any, also at the same time on one client; waits for the probes; not cancellable.
 * Errors: INVALID_ARGUMENT, UNAVAILABLE.
 */
int32_t monitor_e2b_health(e2b_client client,
                           uint64_t call,
                           const uint8_t *include_all_sandboxes,
                           uint64_t include_all_sandboxes_length,
                           struct e2b_buffer *out);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* E2BRIDGE_H */
