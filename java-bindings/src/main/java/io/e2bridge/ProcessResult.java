package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.time.Instant;
import java.util.Objects;

/**
 * Answer of {@link E2B#executeE2BProcess}.
 *
 * @param json the document as it came
 */
public record ProcessResult(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public ProcessResult {
        Objects.requireNonNull(json, "json");
    }

    /** {@return identifier of this execution} */
    public String executionId() {
        return Fields.text(json, "execution_id");
    }

    /** {@return where it ran} */
    public String sandboxId() {
        return Fields.text(json, "sandbox_id");
    }

    /** {@return exit status; -1 when a signal or the time-out ended it, 127 when the program does not exist} */
    public int exitCode() {
        return Fields.integer(json, "exit_code");
    }

    /** {@return both streams in order of arrival} */
    public String output() {
        return Fields.text(json, "output");
    }

    /** {@return standard output, invalid UTF-8 replaced by U+FFFD} */
    public String stdout() {
        return Fields.text(json, "stdout");
    }

    /** {@return standard error, invalid UTF-8 replaced by U+FFFD} */
    public String stderr() {
        return Fields.text(json, "stderr");
    }

    /** {@return the exact bytes of standard output in base64, null when {@link #stdout()} is what was written} */
    public String stdoutBase64() {
        return Fields.optionalText(json, "stdout_base64");
    }

    /** {@return the exact bytes of standard error in base64, null when {@link #stderr()} is what was written} */
    public String stderrBase64() {
        return Fields.optionalText(json, "stderr_base64");
    }

    /** {@return the exact bytes kept of standard output; a new array on each call} */
    public byte[] stdoutExact() {
        return Fields.exact(stdout(), stdoutBase64());
    }

    /** {@return the exact bytes kept of standard error; a new array on each call} */
    public byte[] stderrExact() {
        return Fields.exact(stderr(), stderrBase64());
    }

    /** {@return bytes written to standard output, kept or not} */
    public long stdoutBytes() {
        return Fields.whole(json, "stdout_bytes");
    }

    /** {@return bytes written to standard error, kept or not} */
    public long stderrBytes() {
        return Fields.whole(json, "stderr_bytes");
    }

    /** {@return true when one stream was longer than what is kept (8 MiB each)} */
    public boolean truncated() {
        return Fields.flag(json, "truncated");
    }

    /** {@return wall time, milliseconds} */
    public double durationMs() {
        return Fields.number(json, "duration_ms");
    }

    /** {@return true when the time-out ended it} */
    public boolean timedOut() {
        return Fields.flag(json, "timed_out");
    }

    /** {@return name of the signal that ended it, for example {@code SIGKILL}; null otherwise} */
    public String signal() {
        return Fields.optionalText(json, "signal");
    }

    /** {@return true when the memory limit ended it or one of its processes} */
    public boolean outOfMemory() {
        return Fields.flag(json, "out_of_memory");
    }

    /** {@return when this was answered} */
    public Instant timestamp() {
        return Fields.time(json, "timestamp");
    }
}
