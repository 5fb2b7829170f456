/**
 * The public API of E2Bridge. {@link io.e2bridge.E2B} is the entry; each of its calls answers with a record that gives typed
 * access to the JSON document, or throws {@link io.e2bridge.E2BException}.
 *
 * <p>A {@code null} argument means absent; each method says what absent stands for. Time-outs are whole seconds, sizes are
 * bytes unless the name says MiB ({@code Mb}), points in time are UTC.
 */
package io.e2bridge;
